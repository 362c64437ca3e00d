-- The head of the ledger, signed with the ledger key in the commit that led to it. One row from the first commit on.
CREATE TABLE head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 0),
    -- A signed note (C2SP): size and root.
    note TEXT NOT NULL
);
