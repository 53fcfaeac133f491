// Package envelope holds the sealed formats that Strongroom promises to read
// for ever: blobs sealed under a long-lived key (what KMS hands to customers,
// what the keyring and the root key seal inside) and values sealed under a data
// key of their own.
//
// Its one invariant: a format byte, once released, means the same bytes for
// ever. A change is a new format byte; the vectors in testdata hold the old one.
//
// # Blobs
//
// All integers are big-endian. Long-lived material never encrypts directly; it
// derives one message key per blob.
//
//	bytes  field        why
//	1      format       kind and version; kinds can never be taken for each other
//	       name         says which key opens the blob, so that no search is needed:
//	                    KMS:                     keyring and root key:
//	                    5   account, a number    16  material id
//	                    1   r, length of region
//	                    r   region
//	                    1   k, length of key id
//	                    k   key id, as text (UUIDs today, "mrk-…" in time)
//	                    16  material id
//	16     salt         random; separates the message keys
//	32     commitment   second half of the derivation, see below
//	12     nonce        random
//	n      ciphertext   AES-256-GCM, as long as the plaintext
//	16     tag          of GCM, never shortened
//
// A KMS blob costs 100+r+k bytes: 145 for a UUID in us-east-1, 196 at most, so
// that 4096 bytes of plaintext stay far below the 6144 of Decrypt (spec kms.md
// 5.1). The material id there is the first half of the 32 bytes that KMS shows as
// KeyMaterialId: it only has to tell the few materials of one key apart.
//
// Derivation: the KDF in counter mode of NIST SP 800-108r1, section 4.1, with
// HMAC-SHA-256 as PRF and 32-bit counter and length:
//
//	K(i)    = HMAC(material, i || label || 0x00 || context || 512)
//	context = format || name || salt || SHA-256(aad)
//
// K(1) is the message key, K(2) the commitment. The label is different for each
// kind: should one key ever serve two kinds by mistake, their message keys still
// have nothing in common.
//
// Additional data of GCM: every byte before the nonce, then the caller's
// additional data after its length in eight bytes.
//
// Salt. With 128 random bits per blob two message keys of one material coincide
// with a chance of 2^-32 after 2^48 blobs. Plain GCM under the material itself
// reaches that chance after 2^32 (NIST SP 800-38D, section 8.3).
//
// Nonce. Each message key seals one blob, so even a zero nonce would do. A
// random one costs twelve bytes and makes salts that coincide harmless too. It
// is drawn by the cipher itself, the form that FIPS 140-3 approves.
//
// Commitment. GCM does not commit to its key: who knows two keys can make one
// ciphertext that opens under both, to different plaintexts. Customers choose
// KMS material (import) and store blobs where others open them, so a blob must
// have one meaning. K(2) is a collision-resistant function of material, name,
// salt and additional data, compared in constant time before GCM runs; the nonce
// stands in the blob. So a whole blob commits to key, additional data and
// plaintext. It also answers a wrong encryption context before any decryption.
// Thirty-two bytes, because collisions, not preimages, are the attack.
//
// # Values
//
//	bytes  field        why
//	1      format       version of this table
//	12     nonce        random
//	n      ciphertext   AES-256-GCM
//	16     tag          of GCM, never shortened
//
// The key is a data key made for this one value. Additional data: format,
// account, ARN, version id and purpose, each text after its length in four bytes,
// so that a value moved to another row, secret, account or role does not open.
// A data key seals once, so any nonce is safe; a random one stays safe should a
// retry ever seal again under the same key. There is no commitment here: the data
// key comes out of a committing blob that is bound to the same ARN and version,
// and no caller can bring his own.
//
// Neither form hides the length of the plaintext.
package envelope
