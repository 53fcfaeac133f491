package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ReadVector reads what Evaluate and Explain take from the format of a test
// vector (spec iam-policy-evaluation.md 12), in which all but the request may be
// left out here. Of a file with a list of vectors it takes the one of that name;
// name "" stands for the only one.
func ReadVector(r io.Reader, name string) (*Request, *Set, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxVectors+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read request: %w", err)
	}
	if len(src) > maxVectors {
		return nil, nil, fmt.Errorf("read request: more than %d bytes", maxVectors)
	}
	raw, err := pickVector(bytes.TrimSpace(src), name)
	if err != nil {
		return nil, nil, fmt.Errorf("read request: %w", err)
	}
	var v vectorFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return nil, nil, fmt.Errorf("read request: %w", err)
	}
	if err := v.complete(); err != nil {
		return nil, nil, fmt.Errorf("read request: %w", err)
	}
	set, err := v.set()
	if err != nil {
		return nil, nil, err
	}
	return v.request(), set, nil
}

// complete says what a request cannot be explained without.
func (v *vectorFile) complete() error {
	switch v.Request.Principal.Type {
	case User, AssumedRole, FederatedUser, Root, Service, Anonymous:
	case "":
		return errors.New(`member "request.principal.type" is missing`)
	default:
		return fmt.Errorf("no such principal type %q", v.Request.Principal.Type)
	}
	if v.Request.Action == "" || v.Request.Resource == "" {
		return errors.New(`members "request.action" and "request.resource" are needed`)
	}
	return nil
}

func pickVector(src []byte, name string) ([]byte, error) {
	if !bytes.HasPrefix(src, []byte("[")) {
		if name != "" {
			return nil, fmt.Errorf("no list of vectors to find %q in", name)
		}
		return src, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(src, &list); err != nil {
		return nil, err
	}
	if name == "" && len(list) == 1 {
		return list[0], nil
	}
	names := make([]string, 0, len(list))
	for _, raw := range list {
		var v struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		if name != "" && v.Name == name {
			return raw, nil
		}
		names = append(names, v.Name)
	}
	if name != "" {
		return nil, fmt.Errorf("no vector is named %q", name)
	}
	if len(names) > listed {
		names = append(names[:listed], "…")
	}
	return nil, fmt.Errorf("%d vectors; say which: %s", len(list), strings.Join(names, ", "))
}
