package iam

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Account is a tenant of the deployment.
type Account struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// AdminName is the user that every new account begins with.
const AdminName = "admin"

// adminPolicy lets the first user do everything in its own account.
const adminPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// CreateAccount makes an account with its user admin, an allow-all inline
// policy, and one access key, all in one transaction: an account without a way
// in does not exist. It is not an AWS operation; init and the operator's socket
// call it inside an audited call.
func (s *Service) CreateAccount(ctx context.Context, account, name string) (keyID, secret string, err error) {
	u := user{Account: account, ID: aws.NewUniqueID(userIDPrefix), Name: AdminName, Path: "/"}
	k, secret, err := newAccessKey(s.keys, account, u.ID, time.Time{}, time.Time{})
	if err != nil {
		return "", "", err
	}
	call := wire.CallFrom(ctx)
	call.Touch(u.resource())
	call.Extra = map[string]any{"accessKeyId": k.KeyID}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		now := tx.Now()
		if _, err := tx.Exec(`INSERT INTO accounts (account, name, created_at) VALUES ($1, $2, $3)`, account, name, now.UnixMicro()); err != nil {
			return err
		}
		u.CreatedAt, k.CreatedAt = now, now
		if err := saveUser(tx, u); err != nil {
			return err
		}
		if err := putInlinePolicy(tx, account, u.ID, "AdministratorAccess", adminPolicy); err != nil {
			return err
		}
		if err := insertAccessKey(tx, k); err != nil {
			return err
		}
		return s.db.Bump(tx, account, "", auth.IAMGeneration)
	})
	if store.IsUnique(err) {
		return "", "", ErrEntityAlreadyExists("Account %s already exists.", account)
	}
	return k.KeyID, secret, err
}

// ListAccounts returns all accounts of the deployment, in id order.
func (s *Service) ListAccounts(ctx context.Context) ([]Account, error) {
	var out []Account
	err := s.db.Read(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT account, name, created_at FROM accounts ORDER BY account`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a Account
			var created int64
			if err := rows.Scan(&a.ID, &a.Name, &created); err != nil {
				return err
			}
			a.CreatedAt = aws.Micros(created)
			out = append(out, a)
		}
		return rows.Err()
	})
	return out, err
}
