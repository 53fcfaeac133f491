-- What a further node needs besides the root key: one row, where several nodes can
-- share the database. authority is the certificate of the deployment's own authority,
-- sealed its private key under the keyring; both are PEM.
CREATE TABLE deployment (
    id        BIGINT NOT NULL,
    account   TEXT   NOT NULL,
    region    TEXT   NOT NULL,
    regions   TEXT   NOT NULL,
    authority BYTEA  NOT NULL,
    sealed    BYTEA  NOT NULL
);
CREATE UNIQUE INDEX deployment_id ON deployment (id);
