-- When the deployment was last seen to run, by the clock of the node that said so,
-- and for how much longer nothing may be destroyed because that clock was set; see
-- store.Steady. One row.
CREATE TABLE clock (
    id      TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    wait    BIGINT NOT NULL
);
CREATE UNIQUE INDEX clock_key ON clock (id);
