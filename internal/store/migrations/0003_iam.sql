-- Accounts, users, access keys and inline policies. Every key begins with the
-- account; IAM has no region. A user's rows hang on its unique id, not on its
-- name, so that a user made again under an old name inherits nothing.

CREATE TABLE accounts (
    account    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_account ON accounts (account);

CREATE TABLE iam_users (
    account    TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    -- Names are unique without regard to case; the case given is kept in name.
    name_fold  TEXT   NOT NULL,
    path       TEXT   NOT NULL,
    -- JSON list of {"k","v"}, '' when never tagged.
    tags       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_users_name ON iam_users (account, name_fold);
CREATE UNIQUE INDEX iam_users_id ON iam_users (account, id);
-- Resource policies name users by their id alone.
CREATE INDEX iam_users_entity ON iam_users (id);

CREATE TABLE iam_access_keys (
    account    TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    -- '' for the account's root user.
    user_id    TEXT   NOT NULL,
    active     BOOLEAN NOT NULL,
    -- The secret, sealed by the keyring under purpose "iam.access-key".
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    -- 0 = never.
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_access_keys_id ON iam_access_keys (account, key_id);
CREATE INDEX iam_access_keys_user ON iam_access_keys (account, user_id);

CREATE TABLE iam_user_policies (
    account    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    document   TEXT   NOT NULL,
    -- Counts the puts, so that a recorded decision names the text it was made on.
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_user_policies_name ON iam_user_policies (account, user_id, name);
