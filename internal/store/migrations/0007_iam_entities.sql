-- store version: 2
-- (the releases before look for inline policies under the old name of their table)

-- Groups, roles, managed policies and what is attached to whom. As in
-- 0003_iam.sql everything hangs on unique ids (AIDA…, AGPA…, AROA…, ANPA…), so that
-- an entity made again under an old name inherits nothing.

-- One table of inline policies serves users, groups and roles.
ALTER TABLE iam_user_policies RENAME TO iam_inline_policies;
ALTER TABLE iam_inline_policies RENAME COLUMN user_id TO entity_id;

-- ARN of the permissions boundary, '' = none.
ALTER TABLE iam_users ADD COLUMN boundary TEXT NOT NULL DEFAULT '';
-- Sessions issued up to this moment are void; 0 = none is.
ALTER TABLE iam_users ADD COLUMN sessions_after BIGINT NOT NULL DEFAULT 0;
CREATE INDEX iam_users_boundary ON iam_users (account, boundary) WHERE boundary <> '';

CREATE TABLE iam_groups (
    account    TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    name_fold  TEXT   NOT NULL,
    path       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_groups_name ON iam_groups (account, name_fold);
CREATE UNIQUE INDEX iam_groups_id ON iam_groups (account, id);

CREATE TABLE iam_group_members (
    account  TEXT NOT NULL,
    group_id TEXT NOT NULL,
    user_id  TEXT NOT NULL
);
CREATE UNIQUE INDEX iam_group_members_group ON iam_group_members (account, group_id, user_id);
CREATE UNIQUE INDEX iam_group_members_user ON iam_group_members (account, user_id, group_id);

CREATE TABLE iam_roles (
    account        TEXT   NOT NULL,
    id             TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    name_fold      TEXT   NOT NULL,
    path           TEXT   NOT NULL,
    description    TEXT   NOT NULL,
    -- The trust policy, with unique ids in the place of users and roles.
    trust          TEXT   NOT NULL,
    -- Counts the updates, so that a recorded decision names the text it was made on.
    trust_version  BIGINT NOT NULL,
    -- MaxSessionDuration in seconds.
    max_session    BIGINT NOT NULL,
    boundary       TEXT   NOT NULL,
    -- JSON list of {"k","v"}, '' when never tagged.
    tags           TEXT   NOT NULL,
    -- The service that a service-linked role belongs to, '' for all others.
    service        TEXT   NOT NULL,
    sessions_after BIGINT NOT NULL,
    created_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_roles_name ON iam_roles (account, name_fold);
CREATE UNIQUE INDEX iam_roles_id ON iam_roles (account, id);
-- Resource policies name roles by their id alone.
CREATE INDEX iam_roles_entity ON iam_roles (id);
CREATE INDEX iam_roles_boundary ON iam_roles (account, boundary) WHERE boundary <> '';

CREATE TABLE iam_policies (
    account         TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    arn             TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    name_fold       TEXT   NOT NULL,
    path            TEXT   NOT NULL,
    description     TEXT   NOT NULL,
    tags            TEXT   NOT NULL,
    -- Numbers of the version in force and of the next one to be made: numbers
    -- are never used again.
    default_version BIGINT NOT NULL,
    next_version    BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_policies_name ON iam_policies (account, name_fold);
CREATE UNIQUE INDEX iam_policies_arn ON iam_policies (account, arn);

CREATE TABLE iam_policy_versions (
    account    TEXT   NOT NULL,
    policy_id  TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    document   TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_policy_versions_number ON iam_policy_versions (account, policy_id, version);

-- Managed policies attached to users, groups and roles. AWS's own have no row in
-- iam_policies.
CREATE TABLE iam_attachments (
    account     TEXT   NOT NULL,
    entity_id   TEXT   NOT NULL,
    policy_arn  TEXT   NOT NULL,
    attached_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX iam_attachments_entity ON iam_attachments (account, entity_id, policy_arn);
CREATE INDEX iam_attachments_policy ON iam_attachments (account, policy_arn);
