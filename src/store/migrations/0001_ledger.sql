-- Every event, in order. Rows are only ever added.
CREATE TABLE ledger (
    -- The event's index, from 0.
    position BIGINT NOT NULL PRIMARY KEY CHECK (position >= 0),
    -- Its bytes: the leaf.
    event BYTEA NOT NULL,
    -- RFC 6962 hashes of the complete subtrees that this leaf closes, its own first: all that roots and proofs need.
    hashes BYTEA NOT NULL
);
