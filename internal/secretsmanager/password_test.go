package secretsmanager_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

const (
	upper       = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower       = "abcdefghijklmnopqrstuvwxyz"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

func (w *world) password(t testing.TB, in *sm.GetRandomPasswordInput) string {
	t.Helper()
	return *call(t, w.c.GetRandomPassword, in).RandomPassword
}

// TestGetRandomPassword is spec 9.
func TestGetRandomPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const tooShort = "Password length is too short based on the required types."
	const classGone = "All characters of the desired type have been excluded"
	const allGone = "All characters have been excluded from selection"
	for name, c := range map[string]struct {
		in            sm.GetRandomPasswordInput
		length        int
		from, each    string // characters it may have; one of each class named must be there
		code, message string
	}{
		"default":                     {length: 32, from: upper + lower + digits + punctuation, each: "uldp"},
		"longest":                     {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(4096))}, length: 4096, from: upper + lower + digits + punctuation, each: "uldp"},
		"shortest with each":          {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(4))}, length: 4, from: upper + lower + digits + punctuation, each: "uldp"},
		"one of anything":             {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(1)), RequireEachIncludedType: new(false)}, length: 1, from: upper + lower + digits + punctuation},
		"digits only":                 {in: sm.GetRandomPasswordInput{ExcludeLowercase: new(true), ExcludeUppercase: new(true), ExcludePunctuation: new(true), PasswordLength: new(int64(1))}, length: 1, from: digits, each: "d"},
		"letters only":                {in: sm.GetRandomPasswordInput{ExcludeNumbers: new(true), ExcludePunctuation: new(true), PasswordLength: new(int64(2))}, length: 2, from: upper + lower, each: "ul"},
		"space alone":                 {in: sm.GetRandomPasswordInput{ExcludeLowercase: new(true), ExcludeUppercase: new(true), ExcludePunctuation: new(true), ExcludeNumbers: new(true), IncludeSpace: new(true)}, length: 32, from: " "},
		"space is never required":     {in: sm.GetRandomPasswordInput{IncludeSpace: new(true), PasswordLength: new(int64(4))}, length: 4, from: upper + lower + digits + punctuation, each: "uldp"},
		"excluded characters":         {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(lower[1:] + "\"'\\/@ä"), PasswordLength: new(int64(400))}, length: 400, from: strings.NewReplacer("\"", "", "'", "", "\\", "", "/", "", "@", "").Replace(upper + "a" + digits + punctuation), each: "uldp"},
		"one of each left":            {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(upper[1:] + lower[1:] + digits[1:] + punctuation[1:]), PasswordLength: new(int64(4))}, length: 4, from: "Aa0!", each: "uldp"},
		"rare class":                  {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(upper[1:] + digits[1:]), PasswordLength: new(int64(4))}, length: 4, from: "A0" + lower + punctuation, each: "uldp"},
		"class emptied, not required": {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(digits), RequireEachIncludedType: new(false)}, length: 32, from: upper + lower + punctuation},
		"class emptied and excluded":  {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(digits), ExcludeNumbers: new(true)}, length: 32, from: upper + lower + punctuation, each: "ulp"},
		"too short for four classes":  {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(3))}, code: badParameter, message: tooShort},
		"too short for two classes":   {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(1)), ExcludeNumbers: new(true), ExcludePunctuation: new(true)}, code: badParameter, message: tooShort},
		"class emptied":               {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(digits)}, code: badParameter, message: classGone},
		"nothing left by flags":       {in: sm.GetRandomPasswordInput{ExcludeLowercase: new(true), ExcludeUppercase: new(true), ExcludePunctuation: new(true), ExcludeNumbers: new(true)}, code: badParameter, message: allGone},
		"nothing left by characters":  {in: sm.GetRandomPasswordInput{ExcludeCharacters: new(upper + lower + digits + punctuation + " "), IncludeSpace: new(true), RequireEachIncludedType: new(false)}, code: badParameter, message: allGone},
		"length zero":                 {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(0))}, code: validation, message: "1 validation error detected: Value '0' at 'passwordLength' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"length 4097":                 {in: sm.GetRandomPasswordInput{PasswordLength: new(int64(4097))}, code: validation, message: "1 validation error detected: Value '4097' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.code != "" {
				fails(t, w.c.GetRandomPassword, &c.in, c.code, c.message)
				return
			}
			for range 20 {
				p := w.password(t, &c.in)
				if len(p) != c.length {
					t.Fatalf("%d characters, want %d", len(p), c.length)
				}
				from := c.from
				if c.in.IncludeSpace != nil {
					from += " "
				}
				if i := strings.IndexFunc(p, func(r rune) bool { return !strings.ContainsRune(from, r) }); i >= 0 {
					t.Fatalf("%q has %q", p, p[i])
				}
				for _, class := range c.each {
					if !strings.ContainsAny(p, map[rune]string{'u': upper, 'l': lower, 'd': digits, 'p': punctuation}[class]) {
						t.Fatalf("%q lacks class %c", p, class)
					}
				}
			}
		})
	}
	if a, b := w.password(t, &sm.GetRandomPasswordInput{}), w.password(t, &sm.GetRandomPasswordInput{}); a == b {
		t.Error("the same password twice")
	}
}

// TestPasswordsAreUniform compares counts with what a uniform choice would give:
// of characters in long passwords, of positions and of whole passwords in short
// ones where one of each class is required. A fair generator fails this less
// than once in a million runs.
func TestPasswordsAreUniform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("characters", func(t *testing.T) {
		counts := map[string]int{}
		for range 40 {
			for _, c := range w.password(t, &sm.GetRandomPasswordInput{PasswordLength: new(int64(4096)), IncludeSpace: new(true)}) {
				counts[string(c)]++
			}
		}
		uniform(t, counts, len(upper+lower+digits+punctuation)+1)
	})
	t.Run("whole passwords", func(t *testing.T) {
		// Over A, B, a, 0 with one of each class in three places: ABa0 in all
		// orders, where A and B are alike.
		exclude := upper[2:] + lower[1:] + digits[1:]
		counts := map[string]int{}
		for range 3000 {
			counts[w.password(t, &sm.GetRandomPasswordInput{PasswordLength: new(int64(3)), ExcludePunctuation: new(true), ExcludeCharacters: &exclude})]++
		}
		uniform(t, counts, 2*6)
	})
	t.Run("longer than the classes", func(t *testing.T) {
		// Strings over A, a of length 4 that hold both: 14.
		exclude := upper[1:] + lower[1:]
		counts := map[string]int{}
		for range 3000 {
			counts[w.password(t, &sm.GetRandomPasswordInput{PasswordLength: new(int64(4)), ExcludePunctuation: new(true), ExcludeNumbers: new(true), ExcludeCharacters: &exclude})]++
		}
		uniform(t, counts, 14)
	})
}

// uniform is Pearson's chi-squared test against the uniform distribution over
// kinds outcomes, with the bound five standard deviations out.
func uniform(t *testing.T, counts map[string]int, kinds int) {
	t.Helper()
	total := 0
	for _, n := range counts {
		total += n
	}
	if len(counts) != kinds {
		t.Fatalf("%d outcomes, want %d: %s", len(counts), kinds, fmt.Sprint(counts))
	}
	want := float64(total) / float64(kinds)
	x := 0.0
	for _, n := range counts {
		x += (float64(n) - want) * (float64(n) - want) / want
	}
	freedom := float64(kinds - 1)
	if bound := freedom + 6*math.Sqrt(2*freedom); x > bound {
		t.Errorf("chi-squared %.1f of %d draws over %d outcomes, more than %.1f", x, total, kinds, bound)
	}
}
