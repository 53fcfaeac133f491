// Package kms is the Key Management Service slice: symmetric keys, their
// material, policies and aliases, and the operations that encrypt and decrypt
// under them. Other slices use keys through a [Handle], with their caller's own
// rights.
//
// Its one invariant: material is opened only inside a call whose principal the
// key's policy permits and while the row says that the key is enabled. Rows are
// cached, but only under the generation that every change moves in its own
// transaction, so a key that was disabled, re-policied or destroyed is honoured
// by the next call on any node.
//
// Material exists in three places: sealed by the keyring in kms_material, in the
// memory of this package in buffers that are cleared when the cache lets go of
// them, and, while one message is sealed or opened, inside the cipher. The blobs
// themselves are package envelope's format.
//
// Every operation goes through the same steps (spec kms.md 5): what the request
// alone shows to be wrong, look-up, decision, state, usage, cryptography.
// Look-ups tell nothing before the decision: a missing key of the caller's account
// is decided on by identity policies, one of another account is denied like a key
// that consents to nothing, and a ciphertext whose key is gone is answered like
// one whose key is closed.
//
// # Where the specification is silent
//
//   - The key or alias that does not exist is decided on under its own ARN.
//   - A key of another account that operations cannot reach (all but DescribeKey
//     and the cryptographic ones) is denied as if its policy were empty.
//   - The lockout check asks whether the caller could call PutKeyPolicy under
//     the new policy with his present identity policies. The default policy of
//     CreateKey is not checked: it gives the key to the account.
//   - CreateKey with tags needs kms:TagResource on the ARN of the key to be,
//     decided on identity policies.
//   - Decrypt with a KeyId decides on that key, then its state, and only then
//     compares it with the ciphertext's.
//   - A dry run of Decrypt does open the ciphertext, to know whether it would
//     have succeeded.
//   - Grant tokens are refused as unknown: there are no grants yet.
//   - A key is destroyed when its waiting period ends, not up to a day later.
//
// # Divergences
//
// CreateKey makes SYMMETRIC_DEFAULT keys of origin AWS_KMS in one region only;
// all else is UnsupportedOperationException. Recipient (attested enclaves) is
// refused likewise. Key ids are accepted in lower case only. ListAliases shows
// predefined aliases only once their key exists.
package kms
