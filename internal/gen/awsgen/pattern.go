package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// translatePattern turns a Java regular expression of a model into one that Go's
// RE2 engine reads the same way. It handles what models use and refuses the rest:
// look-around, back references, possessive and lazy-possessive quantifiers, class
// intersection and nesting.
func translatePattern(java string) (string, error) {
	var b strings.Builder
	inClass := false
	for i := 0; i < len(java); i++ {
		c := java[i]
		switch {
		case c == '\\':
			n, err := translateEscape(&b, java[i:], inClass)
			if err != nil {
				return "", err
			}
			i += n - 1
		case inClass && c == '[', inClass && strings.HasPrefix(java[i:], "&&"):
			return "", fmt.Errorf("pattern %q: nested class", java)
		case c == '[':
			inClass = true
			b.WriteByte(c)
			// A bracket right after the opening is a literal in RE2 and an error
			// or something else in Java.
			if rest := strings.TrimPrefix(java[i+1:], "^"); strings.HasPrefix(rest, "]") {
				return "", fmt.Errorf("pattern %q: empty class", java)
			}
		case c == ']':
			inClass = false
			b.WriteByte(c)
		case !inClass && c == '.':
			// Java's dot stops at more line ends than RE2's.
			b.WriteString(`[^\n\r\x{85}\x{2028}\x{2029}]`)
		case !inClass && c == '(' && strings.HasPrefix(java[i:], "(?") && !strings.HasPrefix(java[i:], "(?:"):
			return "", fmt.Errorf("pattern %q: group with a flag or look-around", java)
		case !inClass && c == '+' && i > 0 && strings.IndexByte("*+?}", java[i-1]) >= 0 && !escaped(java, i-1):
			return "", fmt.Errorf("pattern %q: possessive quantifier", java)
		default:
			b.WriteByte(c)
		}
	}
	if inClass {
		return "", fmt.Errorf("pattern %q: open class", java)
	}
	if _, err := regexp.Compile(b.String()); err != nil {
		return "", fmt.Errorf("pattern %q: %w", java, err)
	}
	return b.String(), nil
}

// escaped says whether the byte at i stands behind an odd number of backslashes.
func escaped(s string, i int) bool {
	n := 0
	for i-1-n >= 0 && s[i-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// translateEscape writes the escape that s starts with and returns its length.
func translateEscape(b *strings.Builder, s string, inClass bool) (int, error) {
	if len(s) < 2 {
		return 0, fmt.Errorf("pattern ends in a backslash")
	}
	switch c := s[1]; {
	case c == 'u':
		// Java takes exactly four digits: in "\u10000" the last zero is a
		// character by itself, and so it is here.
		if len(s) < 6 {
			return 0, fmt.Errorf("short escape %q", s)
		}
		r, err := strconv.ParseUint(s[2:6], 16, 32)
		if err != nil || r >= 0xD800 && r < 0xE000 {
			return 0, fmt.Errorf("escape %q is no character", s[:6])
		}
		fmt.Fprintf(b, `\x{%X}`, r)
		return 6, nil
	case c == 's':
		// RE2 leaves the vertical tab out.
		if inClass {
			b.WriteString(`\s\x0B`)
		} else {
			b.WriteString(`[\s\x0B]`)
		}
		return 2, nil
	case c == 'p' || c == 'P':
		end := strings.IndexByte(s, '}')
		if len(s) < 4 || s[2] != '{' || end < 0 || end > 5 {
			return 0, fmt.Errorf("unknown property in %q", s)
		}
		b.WriteString(s[:end+1])
		return end + 1, nil
	case strings.IndexByte("wWdDtnrf", c) >= 0, !isAlnum(c):
		b.WriteString(s[:2])
		return 2, nil
	}
	return 0, fmt.Errorf("unknown escape %q", s[:2])
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
