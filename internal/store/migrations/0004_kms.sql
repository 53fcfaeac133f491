-- KMS keys, their material and their aliases. Everything begins with account and
-- region. Material has a table of its own: rotation adds rows to it, and deleting
-- a key destroys them while its ciphertexts stay out in the world.

CREATE TABLE kms_keys (
    account        TEXT   NOT NULL,
    region         TEXT   NOT NULL,
    -- UUID, the last part of the key's ARN.
    id             TEXT   NOT NULL,
    -- The service whose AWS-managed key this is, such as secretsmanager; '' for
    -- the keys of customers.
    managed_by     TEXT   NOT NULL,
    -- Enabled, Disabled or PendingDeletion.
    state          TEXT   NOT NULL,
    spec           TEXT   NOT NULL,
    key_usage      TEXT   NOT NULL,
    origin         TEXT   NOT NULL,
    description    TEXT   NOT NULL,
    -- The key policy as it was submitted.
    policy         TEXT   NOT NULL,
    -- Counts the puts, so that a recorded decision names the text it was made on.
    policy_version BIGINT NOT NULL,
    -- JSON list of {"k","v"}, '' when there are none.
    tags           TEXT   NOT NULL,
    -- Id of the material that new ciphertexts are made with.
    material       TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    -- When the key vanishes; 0 unless state is PendingDeletion.
    delete_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX kms_keys_id ON kms_keys (account, region, id);
-- However many callers are first, a service has one key per account and region.
CREATE UNIQUE INDEX kms_keys_managed ON kms_keys (account, region, managed_by) WHERE managed_by <> '';
CREATE INDEX kms_keys_due ON kms_keys (delete_at) WHERE delete_at > 0;

CREATE TABLE kms_material (
    account    TEXT   NOT NULL,
    region     TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    -- 64 hexadecimal digits, random: no digest of the material, which would
    -- let a guess be checked.
    id         TEXT   NOT NULL,
    -- The material, sealed by the keyring under purpose "kms.material".
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX kms_material_id ON kms_material (account, region, key_id, id);

CREATE TABLE kms_aliases (
    account    TEXT   NOT NULL,
    region     TEXT   NOT NULL,
    -- With the prefix alias/.
    name       TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX kms_aliases_name ON kms_aliases (account, region, name);
CREATE UNIQUE INDEX kms_aliases_key ON kms_aliases (account, region, key_id, name);
