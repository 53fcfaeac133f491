"""Prints vectors.json: an implementation of doc.go that shares no code with the
package. Needs the Python package "cryptography". Released vectors never change;
a new format adds new ones."""
import hashlib, json
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import CounterLocation, KBKDFHMAC, Mode

LABEL = {0x11: b"strongroom kms blob v1", 0x21: b"strongroom keyring blob v1", 0x31: b"strongroom root blob v1"}
be = lambda n, size: n.to_bytes(size, "big")
text = lambda s: be(len(s.encode()), 4) + s.encode()
filler = lambda what, n: hashlib.shake_128(what.encode()).digest(n)


def blob(title, kind, account, region, key, aad, plaintext):
    material, mid, salt, nonce = (filler(title + w, n) for w, n in (("material", 32), ("id", 16), ("salt", 16), ("nonce", 12)))
    head = bytes([kind])
    if kind == 0x11:
        head += be(int(account), 5) + bytes([len(region)]) + region.encode() + bytes([len(key)]) + key.encode()
    head += mid + salt
    kdf = KBKDFHMAC(algorithm=hashes.SHA256(), mode=Mode.CounterMode, length=64, rlen=4, llen=4,
                    location=CounterLocation.BeforeFixed, label=LABEL[kind],
                    context=head + hashlib.sha256(aad).digest(), fixed=None)
    keys = kdf.derive(material)
    head += keys[32:]
    sealed = head + nonce + AESGCM(keys[:32]).encrypt(nonce, plaintext, head + be(len(aad), 8) + aad)
    return dict(title=title, kind=kind, account=account, region=region, keyID=key, material=mid.hex(), key=material.hex(),
                aad=aad.hex(), plaintext=plaintext.hex(), sealed=sealed.hex())


def value(title, account, arn, version, purpose, plaintext):
    key, nonce = filler(title + "key", 32), filler(title + "nonce", 12)
    aad = b"\x41" + text(account) + text(arn) + text(version) + text(purpose)
    sealed = b"\x41" + nonce + AESGCM(key).encrypt(nonce, plaintext, aad)
    return dict(title=title, account=account, arn=arn, versionID=version, purpose=purpose, key=key.hex(),
                plaintext=plaintext.hex(), sealed=sealed.hex())


def context(title, pairs):
    out = b"".join(text(k) + text(v) for k, v in sorted(pairs.items(), key=lambda p: p[0].encode()))
    return dict(title=title, pairs=pairs, encoded=out.hex())


uuid = "1234abcd-12ab-34cd-56ef-1234567890ab"
arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
secret = {"SecretARN": arn, "SecretVersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"}
contexts = [
    context("empty", {}),
    context("secret", secret),
    context("empty texts", {"": "", "a": ""}),
    context("sorted by bytes", {"é": "1", "z": "2", "Z": "3", "zz": "4", "\U00010000": "5", "\uffff": "6"}),
]
blobs = [
    blob("kms data key", 0x11, "111122223333", "us-east-1", uuid, bytes.fromhex(contexts[1]["encoded"]), filler("data key", 32)),
    blob("kms without context", 0x11, "000000000001", "eu-central-2", uuid, b"", b"x"),
    blob("kms multi-region key, largest plaintext", 0x11, "999999999999", "ap-southeast-2",
         "mrk-" + uuid.replace("-", ""), b"aad", filler("large", 4096)),
    blob("keyring", 0x21, "", "", "", b"purpose and more", b"stored secret"),
    blob("keyring empty", 0x21, "", "", "", b"", b""),
    blob("root", 0x31, "", "", "", b"keyring", filler("storage key", 32)),
]
values = [
    value("secret", "111122223333", arn, secret["SecretVersionId"], "secretsmanager.value", b'{"password":"correct horse"}'),
    value("empty", "111122223333", arn, "v", "p", b""),
]
print(json.dumps(dict(contexts=contexts, blobs=blobs, values=values), indent=1, ensure_ascii=True))
