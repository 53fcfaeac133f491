-- Why calls were denied, for those who ask afterwards. Every row belongs to the
-- account of the caller. Rows are written up to a second after the call, and go
-- when they are old or too many; the record of the call is audit's.

CREATE TABLE denials (
    account      TEXT   NOT NULL,
    -- The audit record of the call that was denied, and which of its decisions.
    event_id     TEXT   NOT NULL,
    n            BIGINT NOT NULL,
    -- The request as its caller saw it, and the call within it that was denied:
    -- the same unless a service made that call on the caller's behalf.
    request_id   TEXT   NOT NULL,
    call_id      TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    principal    TEXT   NOT NULL,
    principal_id TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    resource     TEXT   NOT NULL,
    -- JSON in zlib's form.
    explanation  BYTEA  NOT NULL
);
CREATE UNIQUE INDEX denials_event ON denials (account, event_id, n);
CREATE INDEX denials_request ON denials (request_id);
CREATE INDEX denials_call ON denials (call_id);
CREATE INDEX denials_account_at ON denials (account, at);
CREATE INDEX denials_at ON denials (at);
