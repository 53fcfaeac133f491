// Package session makes and opens the tokens of temporary credentials. A token is
// stateless: it holds all that was fixed when the credentials were made, sealed by
// the keyring, so that any node opens it and none has to store it.
//
// Its one invariant: a token opens only together with the access key id that it
// was made for, and what it holds is what STS put in, bit for bit. The secret key
// is not in it: it is derived from the token and the storage key that sealed it,
// so that whoever sees a token alone cannot sign.
package session

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/keyring"
)

// Keys seals tokens and derives secrets: the keyring.
type Keys interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
	// Derive makes n bytes that follow from a sealed blob and the key that sealed
	// it.
	Derive(purpose string, aad, sealed []byte, n int) ([]byte, error)
}

const (
	sealPurpose   = "sts.session"
	derivePurpose = "sts.session-secret"

	// MaxPacked bounds a packed session in bytes. As base64 in a header it then
	// stays far below the 32 KiB that the server takes for all headers together.
	MaxPacked = 8 << 10
	// maxToken is the longest text that is looked at: a packed session, what
	// sealing adds, in base64.
	maxToken = (MaxPacked + 256) * 4 / 3
	// maxUnpacked bounds what a token is inflated to. Only our own tokens get this
	// far; the bound keeps a mistake of ours from becoming a bomb.
	maxUnpacked = 256 << 10

	// secretBytes make 40 characters of base64, as long as every secret key.
	secretBytes = 30
)

var (
	// ErrInvalid is the error for everything that is not a token of the access
	// key it came with.
	ErrInvalid = errors.New("invalid session token")
)

// TooLargeError is the error for a session that does not fit in a token.
type TooLargeError struct {
	// Packed is how much of the room it would take, in per cent.
	Packed int
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("session takes %d%% of the room in a token", e.Packed)
}

// Credentials are temporary credentials as their holder gets them.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	Token           string
	// Packed is how much of the room for policies and tags the session takes, in
	// per cent, at least 1.
	Packed int
}

// New makes credentials for a session.
func New(keys Keys, s *aws.Session) (Credentials, error) {
	id, err := aws.NewAccessKeyID(aws.TemporaryKeyPrefix, s.Account)
	if err != nil {
		return Credentials{}, err
	}
	packed, err := pack(s)
	if err != nil {
		return Credentials{}, err
	}
	if len(packed) > MaxPacked {
		// Rounded up: one byte too many is more than a hundred per cent.
		return Credentials{}, &TooLargeError{(len(packed)*100 + MaxPacked - 1) / MaxPacked}
	}
	sealed, err := keys.Seal(sealPurpose, []byte(id), packed)
	if err != nil {
		return Credentials{}, fmt.Errorf("seal session: %w", err)
	}
	secret, err := derive(keys, id, sealed)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{
		AccessKeyID: id, SecretAccessKey: secret, Token: base64.StdEncoding.EncodeToString(sealed),
		Packed: max(1, len(packed)*100/MaxPacked),
	}, nil
}

// Open returns the session of a token and the secret key that goes with it.
// Whatever is wrong with the token is ErrInvalid.
func Open(keys Keys, accessKeyID, token string) (s *aws.Session, secret string, err error) {
	if len(token) > maxToken {
		return nil, "", ErrInvalid
	}
	sealed, err := base64.StdEncoding.Strict().DecodeString(token)
	// The decoder skips line breaks, of which a query parameter may hold any
	// number. A token must have one spelling: callers keep the one they saw first.
	if err != nil || strings.ContainsAny(token, "\r\n") {
		return nil, "", ErrInvalid
	}
	packed, err := keys.Open(sealPurpose, []byte(accessKeyID), sealed)
	switch {
	case errors.Is(err, keyring.ErrInvalid), errors.Is(err, keyring.ErrUnknownKey):
		// Altered, cut, another deployment's, or made for another access key: the
		// holder learns nothing of which.
		return nil, "", ErrInvalid
	case err != nil:
		// An outage. Who is told that good credentials are bad throws them away.
		return nil, "", fmt.Errorf("open session token: %w", err)
	}
	if s, err = unpack(packed); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	// The access key id names its account too; both come from New.
	if account, ok := aws.AccessKeyAccount(accessKeyID); !ok || account != s.Account {
		return nil, "", ErrInvalid
	}
	secret, err = derive(keys, accessKeyID, sealed)
	return s, secret, err
}

func derive(keys Keys, accessKeyID string, sealed []byte) (string, error) {
	b, err := keys.Derive(derivePurpose, []byte(accessKeyID), sealed, secretBytes)
	if err != nil {
		return "", fmt.Errorf("derive session secret: %w", err)
	}
	defer clear(b)
	return base64.StdEncoding.EncodeToString(b), nil
}

// pack encodes and compresses: policies and tags are text and shrink to a third.
// Nothing in a session is secret, so its length may tell of its content.
func pack(s *aws.Session) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode session: %w", err)
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpack(packed []byte) (*aws.Session, error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUnpacked+1))
	if err != nil || len(text) > maxUnpacked {
		return nil, ErrInvalid
	}
	s := new(aws.Session)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	return s, nil
}
