package reference

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Decisions, as written in the expect member of a vector (§12).
const (
	Allow        = "allow"
	ExplicitDeny = "explicitDeny"
	ImplicitDeny = "implicitDeny"
)

// Principal types (§12).
const (
	User          = "User"
	AssumedRole   = "AssumedRole"
	FederatedUser = "FederatedUser"
	Root          = "Root"
	Service       = "Service"
	Anonymous     = "Anonymous"
)

// Vector is one case of the shared vector format (§12): policies as submitted
// and a request. An absent policy is nil or the JSON text null.
type Vector struct {
	Name     string            `json:"name"`
	Identity []json.RawMessage `json:"identity"`
	Resource json.RawMessage   `json:"resource"`
	Boundary json.RawMessage   `json:"boundary"`
	Session  []json.RawMessage `json:"session"`

	// Endpoint is a VPC endpoint policy, which the shared format does not
	// have. When absent, it restricts nothing.
	Endpoint json.RawMessage `json:"endpoint,omitempty"`
	// SCP are service control policies, which the shared format does not have
	// either. None at all restrict nothing.
	SCP []json.RawMessage `json:"scp,omitempty"`

	Request Request `json:"request"`

	// Expect is Allow, ExplicitDeny or ImplicitDeny; Decide does not read it.
	Expect string `json:"expect"`
}

// Request is what is asked, by whom and under which circumstances (§12).
type Request struct {
	Principal Principal `json:"principal"`
	Action    string    `json:"action"`

	// Resource is an ARN, or "*" for an operation without resource.
	Resource string `json:"resource"`

	// Context holds the request context. Keys derived from the principal and
	// the resource are added by Decide unless they are given here.
	Context map[string]Value `json:"context"`

	// ResourceAccount owns the resource. Empty means the fifth field of the
	// ARN, or the caller's account when that is empty too.
	ResourceAccount string `json:"resourceAccount,omitempty"`
}

// Principal is the caller (§12).
type Principal struct {
	Type     string            `json:"type"`
	Account  string            `json:"account,omitempty"`
	ARN      string            `json:"arn,omitempty"` // session ARN for roles
	UserID   string            `json:"userid,omitempty"`
	Username string            `json:"username,omitempty"` // User
	RoleARN  string            `json:"roleArn,omitempty"`  // AssumedRole
	UserARN  string            `json:"userArn,omitempty"`  // FederatedUser
	Service  string            `json:"service,omitempty"`  // Service
	Tags     map[string]string `json:"tags,omitempty"`
}

// Value is the value of a context key: one string, or a set of strings when
// the key is multivalued. The difference is kept because §3 and §5.2 need it.
type Value struct {
	Multivalued bool
	Strings     []string // exactly one when not Multivalued
}

// Single returns the value of a single-valued key.
func Single(s string) Value { return Value{Strings: []string{s}} }

// Multi returns the value of a multivalued key, which may be empty.
func Multi(s ...string) Value { return Value{Multivalued: true, Strings: s} }

// MarshalJSON writes a string for a single value and an array for a set.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Multivalued {
		if v.Strings == nil {
			return []byte("[]"), nil
		}
		return json.Marshal(v.Strings)
	}
	if len(v.Strings) != 1 {
		return nil, fmt.Errorf("single-valued context key has %d values", len(v.Strings))
	}
	return json.Marshal(v.Strings[0])
}

// UnmarshalJSON reads a string or an array of strings.
func (v *Value) UnmarshalJSON(src []byte) error {
	var decoded any
	if err := json.Unmarshal(src, &decoded); err != nil {
		return err
	}
	if s, ok := decoded.(string); ok {
		*v = Single(s)
		return nil
	}
	items, ok := decoded.([]any)
	if !ok {
		return errors.New("context value is neither a string nor an array")
	}
	set := Value{Multivalued: true, Strings: []string{}}
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			return errors.New("context value holds something that is not a string")
		}
		set.Strings = append(set.Strings, s)
	}
	*v = set
	return nil
}

// request is a Request with the derived context keys of §12 filled in.
type request struct {
	Request
	owner string // account that owns the resource
}

func newRequest(in Request) (request, error) {
	p := in.Principal
	principalType := p.Type
	principalARN := p.ARN
	username := ""
	switch p.Type {
	case User:
		username = p.Username // §6: IAM users only
	case AssumedRole:
		principalARN = p.RoleARN // §4, §6: the role, not the session
	case Root:
		principalType = "Account" // §6
	case FederatedUser, Anonymous:
	case Service:
		principalType = "" // §6 names no value for services
	default:
		return request{}, fmt.Errorf("unknown principal type %q", p.Type)
	}

	q := request{Request: in}
	q.owner = in.ResourceAccount
	if parts := strings.SplitN(in.Resource, ":", 6); q.owner == "" && len(parts) == 6 && parts[4] != "*" {
		q.owner = parts[4]
	}
	if q.owner == "" {
		q.owner = p.Account
	}

	q.Context = map[string]Value{}
	for key, value := range in.Context {
		if _, twice := q.lookup(key); twice {
			return request{}, fmt.Errorf("context key %q occurs twice", key)
		}
		if !value.Multivalued && len(value.Strings) != 1 {
			return request{}, fmt.Errorf("context key %q has %d values", key, len(value.Strings))
		}
		q.Context[key] = value
	}
	// §12: derived unless given, and never for facts the caller lacks.
	derived := map[string]string{
		"aws:PrincipalArn":     principalARN,
		"aws:PrincipalAccount": p.Account,
		"aws:PrincipalType":    principalType,
		"aws:userid":           p.UserID,
		"aws:username":         username,
		"aws:ResourceAccount":  q.owner,
	}
	for key, value := range derived {
		if _, given := q.lookup(key); !given && value != "" {
			q.Context[key] = Single(value)
		}
	}
	for tag := range p.Tags {
		for other := range p.Tags {
			if tag != other && strings.EqualFold(tag, other) {
				return request{}, fmt.Errorf("principal tag %q occurs twice", tag)
			}
		}
	}
	for tag, value := range p.Tags {
		key := "aws:PrincipalTag/" + tag
		if _, given := q.lookup(key); !given {
			q.Context[key] = Single(value)
		}
	}
	return q, nil
}

// lookup finds a context key. §5 rule 3: key names, tag names included, are
// compared without regard to case.
func (q request) lookup(key string) (Value, bool) {
	for name, value := range q.Context {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return Value{}, false
}

func absent(policy json.RawMessage) bool {
	text := bytes.TrimSpace(policy)
	return len(text) == 0 || string(text) == "null"
}
