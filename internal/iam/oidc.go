package iam

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/oidc"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// Quotas of OpenID Connect providers (IAM User Guide, "IAM and AWS STS quotas").
const (
	maxOIDCProviders = 100
	maxClientIDs     = 100
	maxThumbprints   = 5
)

// CreateOpenIDConnectProvider makes an issuer of ID tokens known to the account.
// It is not asked for anything yet. Thumbprints are kept and shown; that the issuer
// is who it says follows from its certificate.
func (s *Service) CreateOpenIDConnectProvider(ctx context.Context, in *CreateOpenIDConnectProviderInput) (*CreateOpenIDConnectProviderOutput, error) {
	call := wire.CallFrom(ctx)
	p := oidcProvider{Account: call.Principal.Account, Thumbprints: in.ThumbprintList}
	var ok bool
	if p.URL, ok = issuerURL(*in.Url); !ok {
		return nil, ErrValidation("Invalid Open ID Connect Provider URL")
	}
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	for _, id := range in.ClientIDList {
		if !slices.Contains(p.ClientIDs, id) {
			p.ClientIDs = append(p.ClientIDs, id)
		}
	}
	if len(p.ClientIDs) > maxClientIDs {
		return nil, wire.Invalid(errClientIDs())
	}
	var err error
	if p.Tags, err = foldedTags.read(in.Tags); err != nil {
		return nil, err
	}
	for _, action := range []string{"CreateOpenIDConnectProvider", "TagOpenIDConnectProvider"} {
		if action == "TagOpenIDConnectProvider" && len(p.Tags) == 0 {
			break
		}
		if err := s.auth.Authorize(ctx, p.request(action, auth.RequestTags(p.Tags)...)); err != nil {
			return nil, err
		}
	}
	call.Touch(p.resource())
	err = s.db.Write(ctx, func(tx store.Tx) error {
		held, err := listOIDCProviders(tx, p.Account)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(held, func(h oidcProvider) bool { return h.URL == p.URL }) {
			return ErrEntityAlreadyExists("Provider with url %s already exists.", *in.Url)
		}
		if len(held) >= maxOIDCProviders {
			return ErrLimitExceeded("Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", maxOIDCProviders)
		}
		p.CreatedAt = tx.Now()
		return insertOIDCProvider(tx, p)
	})
	if store.IsUnique(err) {
		return nil, ErrEntityAlreadyExists("Provider with url %s already exists.", *in.Url)
	}
	if err != nil {
		return nil, err
	}
	call.ResponseElements = map[string]any{"openIDConnectProviderArn": p.arn()}
	return &CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: new(p.arn()), Tags: in.Tags}, nil
}

// issuerURL returns a provider's URL without its scheme. It is compared with the
// claim "iss" to the letter, so it is kept to the letter. AWS takes no port; here
// issuers stand on all sorts of ports.
func issuerURL(text string) (string, bool) {
	u, err := url.Parse(text)
	rest, https := strings.CutPrefix(text, "https://")
	if err != nil || !https || u.Hostname() == "" || u.User != nil || strings.ContainsAny(text, "?#*\\ ") {
		return "", false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f { // nothing that an ARN could not hold
			return "", false
		}
	}
	return rest, true
}

func checkThumbprints(list []string) error {
	if len(list) >= maxThumbprints {
		// Fewer than five is AWS's sentence, and its rule (spec iam-sts.md 3.2).
		return wire.Invalid(ErrInvalidInput("Thumbprint list must contain fewer than %d entries.", maxThumbprints))
	}
	return nil
}

func errClientIDs() *aws.Error {
	return ErrLimitExceeded("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
}

func (p *oidcProvider) request(action string, keys ...auth.Key) *auth.Request {
	return &auth.Request{Action: "iam:" + action, Resource: p.arn(), Shown: p.arn(), Account: p.Account, Tags: p.Tags, Keys: keys}
}

// authorizeProvider decides an action on a provider of the caller's account. Only
// a caller that may act learns that there is none.
func (s *Service) authorizeProvider(ctx context.Context, action, arn string) (oidcProvider, error) {
	call := wire.CallFrom(ctx)
	a, err := aws.ParseARN(arn)
	where, ok := strings.CutPrefix(a.Resource, oidcResource)
	if err != nil || a.Service != "iam" || !ok || where == "" {
		return oidcProvider{}, ErrValidation("ARN %s is not valid.", arn)
	}
	p := oidcProvider{Account: call.Principal.Account, URL: where}
	missing := p.arn() != arn // another account's: there is no such thing here
	if !missing {
		err := s.db.Read(ctx, func(tx store.Tx) error {
			held, err := getOIDCProvider(tx, p.Account, where)
			if err == nil {
				p = held
			}
			return err
		})
		if missing = errors.Is(err, store.ErrNoRows); err != nil && !missing {
			return p, err
		}
	}
	q := p.request(action)
	q.Resource, q.Shown = arn, arn
	if err := s.auth.Authorize(ctx, q); err != nil {
		return p, err
	}
	if missing {
		return p, errNoProvider(action, arn)
	}
	call.Touch(p.resource())
	return p, nil
}

func errNoProvider(action, arn string) *aws.Error {
	if action == "DeleteOpenIDConnectProvider" {
		return ErrNoSuchEntity("OpenId connect Provider %s cannot be found.", arn)
	}
	// Recorded for Get; for the others unconfirmed.
	return ErrNoSuchEntity("OpenIDConnect Provider not found for arn %s", arn)
}

// changeProvider decides an action and writes what change makes of the provider.
func (s *Service) changeProvider(ctx context.Context, action, arn string, change func(*oidcProvider) error) error {
	decided, err := s.authorizeProvider(ctx, action, arn)
	if err != nil {
		return err
	}
	return s.writeProvider(ctx, decided, action, change)
}

func (s *Service) writeProvider(ctx context.Context, decided oidcProvider, action string, change func(*oidcProvider) error) error {
	return s.db.Write(ctx, func(tx store.Tx) error {
		p, err := sameProvider(tx, decided, action)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		return saveOIDCProvider(tx, p)
	})
}

// sameProvider reads a provider that must still be the one decided on. Providers
// have no unique id: one made again, with other tags, is told by when it was made.
func sameProvider(tx store.Tx, decided oidcProvider, action string) (oidcProvider, error) {
	p, err := getOIDCProvider(tx, decided.Account, decided.URL)
	if errors.Is(err, store.ErrNoRows) || err == nil && !p.CreatedAt.Equal(decided.CreatedAt) {
		return p, errNoProvider(action, decided.arn())
	}
	return p, err
}

// GetOpenIDConnectProvider describes a provider.
func (s *Service) GetOpenIDConnectProvider(ctx context.Context, in *GetOpenIDConnectProviderInput) (*GetOpenIDConnectProviderOutput, error) {
	p, err := s.authorizeProvider(ctx, "GetOpenIDConnectProvider", *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	out := &GetOpenIDConnectProviderOutput{
		Url: &p.URL, ClientIDList: append([]string{}, p.ClientIDs...), ThumbprintList: append([]string{}, p.Thumbprints...),
		CreateDate: wireTime(p.CreatedAt),
	}
	for _, t := range p.Tags {
		out.Tags = append(out.Tags, Tag{Key: &t.Key, Value: &t.Value})
	}
	return out, nil
}

// ListOpenIDConnectProviders lists the account's.
func (s *Service) ListOpenIDConnectProviders(ctx context.Context, _ *ListOpenIDConnectProvidersInput) (*ListOpenIDConnectProvidersOutput, error) {
	account := wire.CallFrom(ctx).Principal.Account
	arn := entityARN(account, oidcResource, "*", "")
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:ListOpenIDConnectProviders", Resource: arn, Shown: arn, Account: account}); err != nil {
		return nil, err
	}
	out := &ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: []OpenIDConnectProviderListEntry{}}
	return out, s.db.Read(ctx, func(tx store.Tx) error {
		held, err := listOIDCProviders(tx, account)
		out.OpenIDConnectProviderList = out.OpenIDConnectProviderList[:0]
		for _, p := range held {
			out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, OpenIDConnectProviderListEntry{Arn: new(p.arn())})
		}
		return err
	})
}

// DeleteOpenIDConnectProvider forgets a provider. Sessions that it vouched for stay
// until they end: they are sessions of the role.
func (s *Service) DeleteOpenIDConnectProvider(ctx context.Context, in *DeleteOpenIDConnectProviderInput) (*DeleteOpenIDConnectProviderOutput, error) {
	p, err := s.authorizeProvider(ctx, "DeleteOpenIDConnectProvider", *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	return &DeleteOpenIDConnectProviderOutput{}, s.dropProvider(ctx, p)
}

func (s *Service) dropProvider(ctx context.Context, decided oidcProvider) error {
	return s.db.Write(ctx, func(tx store.Tx) error {
		p, err := sameProvider(tx, decided, "DeleteOpenIDConnectProvider")
		if err != nil {
			return err
		}
		return deleteOIDCProvider(tx, p.Account, p.URL)
	})
}

// AddClientIDToOpenIDConnectProvider accepts one more audience. It may be there.
func (s *Service) AddClientIDToOpenIDConnectProvider(ctx context.Context, in *AddClientIDToOpenIDConnectProviderInput) (*AddClientIDToOpenIDConnectProviderOutput, error) {
	return &AddClientIDToOpenIDConnectProviderOutput{}, s.changeProvider(ctx, "AddClientIDToOpenIDConnectProvider", *in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		switch {
		case slices.Contains(p.ClientIDs, *in.ClientID):
			return nil
		case len(p.ClientIDs) >= maxClientIDs:
			return errClientIDs()
		}
		p.ClientIDs = append(p.ClientIDs, *in.ClientID)
		return nil
	})
}

// RemoveClientIDFromOpenIDConnectProvider accepts an audience no more. It need not
// be there.
func (s *Service) RemoveClientIDFromOpenIDConnectProvider(ctx context.Context, in *RemoveClientIDFromOpenIDConnectProviderInput) (*RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return &RemoveClientIDFromOpenIDConnectProviderOutput{}, s.changeProvider(ctx, "RemoveClientIDFromOpenIDConnectProvider", *in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == *in.ClientID })
		return nil
	})
}

// UpdateOpenIDConnectProviderThumbprint replaces the list.
func (s *Service) UpdateOpenIDConnectProviderThumbprint(ctx context.Context, in *UpdateOpenIDConnectProviderThumbprintInput) (*UpdateOpenIDConnectProviderThumbprintOutput, error) {
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	return &UpdateOpenIDConnectProviderThumbprintOutput{}, s.changeProvider(ctx, "UpdateOpenIDConnectProviderThumbprint", *in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		p.Thumbprints = in.ThumbprintList
		return nil
	})
}

// SetProviderKeys takes the keys of a provider from a document instead of asking
// the provider, or, with an empty one, asks again. It is not an AWS operation: the
// operator's socket calls it, inside an audited call, for issuers that cannot be
// reached from here.
func (s *Service) SetProviderKeys(ctx context.Context, arn, jwks string) error {
	a, err := aws.ParseARN(arn)
	where, ok := strings.CutPrefix(a.Resource, oidcResource)
	if err != nil || a.Service != "iam" || !ok {
		return ErrInvalidInput("ARN %s is not one of an OpenID Connect provider", arn)
	}
	if jwks != "" {
		if err := oidc.CheckKeys([]byte(jwks)); err != nil {
			return ErrInvalidInput("%s", err)
		}
	}
	p := oidcProvider{Account: a.Account, URL: where}
	wire.CallFrom(ctx).Touch(p.resource())
	err = s.db.Write(ctx, func(tx store.Tx) (err error) {
		if p, err = getOIDCProvider(tx, a.Account, where); err != nil {
			return err
		}
		p.JWKS = jwks
		return saveOIDCProvider(tx, p)
	})
	if errors.Is(err, store.ErrNoRows) {
		return ErrNoSuchEntity("OpenIDConnect Provider not found for arn %s", arn)
	}
	return err
}

// Provider returns an account's OpenID Connect provider by its issuer, or
// auth.ErrUnknownKey. Whoever holds a token may ask, so issuer is any text.
func (d *Directory) Provider(ctx context.Context, account, issuer string) (*auth.Provider, error) {
	where, ok := issuerURL(issuer)
	if !ok || !aws.ValidAccountID(account) {
		return nil, auth.ErrUnknownKey
	}
	var p oidcProvider
	err := d.db.Read(ctx, func(tx store.Tx) (err error) {
		p, err = getOIDCProvider(tx, account, where)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, auth.ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("load identity provider: %w", err)
	}
	out := &auth.Provider{ARN: p.arn(), Issuer: issuer, ClientIDs: p.ClientIDs}
	if p.JWKS != "" {
		out.JWKS = []byte(p.JWKS)
	}
	return out, nil
}
