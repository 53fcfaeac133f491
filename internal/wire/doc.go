// Package wire is a call: it recognises a request's protocol, decodes and checks
// the input, sees to it that the caller is known, permitted and recorded, runs
// the operation, and turns the outcome into bytes.
//
// Services describe themselves with a [Service] and hand over typed functions
// with [Op]; both come from generated code (internal/gen/awsgen). One [Registry]
// holds them all, and every way in, whether HTTP ([Registry.Handler]), another
// operation ([Registry.Nested]), a face inside the process ([Registry.Invoke])
// or a job ([Registry.Background]), takes the same steps in the same order:
//
//	room for the record → decode → check shape → operation → decision? → record → answer
//
// The one invariant: no answer leaves that was not both decided and recorded. An
// operation that succeeds without a permitting [Decision] is answered with the
// service's internal error, and an answer whose record cannot be made durable is
// withheld.
//
// Three codecs live here: awsJson 1.1, and the two halves of awsQuery (form in,
// XML out). Facts about the protocols are from spec secretsmanager.md 1, kms.md 1
// and iam-sts.md 1; where those mark something unconfirmed, the line that decides
// says so.
//
// Secret values pass through the codecs and nowhere else: types from package aws
// keep them out of logs and errors, request and answer buffers are wiped before
// they are used again, and decoding errors are rebuilt without the text that
// caused them. Copies that the JSON library, the HTTP server and the garbage
// collector hold for a while are beyond reach.
package wire
