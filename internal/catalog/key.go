package catalog

import (
	"iter"
	"strings"
)

// Type is the type of a condition key, which says which operators fit.
type Type uint8

// The types.
const (
	String Type = iota + 1
	ARN
	Bool
	Numeric
	Date
	IP
)

// String returns the type's name.
func (t Type) String() string {
	switch t {
	case String:
		return "String"
	case ARN:
		return "ARN"
	case Bool:
		return "Bool"
	case Numeric:
		return "Numeric"
	case Date:
		return "Date"
	case IP:
		return "IPAddress"
	}
	return "unknown"
}

type key struct {
	name string
	// fixed is the length of the part before a variable, 0 for names without one.
	fixed uint8
	kind  Type
	multi bool
}

// Key is a condition key.
type Key struct{ row *key }

// Name returns the key as the reference spells it, such as
// "aws:RequestTag/${TagKey}".
func (k Key) Name() string { return k.row.name }

// Type returns the type of the key's values.
func (k Key) Type() Type { return k.row.kind }

// Multi reports whether a request can have several values for the key.
func (k Key) Multi() bool { return k.row.multi }

// matches compares with a key of a policy, in any case. After the fixed part of a
// name with a variable something must follow.
func (k *key) matches(name string) bool {
	if k.fixed == 0 {
		return compareFold(k.name, name) == 0
	}
	return len(name) > int(k.fixed) && compareFold(k.name[:k.fixed], name[:k.fixed]) == 0
}

// Keys yields the condition keys of the action and of its resource types, without
// the global ones; a key of several of them once.
func (a Action) Keys() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for i := range a.service.keys {
			if a.hasKey(byte(i)) && !yield(Key{&a.service.keys[i]}) {
				return
			}
		}
	}
}

func (a Action) hasKey(index byte) bool {
	if strings.IndexByte(a.row.keys, index) >= 0 {
		return true
	}
	for i := range len(a.row.types) {
		if strings.IndexByte(a.service.types[a.row.types[i]].keys, index) >= 0 {
			return true
		}
	}
	return false
}

// Key returns the condition key of a name in a policy, in any case, if a request
// for the action can have it: one of its own or a global one.
func (a Action) Key(name string) (Key, bool) {
	for i := range a.service.keys {
		if k := &a.service.keys[i]; k.matches(name) && (a.hasKey(byte(i)) || a.lasts(k)) {
			return Key{k}, true
		}
	}
	if k, ok := Global(name); ok {
		return k, true
	}
	if a.service.prefix == "sts" && compareFold(a.row.name, "AssumeRoleWithWebIdentity") == 0 && issuerKey(name) {
		return Key{&webIdentity}, true
	}
	return Key{}, false
}

// lasts reports whether k is the time for which the action takes a role. The
// reference lists the key with other actions only; here trust policies can bound
// sessions by it.
func (a Action) lasts(k *key) bool {
	return k.name == "sts:DurationSeconds" && (a.row.name == "AssumeRole" || a.row.name == "AssumeRoleWithWebIdentity")
}

// LookupKey returns the condition key of a name in any case if any service or any
// request has it.
func LookupKey(name string) (Key, bool) {
	if k, ok := Global(name); ok {
		return k, true
	}
	for i := range services {
		for j := range services[i].keys {
			if k := &services[i].keys[j]; k.matches(name) {
				return Key{k}, true
			}
		}
	}
	if issuerKey(name) {
		return Key{&webIdentity}, true
	}
	return Key{}, false
}

// webIdentity is what a token of an OIDC provider says: "<issuer>:sub" and others.
// The issuers are the customer's own, so they stand in no table.
var webIdentity = key{name: "${Issuer}:${Claim}", kind: String}

// issuerKey reports whether a name is that of a claim: a host, maybe with a path,
// and one of the claims that AWS makes keys of.
func issuerKey(name string) bool {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || !strings.Contains(name[:i], ".") {
		return false
	}
	switch lower(name[i+1:]) {
	case "aud", "sub", "amr", "azp", "oaud", "email":
		return true
	}
	return false
}
