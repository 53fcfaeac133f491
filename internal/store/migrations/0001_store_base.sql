-- The machinery's own tables. store_migrations is made by the runner itself.

-- How often something of a kind has changed; see store.Bump.
CREATE TABLE generations (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    kind    TEXT NOT NULL,
    value   BIGINT NOT NULL
);
CREATE UNIQUE INDEX generations_key ON generations (account, region, kind);

-- Who may do a job that only one node does at a time; see store.Lease.
CREATE TABLE leases (
    name       TEXT NOT NULL,
    holder     TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX leases_key ON leases (name);

-- One row for each recent commit, by which a node whose connection broke finds
-- out whether its commit happened. committed is false for a row that the
-- asking node put there to keep a late commit out.
CREATE TABLE store_commits (
    id        TEXT NOT NULL,
    at        BIGINT NOT NULL,
    committed BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX store_commits_key ON store_commits (id);
CREATE INDEX store_commits_at ON store_commits (at);
