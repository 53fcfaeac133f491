package secretsmanager

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// The classes of characters of a generated password (spec 9).
const (
	upperCase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lowerCase   = "abcdefghijklmnopqrstuvwxyz"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

	defaultPasswordLength = 32
)

// GetRandomPassword makes a password from the caller's choice of characters.
func (s *Service) GetRandomPassword(ctx context.Context, in *GetRandomPasswordInput) (*GetRandomPasswordOutput, error) {
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "secretsmanager:GetRandomPassword", Resource: "*"}); err != nil {
		return nil, err
	}
	length := defaultPasswordLength
	if in.PasswordLength != nil {
		length = int(*in.PasswordLength)
	}
	exclude := deref(in.ExcludeCharacters)
	var all string
	var required []string
	for _, class := range []struct {
		left  bool
		chars string
	}{
		{deref(in.ExcludeUppercase), upperCase}, {deref(in.ExcludeLowercase), lowerCase},
		{deref(in.ExcludeNumbers), digits}, {deref(in.ExcludePunctuation), punctuation},
	} {
		if !class.left {
			chars := without(class.chars, exclude)
			all += chars
			required = append(required, chars)
		}
	}
	if deref(in.IncludeSpace) {
		// A space is never a required class.
		all += without(" ", exclude)
	}
	if all == "" {
		return nil, wire.Invalid(ErrInvalidParameter("All characters have been excluded from selection"))
	}
	if in.RequireEachIncludedType != nil && !*in.RequireEachIncludedType {
		required = nil
	}
	for _, class := range required {
		if class == "" {
			return nil, wire.Invalid(ErrInvalidParameter("All characters of the desired type have been excluded"))
		}
	}
	if len(required) > length {
		return nil, wire.Invalid(ErrInvalidParameter("Password length is too short based on the required types."))
	}
	return &GetRandomPasswordOutput{RandomPassword: new(aws.SensitiveString(password(all, required, length)))}, nil
}

func without(chars, exclude string) string {
	var b strings.Builder
	for _, c := range chars {
		if !strings.ContainsRune(exclude, c) {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// maxDraws bounds the draws of whole passwords. The rarest set, four characters
// with one of each class, hits about once in fifty draws; only choices that
// leave a class one or two characters can miss this often.
const maxDraws = 1000

// password draws uniformly from all strings of this length over all that hold a
// character of each required class: it draws whole strings until one does, since
// placing required characters first would favour some strings over others.
func password(all string, required []string, length int) string {
	for range maxDraws {
		if p := aws.RandomString(all, length); holdsEach(p, required) {
			return p
		}
	}
	// Lopsided choices: put one of each class at positions drawn at random.
	p := []byte(aws.RandomString(all, length))
	places := randomPlaces(length, len(required))
	for i, class := range required {
		p[places[i]] = aws.RandomString(class, 1)[0]
	}
	return string(p)
}

func holdsEach(p string, classes []string) bool {
	for _, class := range classes {
		if !strings.ContainsAny(p, class) {
			return false
		}
	}
	return true
}

// randomPlaces draws k different positions below n (the first k steps of a
// Fisher-Yates shuffle).
func randomPlaces(n, k int) []int {
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	for i := range k {
		j := i + randomBelow(n-i)
		places[i], places[j] = places[j], places[i]
	}
	return places[:k]
}

// randomBelow returns a uniform number below n, throwing away the draws that
// would favour small ones.
func randomBelow(n int) int {
	limit := ^uint32(0) - ^uint32(0)%uint32(n)
	for {
		var b [4]byte
		rand.Read(b[:])
		if v := binary.BigEndian.Uint32(b[:]); v < limit {
			return int(v % uint32(n))
		}
	}
}
