// Package randomiam holds the test that lets chance manage users: random operations
// of IAM and STS run against a whole server on SQLite, a whole server on PostgreSQL
// and a small model written from the specification, and all three must answer
// alike. In between, the holders of access keys and the sessions of roles read a
// secret: whether they may follows from the policies that the model holds, so a
// cache that is behind and an attachment that was lost show.
//
// Its one invariant: what the model answers comes from the specification. Where
// that is silent the model does as the servers do, and says beside the rule that it
// is not specified.
package randomiam
