// Package oidc verifies ID tokens of OpenID Connect providers (OpenID Connect
// Core 1.0 and Discovery 1.0, RFC 7515 to 7519), the Kubernetes service-account
// tokens among them. It knows providers, keys and claims, and nothing of roles.
//
// Its one invariant: claims come out of [Verifier.Verify] only under a signature
// by a key of the provider's own, which the caller named. Nothing in a token says
// where to look for a key: of its header only the algorithm, out of a fixed list,
// and the key's id are read, and "jku", "jwk", "x5u" and "x5c" mean nothing.
//
// The keys come from the provider's discovery document, or from a document that
// the operator pasted where the provider cannot be reached.
package oidc
