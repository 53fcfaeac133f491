-- Secrets, their versions and their replicas. Account and region come first in
-- every key. The text of labels, tags and statuses is JSON: each is read and
-- written whole, never searched by the database.

CREATE TABLE secrets (
    account         TEXT   NOT NULL,
    region          TEXT   NOT NULL,
    -- Random and never used again: versions hang on it, so a secret made again
    -- under an old name has nothing of the old one.
    uid             TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    -- The six random characters at the end of the ARN.
    suffix          TEXT   NOT NULL,
    description     TEXT   NOT NULL,
    -- As given by the caller; '' = the default key.
    kms_key_id      TEXT   NOT NULL,
    type            TEXT   NOT NULL,
    owning_service  TEXT   NOT NULL,
    -- '' = never tagged, '[]' = no longer tagged.
    tags            TEXT   NOT NULL,
    policy          TEXT   NOT NULL,
    policy_version  BIGINT NOT NULL,
    -- JSON list of [label, version id] in the order attached.
    labels          TEXT   NOT NULL,
    -- The version labelled AWSCURRENT, '' when there is none: the read joins on it.
    current_version TEXT   NOT NULL,
    -- ClientRequestToken of the CreateSecret call.
    create_token    TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    -- Start of the UTC day of the last read, 0 = never.
    accessed_at     BIGINT NOT NULL,
    -- When DeleteSecret was called, 0 = live; and when the purge is due.
    deleted_at      BIGINT NOT NULL,
    purge_at        BIGINT NOT NULL,
    -- '' = not replicated. On a replica, the region of its primary.
    primary_region  TEXT   NOT NULL,
    replica         BOOLEAN NOT NULL,
    -- Grows with each change: writers that worked outside the transaction
    -- (sealing, deciding) compare it, replicas follow it.
    revision        BIGINT NOT NULL
);
CREATE UNIQUE INDEX secrets_name ON secrets (account, region, name);
CREATE UNIQUE INDEX secrets_uid ON secrets (account, region, uid);
CREATE INDEX secrets_created ON secrets (account, region, created_at, uid);
CREATE INDEX secrets_purge ON secrets (purge_at) WHERE purge_at > 0;

CREATE TABLE secret_versions (
    account     TEXT   NOT NULL,
    region      TEXT   NOT NULL,
    secret_uid  TEXT   NOT NULL,
    version_id  TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    accessed_at BIGINT NOT NULL,
    -- 's' text, 'b' binary.
    kind        TEXT   NOT NULL,
    -- The key that wrapped data_key; '' = the default key of account and region.
    kms_key_arn TEXT   NOT NULL,
    -- The data key, a KMS ciphertext blob, and the value sealed under it.
    data_key    BYTEA  NOT NULL,
    sealed      BYTEA  NOT NULL
);
CREATE UNIQUE INDEX secret_versions_id ON secret_versions (account, region, secret_uid, version_id);

CREATE TABLE secret_replicas (
    account        TEXT   NOT NULL,
    -- Region and uid of the primary.
    region         TEXT   NOT NULL,
    secret_uid     TEXT   NOT NULL,
    replica_region TEXT   NOT NULL,
    kms_key_id     TEXT   NOT NULL,
    -- InProgress, InSync or Failed.
    status         TEXT   NOT NULL,
    message        TEXT   NOT NULL,
    overwrite      BOOLEAN NOT NULL,
    -- Who asked: account and unique id of the principal whose rights the job
    -- checks again each time.
    asked_account  TEXT   NOT NULL,
    asked_by       TEXT   NOT NULL,
    -- Revision of the primary that the replica holds, 0 = none yet.
    synced         BIGINT NOT NULL,
    -- When the job looks at it next, 0 = nothing to do.
    due_at         BIGINT NOT NULL,
    failures       BIGINT NOT NULL
);
CREATE UNIQUE INDEX secret_replicas_region ON secret_replicas (account, region, secret_uid, replica_region);
CREATE INDEX secret_replicas_due ON secret_replicas (due_at) WHERE due_at > 0;
