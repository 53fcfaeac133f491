package iam

import (
	"errors"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
)

// TestRemadeProviders: a provider that was deleted and made again after the
// decision is another one, with tags of its own, and stays as it is.
func TestRemadeProviders(t *testing.T) {
	onStores(t, func(t *testing.T, s *Service) {
		decided := oidcProvider{Account: "111122223333", URL: "id.example", CreatedAt: time.UnixMicro(1)}
		remade := decided
		remade.CreatedAt = time.UnixMicro(2)
		add := func(p *oidcProvider) error { p.ClientIDs = append(p.ClientIDs, "web"); return nil }
		put := func(p oidcProvider) {
			t.Helper()
			err := s.db.Maintain(t.Context(), func(tx store.Tx) error {
				return errors.Join(deleteOIDCProvider(tx, p.Account, p.URL), insertOIDCProvider(tx, p))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		// clients are those of the provider that there is, "none" for no provider.
		clients := func() (list []string) {
			err := s.db.Read(t.Context(), func(tx store.Tx) error {
				p, err := getOIDCProvider(tx, decided.Account, decided.URL)
				list = p.ClientIDs
				return err
			})
			if errors.Is(err, store.ErrNoRows) {
				return []string{"none"}
			}
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		put(remade)
		for what, err := range map[string]error{
			"change": s.writeProvider(t.Context(), decided, "AddClientIDToOpenIDConnectProvider", add),
			"delete": s.dropProvider(t.Context(), decided),
		} {
			if e, ok := errors.AsType[*aws.Error](err); !ok || e.Code != "NoSuchEntity" {
				t.Errorf("%s: %v", what, err)
			}
		}
		if got := clients(); len(got) != 0 {
			t.Errorf("the one made again: %q", got)
		}
		if err := s.writeProvider(t.Context(), remade, "AddClientIDToOpenIDConnectProvider", add); err != nil {
			t.Error(err)
		}
		if got := clients(); len(got) != 1 || got[0] != "web" {
			t.Errorf("changed: %q", got)
		}
		if err := s.dropProvider(t.Context(), remade); err != nil {
			t.Error(err)
		}
		if got := clients(); len(got) != 1 || got[0] != "none" {
			t.Errorf("deleted: %q", got)
		}
	})
}
