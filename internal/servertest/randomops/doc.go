// Package randomops holds the test that lets chance use the product: random
// operations run against a whole server on SQLite, a whole server on PostgreSQL
// and a small model written from the specification, and all three must answer
// alike.
//
// Its one invariant: what the model answers comes from the specification. Where
// that is silent the model does as the servers do, and says beside the rule that it
// is not specified.
package randomops
