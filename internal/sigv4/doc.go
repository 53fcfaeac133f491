// Package sigv4 parses and verifies AWS Signature Version 4, in the
// Authorization header and in presigned URLs (spec iam-sts.md 5).
//
// The caller goes in three steps, each of which may refuse with an [*Error]:
// [Parse] reads what the request claims, [Signature.CheckScope] holds it against
// clock, region and service, [Signature.Verify] proves it with the signing key of
// the claimed access key. The order is AWS's (spec iam-sts.md 5.2); between the
// second and the third step the caller looks up key and session token, for which
// [ErrUnrecognizedClient] and [ErrExpiredToken] stand ready.
//
// Its one invariant: what Verify accepts was signed, byte for byte after AWS's
// normalisation, by someone who has the key; whatever could be read in two ways
// is refused.
//
// Beyond the rule book we insist on:
//   - host and every x-amz-* header present are signed;
//   - SignedHeaders is lower case, strictly ascending and bounded;
//   - the signature is 64 lower-case hexadecimal digits;
//   - one Authorization header, or one of each signature parameter in the query,
//     never both ways at once;
//   - x-amz-content-sha256 equals the hash of the body. UNSIGNED-PAYLOAD passes
//     only where the caller says so, STREAMING-* never.
package sigv4
