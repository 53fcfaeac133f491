package auth

// Provider is an identity provider whose tokens an account takes.
type Provider struct {
	ARN string
	// Issuer is the URL with its scheme, as the tokens' claim "iss" has it.
	Issuer string
	// ClientIDs are the audiences that are accepted.
	ClientIDs []string
	// JWKS are keys that the operator pasted; nil when they are fetched.
	JWKS []byte
}
