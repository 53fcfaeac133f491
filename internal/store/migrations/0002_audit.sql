-- Signing keys of the nodes' audit chains. sealed is the Ed25519 seed under the
-- keyring.
CREATE TABLE audit_keys (
    node    TEXT   NOT NULL,
    public  BYTEA  NOT NULL,
    sealed  BYTEA  NOT NULL,
    created BIGINT NOT NULL
);
CREATE UNIQUE INDEX audit_keys_node ON audit_keys (node);

-- The newest signed head of each segment, named by its first sequence number.
CREATE TABLE audit_heads (
    node      TEXT   NOT NULL,
    segment   BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    chain     BYTEA  NOT NULL,
    at        BIGINT NOT NULL,
    signature BYTEA  NOT NULL
);
CREATE UNIQUE INDEX audit_heads_segment ON audit_heads (node, segment);

-- Records of committed changes that may not be in the node's chain yet: if they
-- are, their sequence number is above after_seq. records holds one JSON object
-- a line.
CREATE TABLE audit_pending (
    node      TEXT   NOT NULL,
    event_id  TEXT   NOT NULL,
    after_seq BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    records   BYTEA  NOT NULL
);
CREATE UNIQUE INDEX audit_pending_event ON audit_pending (node, event_id);
