package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// VectorResult is the outcome of one test vector.
type VectorResult struct {
	Name string
	Want string
	// Got is what the engine decided, empty when the vector could not be run.
	Got string
	// Err says why it could not be run.
	Err error
	// Explanation is set when Got is not Want.
	Explanation *Explanation
}

// OK reports whether the vector was run and came out as wanted.
func (r VectorResult) OK() bool { return r.Err == nil && r.Got == r.Want }

type vectorFile struct {
	Name     string            `json:"name"`
	Identity []json.RawMessage `json:"identity"`
	Resource json.RawMessage   `json:"resource"`
	Boundary json.RawMessage   `json:"boundary"`
	Session  []json.RawMessage `json:"session"`
	Request  struct {
		Principal struct {
			Type     PrincipalType     `json:"type"`
			Account  string            `json:"account"`
			ARN      string            `json:"arn"`
			UserID   string            `json:"userid"`
			UserName string            `json:"username"`
			RoleARN  string            `json:"roleArn"`
			UserARN  string            `json:"userArn"`
			Service  string            `json:"service"`
			Tags     map[string]string `json:"tags"`
		} `json:"principal"`
		Action          string                   `json:"action"`
		Resource        string                   `json:"resource"`
		ResourceAccount string                   `json:"resourceAccount"`
		Context         map[string]vectorContext `json:"context"`
	} `json:"request"`
	Expect string `json:"expect"`
}

// vectorContext is a string, or for a multivalued key a list of strings.
type vectorContext struct{ Value }

// UnmarshalJSON implements json.Unmarshaler.
func (c *vectorContext) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		c.Multi = true
		return json.Unmarshal(b, &c.Many)
	}
	return json.Unmarshal(b, &c.One)
}

// maxVectors bounds a file of vectors; the shared one has 90 KB.
const maxVectors = 64 << 20

// RunVectors runs every vector of a file (format of spec
// iam-policy-evaluation.md 12). It fails only when the file as a whole cannot
// be read; a broken vector is a result with Err set.
func RunVectors(r io.Reader) ([]VectorResult, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxVectors+1))
	if err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	if len(src) > maxVectors {
		return nil, fmt.Errorf("read vectors: more than %d bytes", maxVectors)
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(src, &raws); err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	results := make([]VectorResult, 0, len(raws))
	for i, raw := range raws {
		result := runVector(raw)
		if result.Name == "" {
			result.Name = fmt.Sprintf("vector %d", i+1)
		}
		results = append(results, result)
	}
	return results, nil
}

func runVector(raw []byte) VectorResult {
	v, err := decodeVector(raw)
	result := VectorResult{Name: v.Name, Want: v.Expect, Err: err}
	if err != nil {
		return result
	}
	set, err := v.set()
	if err != nil {
		result.Err = err
		return result
	}
	q := v.request()
	result.Got = Evaluate(q, set).Outcome.String()
	if result.Got != result.Want {
		result.Explanation = Explain(q, set)
	}
	return result
}

func decodeVector(raw []byte) (vectorFile, error) {
	var v vectorFile
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return v, err
	}
	for _, key := range [...]string{"name", "identity", "resource", "boundary", "session", "request", "expect"} {
		if _, ok := keys[key]; !ok {
			return v, fmt.Errorf("member %q is missing", key)
		}
	}
	switch v.Expect {
	case Allow.String(), ExplicitDeny.String(), ImplicitDeny.String():
	default:
		return v, fmt.Errorf("no such outcome %q", v.Expect)
	}
	switch v.Request.Principal.Type {
	case User, AssumedRole, FederatedUser, Root, Service, Anonymous:
	default:
		return v, fmt.Errorf("no such principal type %q", v.Request.Principal.Type)
	}
	return v, nil
}

// trust reports whether the resource policy is a role's trust policy: roles are
// the only resource of STS that has one.
func (v *vectorFile) trust() bool {
	return strings.HasPrefix(strings.ToLower(v.Request.Action), "sts:")
}

func (v *vectorFile) set() (*Set, error) {
	s := &Set{SessionPassed: v.Session != nil}
	var err error
	if s.Identity, err = vectorSources("identity", v.Identity); err != nil {
		return nil, err
	}
	if s.Session, err = vectorSources("session", v.Session); err != nil {
		return nil, err
	}
	if s.Boundary, err = vectorSource("boundary", v.Boundary); err != nil {
		return nil, err
	}
	if s.Resource, err = vectorSource("resource", v.Resource); err != nil {
		return nil, err
	}
	if s.Resource != nil && v.trust() {
		s.Resource.Kind = KindTrust
	}
	return s, nil
}

func vectorSources(name string, raws []json.RawMessage) ([]Source, error) {
	sources := make([]Source, 0, len(raws))
	for i, raw := range raws {
		doc, err := Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("%s policy %d: %w", name, i+1, err)
		}
		sources = append(sources, Source{ID: fmt.Sprintf("%s %d", name, i+1), Doc: doc})
	}
	return sources, nil
}

func vectorSource(name string, raw json.RawMessage) (*Source, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	doc, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s policy: %w", name, err)
	}
	return &Source{ID: name, Doc: doc}, nil
}

func (v *vectorFile) request() *Request {
	p := v.Request.Principal
	principal := &Principal{
		Type: p.Type, Account: p.Account, ARN: p.ARN, UserID: p.UserID, UserName: p.UserName,
		RoleARN: p.RoleARN, UserARN: p.UserARN, Service: p.Service,
	}
	for key, value := range p.Tags {
		principal.Tags = append(principal.Tags, Tag{key, value})
	}
	context := new(Context)
	for key, value := range v.Request.Context {
		if value.Multi {
			context.SetMany(key, value.Many)
		} else {
			context.Set(key, value.One)
		}
	}
	action := strings.ToLower(v.Request.Action)
	isKey := strings.HasPrefix(action, "kms:") && strings.Contains(v.Request.Resource, ":key/")
	return &Request{
		Principal: principal, Action: v.Request.Action, Resource: v.Request.Resource,
		ResourceAccount: v.Request.ResourceAccount, Context: context, Mandatory: isKey || strings.HasPrefix(action, "sts:assumerole"),
	}
}
