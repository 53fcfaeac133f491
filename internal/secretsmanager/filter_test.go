package secretsmanager

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestSplitWords is the word splitting of spec secretsmanager.md 8.1.
func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                 nil,
		"word":             {"word"},
		"two words":        {"two", "words"},
		"myDb":             {"my", "Db"},
		"HTTPServer":       {"HTTP", "Server"},
		"ALLCAPS":          {"ALLCAPS"},
		"myDBInstance":     {"my", "DB", "Instance"},
		"ABc":              {"A", "Bc"},
		"aB":               {"a", "B"},
		"db1prod":          {"db", "1", "prod"},
		"v2":               {"v", "2"},
		"a/b_c+d=e.f@g-h":  {"a", "b", "c", "d", "e", "f", "g", "h"},
		"//..--":           nil,
		"DBsAreFun":        {"D", "Bs", "Are", "Fun"},
		"lowercaseisnocut": {"lowercaseisnocut"},
		"größeÄrger":       {"größe", "Ärger"},
	} {
		if got := splitWords(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzSplitWords: words hold all letters and digits of the text in their order,
// nothing else, and none is empty; splitting what was split changes nothing.
func FuzzSplitWords(f *testing.F) {
	for _, seed := range []string{"", "HTTPServer42 myDb", "a/b", "ÄÖx", "\xff", "A1b2C3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := splitWords(text)
		kept := strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, text)
		if got := strings.Join(words, ""); got != kept {
			t.Errorf("words %q of %q, want the characters %q", words, text, kept)
		}
		for _, w := range words {
			if again := splitWords(w); w == "" || len(again) != 1 || again[0] != w {
				t.Errorf("word %q of %q splits into %q", w, text, again)
			}
		}
		if len(words) > 0 && !wordsMatch(words, words) {
			t.Errorf("%q does not match itself", words)
		}
	})
}
