package iam

import (
	"encoding/json"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// oidcProvider is a row of iam_oidc_providers.
type oidcProvider struct {
	Account string
	// URL has no scheme.
	URL                    string
	ClientIDs, Thumbprints []string
	Tags                   []aws.Tag
	// JWKS is what the operator pasted, "" for keys that are fetched.
	JWKS      string
	CreatedAt time.Time
}

const oidcResource = "oidc-provider/"

func (p *oidcProvider) arn() string { return entityARN(p.Account, oidcResource, p.URL, "") }

// resource is the provider as audit records list it.
func (p *oidcProvider) resource() wire.Resource {
	return wire.Resource{ARN: p.arn(), Type: "AWS::IAM::OIDCProvider", Account: p.Account}
}

const oidcColumns = `account, url, client_ids, thumbprints, tags, jwks, created_at`

func scanOIDCProvider(r store.Row) (p oidcProvider, err error) {
	var clients, thumbprints, tags string
	var created int64
	if err = r.Scan(&p.Account, &p.URL, &clients, &thumbprints, &tags, &p.JWKS, &created); err != nil {
		return p, err
	}
	p.CreatedAt = aws.Micros(created)
	if err = json.Unmarshal([]byte(clients), &p.ClientIDs); err != nil {
		return p, err
	}
	if err = json.Unmarshal([]byte(thumbprints), &p.Thumbprints); err != nil {
		return p, err
	}
	p.Tags, err = tagsFromText(tags)
	return p, err
}

func getOIDCProvider(tx store.Tx, account, url string) (oidcProvider, error) {
	return scanOIDCProvider(tx.QueryRow(`SELECT `+oidcColumns+` FROM iam_oidc_providers WHERE account = $1 AND url = $2`, account, url))
}

// listOIDCProviders lists all of an account, of which there are few.
func listOIDCProviders(tx store.Tx, account string) ([]oidcProvider, error) {
	return collect(tx, scanOIDCProvider, `SELECT `+oidcColumns+` FROM iam_oidc_providers WHERE account = $1 ORDER BY url`, account)
}

// saveOIDCProvider writes a provider that is there anew; insertOIDCProvider adds
// one.
func saveOIDCProvider(tx store.Tx, p oidcProvider) error {
	clients, thumbprints, err := p.lists()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE iam_oidc_providers SET client_ids = $3, thumbprints = $4, jwks = $5 WHERE account = $1 AND url = $2`,
		p.Account, p.URL, clients, thumbprints, p.JWKS)
	return err
}

func insertOIDCProvider(tx store.Tx, p oidcProvider) error {
	clients, thumbprints, err := p.lists()
	if err != nil {
		return err
	}
	tags, err := tagsText(p.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO iam_oidc_providers (`+oidcColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		p.Account, p.URL, clients, thumbprints, tags, p.JWKS, p.CreatedAt.UnixMicro())
	return err
}

func (p *oidcProvider) lists() (clients, thumbprints string, err error) {
	c, err := json.Marshal(append([]string{}, p.ClientIDs...))
	if err != nil {
		return "", "", err
	}
	t, err := json.Marshal(append([]string{}, p.Thumbprints...))
	return string(c), string(t), err
}

func deleteOIDCProvider(tx store.Tx, account, url string) error {
	_, err := tx.Exec(`DELETE FROM iam_oidc_providers WHERE account = $1 AND url = $2`, account, url)
	return err
}
