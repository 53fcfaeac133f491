package iam

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// passwordPolicy is what an account asks of its users' passwords, as it is stored.
type passwordPolicy struct {
	Length     int32 `json:"length"`
	Symbols    bool  `json:"symbols,omitempty"`
	Numbers    bool  `json:"numbers,omitempty"`
	Upper      bool  `json:"upper,omitempty"`
	Lower      bool  `json:"lower,omitempty"`
	SelfChange bool  `json:"selfChange,omitempty"`
	// MaxAge is in days, 0 for ever.
	MaxAge int32 `json:"maxAge,omitempty"`
	// Reuse is how many passwords before may not be used again.
	Reuse      int32 `json:"reuse,omitempty"`
	HardExpiry *bool `json:"hardExpiry,omitempty"`
	// threeKinds asks for three of the four kinds of characters, which only the
	// default policy does.
	threeKinds bool
}

// defaultPasswordPolicy holds for accounts without one of their own (IAM User
// Guide, "Setting an account password policy").
var defaultPasswordPolicy = passwordPolicy{Length: 8, threeKinds: true}

// allows says whether the policy lets a password be, apart from reuse. Lengths
// count characters, as the model's constraint does.
func (p *passwordPolicy) allows(password aws.SensitiveString) bool {
	var length int32
	var symbols, numbers, upper, lower bool
	for _, c := range string(password) {
		length++
		switch {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= '0' && c <= '9':
			numbers = true
		case strings.ContainsRune(`!@#$%^&*()_+-=[]{}|'`, c):
			symbols = true
		}
	}
	kinds := 0
	for _, has := range []bool{symbols, numbers, upper, lower} {
		if has {
			kinds++
		}
	}
	return length >= p.Length && (symbols || !p.Symbols) && (numbers || !p.Numbers) && (upper || !p.Upper) && (lower || !p.Lower) &&
		(kinds >= 3 || !p.threeKinds)
}

// expires is when a password of this age has to be changed, zero for never.
func (p *passwordPolicy) expires(changed time.Time) time.Time {
	if p.MaxAge == 0 {
		return time.Time{}
	}
	return changed.AddDate(0, 0, int(p.MaxAge))
}

// selfChange is the policy that lets a user change its own password, nil when the
// account's password policy does not: AllowUsersToChangePassword gives the right
// without an identity policy, and takes nothing from those who have one.
func (p *passwordPolicy) selfChange(u user) (*policy.Source, error) {
	if !p.SelfChange {
		return nil, nil
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": map[string]any{
		"Effect": "Allow", "Principal": map[string]string{"AWS": u.arn()}, "Action": "iam:ChangePassword", "Resource": u.arn(),
	}})
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	return &policy.Source{ID: "account password policy", Doc: doc}, nil
}

// GetAccountPasswordPolicy returns the account's own policy; the default is none.
func (s *Service) GetAccountPasswordPolicy(ctx context.Context, _ *GetAccountPasswordPolicyInput) (*GetAccountPasswordPolicyOutput, error) {
	account, err := s.authorizeAccount(ctx, "GetAccountPasswordPolicy")
	if err != nil {
		return nil, err
	}
	var p passwordPolicy
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		p, err = getPasswordPolicy(tx, account)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, errNoPasswordPolicy(account)
	}
	if err != nil {
		return nil, err
	}
	out := &PasswordPolicy{
		MinimumPasswordLength: &p.Length, RequireSymbols: &p.Symbols, RequireNumbers: &p.Numbers, RequireUppercaseCharacters: &p.Upper,
		RequireLowercaseCharacters: &p.Lower, AllowUsersToChangePassword: &p.SelfChange, ExpirePasswords: new(p.MaxAge != 0), HardExpiry: p.HardExpiry,
	}
	if p.MaxAge != 0 {
		out.MaxPasswordAge = &p.MaxAge
	}
	if p.Reuse != 0 {
		out.PasswordReusePrevention = &p.Reuse
	}
	return &GetAccountPasswordPolicyOutput{PasswordPolicy: out}, nil
}

// UpdateAccountPasswordPolicy sets the whole policy: what is left out gets its
// default (API Reference). Passwords that are set already stay as they are.
func (s *Service) UpdateAccountPasswordPolicy(ctx context.Context, in *UpdateAccountPasswordPolicyInput) (*UpdateAccountPasswordPolicyOutput, error) {
	account, err := s.authorizeAccount(ctx, "UpdateAccountPasswordPolicy")
	if err != nil {
		return nil, err
	}
	p := passwordPolicy{
		Length: deref(in.MinimumPasswordLength, 6), Symbols: deref(in.RequireSymbols, false), Numbers: deref(in.RequireNumbers, false),
		Upper: deref(in.RequireUppercaseCharacters, false), Lower: deref(in.RequireLowercaseCharacters, false),
		SelfChange: deref(in.AllowUsersToChangePassword, false), MaxAge: deref(in.MaxPasswordAge, 0),
		Reuse: deref(in.PasswordReusePrevention, 0), HardExpiry: in.HardExpiry,
	}
	return &UpdateAccountPasswordPolicyOutput{}, s.db.Write(ctx, func(tx store.Tx) error { return putPasswordPolicy(tx, account, p) })
}

// DeleteAccountPasswordPolicy goes back to the default.
func (s *Service) DeleteAccountPasswordPolicy(ctx context.Context, _ *DeleteAccountPasswordPolicyInput) (*DeleteAccountPasswordPolicyOutput, error) {
	account, err := s.authorizeAccount(ctx, "DeleteAccountPasswordPolicy")
	if err != nil {
		return nil, err
	}
	return &DeleteAccountPasswordPolicyOutput{}, s.db.Write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM iam_password_policies WHERE account = $1`, account)
		if err == nil && n == 0 {
			return errNoPasswordPolicy(account)
		}
		return err
	})
}

// authorizeAccount decides an action that is about the account as a whole.
func (s *Service) authorizeAccount(ctx context.Context, action string) (account string, err error) {
	account = wire.CallFrom(ctx).Principal.Account
	return account, s.auth.Authorize(ctx, &auth.Request{Action: "iam:" + action, Resource: "*", Shown: "*", Account: account})
}

func errNoPasswordPolicy(account string) *aws.Error {
	return ErrNoSuchEntity("The Password Policy with domain name %s cannot be found.", account)
}
