package auth

import (
	"context"

	"github.com/strongroom/strongroom/internal/aws"
)

// Warm brings a session into the cache as its first request would, without a
// token to open.
func (s *Service) Warm(p *aws.Principal) {
	_, _, err := s.cache.session(context.Background(), p.Account, p.AccessKeyID, &Identity{Session: p.Session, Token: "opened", Secret: "s"})
	if err != nil {
		panic(err)
	}
}
