-- What users hold besides access keys, and what an account says about itself. As
-- in 0003_iam.sql rows hang on unique ids, so that a user keeps them under a new
-- name and nobody inherits them.

-- When, with which service and in which region a key or a role was last used, to
-- the quarter of an hour; used_at 0 = never.
ALTER TABLE iam_access_keys ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE iam_access_keys ADD COLUMN used_service TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_access_keys ADD COLUMN used_region TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_roles ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE iam_roles ADD COLUMN used_region TEXT NOT NULL DEFAULT '';

CREATE TABLE iam_mfa_devices (
    account       TEXT   NOT NULL,
    -- Of its own: a device made again under an old serial number is another one.
    id            TEXT   NOT NULL,
    -- The serial number is the ARN.
    serial        TEXT   NOT NULL,
    -- '' while nobody's.
    user_id       TEXT   NOT NULL,
    -- The seed, sealed by the keyring under purpose "iam.mfa-seed".
    sealed        BYTEA  NOT NULL,
    -- JSON list of {"k","v"}, '' when never tagged.
    tags          TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    -- 0 while nobody's.
    enabled_at    BIGINT NOT NULL,
    -- The latest time step whose code was taken: none up to it is taken again.
    last_step     BIGINT NOT NULL,
    -- Wrong codes in a row, and until when none is looked at.
    failures      BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_mfa_devices_serial ON iam_mfa_devices (account, serial);
CREATE INDEX iam_mfa_devices_user ON iam_mfa_devices (account, user_id);

CREATE TABLE iam_login_profiles (
    account        TEXT    NOT NULL,
    user_id        TEXT    NOT NULL,
    -- The Argon2id hash, sealed by the keyring under purpose "iam.password".
    sealed         BYTEA   NOT NULL,
    reset_required BOOLEAN NOT NULL,
    created_at     BIGINT  NOT NULL,
    -- When the password was last set.
    changed_at     BIGINT  NOT NULL
);
CREATE UNIQUE INDEX iam_login_profiles_user ON iam_login_profiles (account, user_id);

-- The passwords before, for the policy that none is used again.
CREATE TABLE iam_old_passwords (
    account     TEXT   NOT NULL,
    user_id     TEXT   NOT NULL,
    sealed      BYTEA  NOT NULL,
    replaced_at BIGINT NOT NULL
);
CREATE INDEX iam_old_passwords_user ON iam_old_passwords (account, user_id, replaced_at);

CREATE TABLE iam_password_policies (
    account TEXT NOT NULL,
    -- JSON, without the members that were left out.
    policy  TEXT NOT NULL
);
CREATE UNIQUE INDEX iam_password_policies_account ON iam_password_policies (account);

CREATE TABLE iam_account_aliases (
    account TEXT NOT NULL,
    alias   TEXT NOT NULL
);
CREATE UNIQUE INDEX iam_account_aliases_account ON iam_account_aliases (account);
-- Unique in the whole deployment, as AWS's are in a partition.
CREATE UNIQUE INDEX iam_account_aliases_alias ON iam_account_aliases (alias);

CREATE TABLE iam_credential_reports (
    account      TEXT   NOT NULL,
    -- 0 once the report that was asked for is made.
    requested_at BIGINT NOT NULL,
    -- 0 while there is none.
    generated_at BIGINT NOT NULL,
    content      TEXT   NOT NULL
);
CREATE UNIQUE INDEX iam_credential_reports_account ON iam_credential_reports (account);
