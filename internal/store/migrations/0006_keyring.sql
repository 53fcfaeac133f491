-- Storage keys, each wrapped by the root key; see package keyring. Rows are
-- never changed: the newest key seals, all of them open. provider names the root
-- key for messages, the proof is inside wrapped.
CREATE TABLE keyring (
    id         TEXT   NOT NULL,
    provider   TEXT   NOT NULL,
    wrapped    BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX keyring_id ON keyring (id);
