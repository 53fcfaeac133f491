package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/strongroom/strongroom/internal/auth/session"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/sigv4"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxPresigned bounds how long a presigned request lives. AWS allows a week;
// a URL that reads a secret for a week would be a credential of its own, so only
// GetCallerIdentity, which proves identity and does nothing, gets that long.
const maxPresigned = 15 * time.Minute

// Config is what the service is made from.
type Config struct {
	Directory   Directory
	Generations Generations
	// Sessions opens the tokens of temporary credentials.
	Sessions session.Keys
	// Regions are those of the deployment: a signature for any other is refused.
	Regions []string
	// Uses is told of every call whose signature was good; nil when nobody asks.
	Uses Uses
	Now  func() time.Time
}

// Uses learns when keys and roles are used. IAM provides it. Used is on the path of
// every call, so it must neither wait nor write.
type Uses interface {
	Used(p *aws.Principal, service, region string, now time.Time)
}

// Service authenticates and authorises.
type Service struct {
	cache   *cache
	keys    *sigv4.KeyCache
	regions []string
	uses    Uses
	now     func() time.Time
}

// signingKeys bounds the cache of derived keys: one per access key, day, region
// and service in use.
const signingKeys = 50_000

// New makes the service.
func New(c Config) *Service {
	keys := sigv4.NewKeyCache(signingKeys)
	return &Service{cache: newCache(c.Directory, c.Generations, c.Sessions, keys.Drop), keys: keys, regions: c.Regions, uses: c.Uses, now: c.Now}
}

// Authenticate verifies the signature of a request and fills principal and
// region of its call. Failures are framework errors in the words of the
// service's protocol (spec iam-sts.md 5.2).
func (s *Service) Authenticate(ctx context.Context, c *wire.Call, r *http.Request, body []byte) error {
	id, region, err := s.verify(ctx, c, r, body)
	var refused *sigv4.Error
	if errors.As(err, &refused) {
		return signatureError(c, refused)
	}
	if err != nil {
		return err
	}
	c.Principal, c.Region = id.Principal, region
	return nil
}

func signatureError(c *wire.Call, e *sigv4.Error) error {
	query := c.Service.Protocol == wire.Query
	code, status := e.Code(query)
	return &aws.Error{Code: code, Message: e.Message(query), Status: status, Framework: true}
}

func (s *Service) verify(ctx context.Context, c *wire.Call, r *http.Request, body []byte) (*Identity, string, error) {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return nil, "", err
	}
	if proof := c.Service.Name == "sts" && c.Operation == "GetCallerIdentity"; !proof {
		sig.Expires = min(sig.Expires, maxPresigned)
	}
	now := s.now()
	if err := sig.CheckScope(c.Service.Name, s.validRegion, now, c.Service.ClockSkew); err != nil {
		return nil, "", err
	}
	account, ok := aws.AccessKeyAccount(sig.AccessKeyID)
	if !ok {
		return nil, "", sigv4.ErrUnrecognizedClient
	}
	id, generation, err := s.cache.claimed(ctx, account, sig.AccessKeyID, sig.SessionToken)
	if err != nil {
		return nil, "", withdrawn(err)
	}
	// No long-term key has a token, and no session is without one.
	if subtle.ConstantTimeCompare([]byte(sig.SessionToken), []byte(id.Token)) != 1 {
		return nil, "", sigv4.ErrUnrecognizedClient
	}
	key, cached := s.keys.Get(sig, generation)
	if !cached {
		key = sigv4.SigningKey([]byte(id.Secret), sig.Date, sig.Region, sig.Service)
	}
	hash := sha256.Sum256(body)
	// No unsigned bodies: AWS takes them from S3's clients and those of operations
	// whose model says so, and no operation here is one (spec iam-sts.md 5).
	if err := sig.Verify(&key, &hash, false); err != nil {
		return nil, "", err
	}
	if !cached {
		s.keys.Put(sig, generation, key)
	}
	// Only the holder of the secret is told that it has expired.
	if !id.Expires.IsZero() && !now.Before(id.Expires) || early(id, now) {
		return nil, "", sigv4.ErrExpiredToken
	}
	if !reaches(id.Session, c.Service.Name) {
		return nil, "", sigv4.ErrUnrecognizedClient
	}
	if s.uses != nil {
		s.uses.Used(id.Principal, sig.Service, sig.Region, now)
	}
	return id, sig.Region, nil
}

const (
	// issuedSkew is how far the clock of the node that made a session may be ahead.
	issuedSkew = 15 * time.Minute
	// longestLife is that of GetSessionToken's credentials; no key or session that
	// ends has a longer one.
	longestLife = 36 * time.Hour
)

// early reports whether credentials were made while the clock was ahead. Once it is
// right they would live until that time has come, be it years.
func early(id *Identity, now time.Time) bool {
	if id.Session != nil && id.Session.Issued.After(now.Add(issuedSkew)) {
		return true
	}
	return !id.Expires.IsZero() && id.Expires.Sub(now) > longestLife+issuedSkew
}

// withdrawn puts the reasons for which credentials are no longer good into the
// words of signatures. A revoked session reads as expired, so that SDKs fetch new
// credentials.
func withdrawn(err error) error {
	switch {
	case errors.Is(err, ErrUnknownKey):
		return sigv4.ErrUnrecognizedClient
	case errors.Is(err, errRevoked):
		return sigv4.ErrExpiredToken
	}
	return err
}

// reaches says whether temporary credentials may call a service at all: IAM knows
// those of GetSessionToken only with a second factor, and those of
// GetFederationToken not at all (spec iam-sts.md 6).
func reaches(s *aws.Session, service string) bool {
	if s == nil || service != "iam" {
		return true
	}
	switch s.Type {
	case aws.PrincipalFederatedUser:
		return false
	case aws.PrincipalUser, aws.PrincipalRoot:
		return s.MFA
	}
	return true
}

func (s *Service) validRegion(region string) bool { return slices.Contains(s.regions, region) }
