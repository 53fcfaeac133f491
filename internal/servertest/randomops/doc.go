// Package randomops holds the test that lets chance use the product: random
// operations run against a whole server on SQLite, a whole server on PostgreSQL
// and a small model written from the specification, and all three must answer
// alike.
//
// Its one invariant: the model is written from the specification alone, never
// from the server's code. Where the specification is silent the model says so
// beside the rule it picked.
package randomops
