package iam

import (
	"context"

	"github.com/strongroom/strongroom/internal/store"
)

// CreateAccountAlias gives the account another name, in the place of the one it
// has: AWS replaces it and does not refuse (seen on a live account).
func (s *Service) CreateAccountAlias(ctx context.Context, in *CreateAccountAliasInput) (*CreateAccountAliasOutput, error) {
	account, err := s.authorizeAccount(ctx, "CreateAccountAlias")
	if err != nil {
		return nil, err
	}
	return &CreateAccountAliasOutput{}, s.db.Write(ctx, func(tx store.Tx) error {
		n, err := count(tx, `SELECT COUNT(*) FROM iam_account_aliases WHERE alias = $1`, *in.AccountAlias)
		if err != nil {
			return err
		}
		if n > 0 {
			// The caller's own, too.
			return ErrEntityAlreadyExists("The account alias %s already exists.", *in.AccountAlias)
		}
		_, err = tx.Exec(`INSERT INTO iam_account_aliases (account, alias) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET alias = $2`, account, *in.AccountAlias)
		return err
	})
}

// DeleteAccountAlias takes the account's alias away, which has to be named.
func (s *Service) DeleteAccountAlias(ctx context.Context, in *DeleteAccountAliasInput) (*DeleteAccountAliasOutput, error) {
	account, err := s.authorizeAccount(ctx, "DeleteAccountAlias")
	if err != nil {
		return nil, err
	}
	return &DeleteAccountAliasOutput{}, s.db.Write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM iam_account_aliases WHERE account = $1 AND alias = $2`, account, *in.AccountAlias)
		if err == nil && n == 0 {
			return ErrNoSuchEntity("The account alias %s cannot be found.", *in.AccountAlias)
		}
		return err
	})
}

// ListAccountAliases lists the one alias that an account can have.
func (s *Service) ListAccountAliases(ctx context.Context, in *ListAccountAliasesInput) (*ListAccountAliasesOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	account, err := s.authorizeAccount(ctx, "ListAccountAliases")
	if err != nil {
		return nil, err
	}
	var aliases []string
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		aliases, err = accountAliases(tx, account)
		return err
	})
	if err != nil {
		return nil, err
	}
	aliases, marker := cut(aliases, func(a string) string { return a }, after, limit)
	return &ListAccountAliasesOutput{AccountAliases: append([]string{}, aliases...), IsTruncated: new(marker != nil), Marker: marker}, nil
}

func accountAliases(tx store.Tx, account string) ([]string, error) {
	return collect(tx, scanText, `SELECT alias FROM iam_account_aliases WHERE account = $1 ORDER BY alias`, account)
}
