// Package sts tells callers who they are. Its one invariant: an answer names the
// principal whose signature was verified, never one named in the request.
//
// The operations that hand out temporary credentials come with a later release;
// see docs/divergences.md.
package sts
