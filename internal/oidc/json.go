package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// bounds limit a JSON text: its depth and the number of its values and names.
type bounds struct{ depth, tokens int }

var (
	errJSON  = errors.New("not a JSON object")
	errBound = errors.New("too deep or too many members")
	errTwice = errors.New("a member given twice")
	errType  = errors.New("a member of another type than it should be")
)

// object reads a JSON object whose members are asked for in exact case. A member
// given twice is refused, at any depth: two readers could take one each.
func object(src []byte, b bounds) (map[string]json.RawMessage, error) {
	if !utf8.Valid(src) || !json.Valid(src) {
		return nil, errJSON
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	if err := walk(d, b.depth, &b.tokens); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(src, &out); err != nil || out == nil {
		return nil, errJSON
	}
	return out, nil
}

// walk reads one value.
func walk(d *json.Decoder, depth int, left *int) error {
	if *left--; *left < 0 || depth < 0 {
		return errBound
	}
	t, err := d.Token()
	if err != nil {
		return errJSON
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return errJSON
			}
			if seen[name.(string)] {
				return errTwice
			}
			seen[name.(string)] = true
		}
		if err := walk(d, depth-1, left); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end
	return err
}

// maxText bounds a claim that is read; the longest in use, a Kubernetes subject,
// stays below 400.
const maxText = 2048

// text reads a string without control characters: claims end up in conditions,
// records and databases. U+FFFD stands for what was no character, and two
// different subjects must not become one.
func text(raw json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", errType
	}
	if *s == "" || len(*s) > maxText || strings.ContainsFunc(*s, func(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) }) {
		return "", errType
	}
	return *s, nil
}

// texts reads a string or a list of strings.
func texts(raw json.RawMessage) ([]string, error) {
	if one, err := text(raw); err == nil {
		return []string{one}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, errType
	}
	out := make([]string, len(list))
	for i, item := range list {
		s, err := text(item)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

// lastSecond is the end of the year 9999; nothing after it prints as a date.
const lastSecond = 253402300799

// instant reads a NumericDate (RFC 7519 section 2), cut to seconds.
func instant(raw json.RawMessage) (time.Time, error) {
	f, err := strconv.ParseFloat(string(raw), 64) // a JSON string begins with a quote and fails
	if err != nil || !(f >= 0 && f <= lastSecond) {
		return time.Time{}, errType
	}
	return time.Unix(int64(f), 0), nil
}
