-- Who may add to a node's chain. Each opening of its log takes the next epoch;
-- what an earlier one still wants to ship is refused.
CREATE TABLE audit_nodes (
    node   TEXT   NOT NULL,
    epoch  BIGINT NOT NULL,
    opened BIGINT NOT NULL
);
CREATE UNIQUE INDEX audit_nodes_node ON audit_nodes (node);

-- What nodes have shipped of their chains: runs of whole lines as they stand in
-- a segment, which is named by its first sequence number. place is the first
-- byte's offset in the segment, size the number of bytes, last the newest record
-- up to there (0 for none). form 1 is zstd.
CREATE TABLE audit_lines (
    node    TEXT   NOT NULL,
    segment BIGINT NOT NULL,
    place   BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    last    BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    form    BIGINT NOT NULL,
    lines   BYTEA  NOT NULL
);
CREATE UNIQUE INDEX audit_lines_place ON audit_lines (node, segment, place);
CREATE INDEX audit_lines_at ON audit_lines (node, at);
