package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// CreateAlias gives a key of the caller's account and region another name. The
// caller needs the permission twice: on the alias and on the key (spec kms.md
// 8.2).
func (s *Service) CreateAlias(ctx context.Context, in *CreateAliasInput) (*CreateAliasOutput, error) {
	if err := checkAliasName(*in.AliasName); err != nil {
		return nil, err
	}
	if strings.HasPrefix(*in.TargetKeyId, aliasPrefix) || strings.Contains(*in.TargetKeyId, ":"+aliasPrefix) {
		return nil, wire.Invalid(ErrValidation("Aliases must refer to keys. Not aliases"))
	}
	call := wire.CallFrom(ctx)
	home := place{call.Principal.Account, call.Region}
	arn := home.aliasARN(*in.AliasName)
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "kms:CreateAlias", Resource: arn, Shown: arn, Account: home.account, Keys: callFacts(call),
	}); err != nil {
		return nil, err
	}
	call.Touch(wire.Resource{ARN: arn, Type: aliasResourceType, Account: home.account})
	k, err := s.open(ctx, &access{action: "kms:CreateAlias", keyID: *in.TargetKeyId, changes: true})
	if err != nil {
		return nil, err
	}
	_, err = s.change(ctx, k, func(tx store.Tx, now *key) error {
		if err := now.mayChange(); err != nil {
			return err
		}
		a := alias{place: home, Name: *in.AliasName, KeyID: k.ID, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		inserted, err := insertAlias(tx, &a)
		if err != nil {
			return err
		}
		if !inserted {
			return errAliasExists(&a)
		}
		names, err := aliasNames(tx, home, k.ID)
		if err != nil {
			return err
		}
		if len(names) > s.quotas.AliasesPerKey {
			return ErrLimitExceeded("The key %s has reached the maximum number of aliases: %d.", k.arnText, s.quotas.AliasesPerKey)
		}
		return nil
	})
	return &CreateAliasOutput{}, err
}

// validAlias reports whether text can be an alias: the model's pattern behind the
// prefix. Markers are somebody's text; not each of it may reach the store.
func validAlias(text string) bool {
	name, ok := strings.CutPrefix(text, aliasPrefix)
	if !ok || len(text) > maxAlias {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '/' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// maxAlias is the length of an alias, prefix included (spec kms.md 6).
const maxAlias = 256

// checkAliasName says what the model's pattern does not (spec kms.md 6).
func checkAliasName(name string) error {
	switch {
	case !strings.HasPrefix(name, aliasPrefix):
		return wire.Invalid(ErrValidation(`Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`))
	case strings.Contains(name, ":"):
		return wire.Invalid(ErrValidation("%s contains invalid characters for an alias", name))
	case name == aliasPrefix:
		return wire.Invalid(ErrValidation("Invalid identifier"))
	case strings.HasPrefix(name, managedPrefix):
		// An exception that the model does not have.
		return wire.Invalid(&aws.Error{Code: "NotAuthorizedException", Bare: true})
	}
	return nil
}

func errAliasExists(a *alias) *aws.Error {
	return ErrAlreadyExists("An alias with the name %s already exists", a.aliasARN(a.Name))
}

// ListAliases lists the aliases of the account and region, or those of one of
// its keys, in the order of their names.
func (s *Service) ListAliases(ctx context.Context, in *ListAliasesInput) (*ListAliasesOutput, error) {
	after, n, err := readPage(in.Marker, in.Limit, 50, 100, validAlias)
	if err != nil {
		return nil, err
	}
	call := wire.CallFrom(ctx)
	home := place{call.Principal.Account, call.Region}
	var of reference
	if in.KeyId != nil {
		if of, err = parseReference(*in.KeyId, home, false); err != nil {
			return nil, err
		}
	}
	if err := s.authorizeList(ctx, "kms:ListAliases"); err != nil {
		return nil, err
	}
	if in.KeyId != nil {
		// A key of another account is none of this list, whether it exists or
		// not.
		if of.account != home.account {
			return nil, of.missing()
		}
		_, err := s.find(ctx, &of)
		if errors.Is(err, errNoKey) {
			return nil, of.missing()
		}
		if err != nil {
			return nil, err
		}
	}
	var rows []alias
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		rows, err = listAliases(tx, home, of.id, after, n+1)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list aliases: %w", err)
	}
	out := &ListAliasesOutput{Aliases: []AliasListEntry{}}
	rows, out.Truncated, out.NextMarker = cut(rows, n, func(a *alias) string { return a.Name })
	for _, a := range rows {
		out.Aliases = append(out.Aliases, AliasListEntry{
			AliasName: new(a.Name), AliasArn: new(a.aliasARN(a.Name)), TargetKeyId: new(a.KeyID),
			CreationDate: aws.NewTime(a.CreatedAt), LastUpdatedDate: aws.NewTime(a.UpdatedAt),
		})
	}
	return out, nil
}
