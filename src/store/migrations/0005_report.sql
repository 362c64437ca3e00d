-- What hosts say of themselves: the last report of each. It is state, not a part of the ledger.
CREATE TABLE report (
    -- The host's name, as bytes: both engines order them alike.
    host BYTEA NOT NULL PRIMARY KEY,
    -- The index of the event by which it joined.
    joined BIGINT NOT NULL,
    -- When the host made it: milliseconds since 1970.
    made BIGINT NOT NULL,
    -- When a server received it: seconds since 1970.
    received BIGINT NOT NULL,
    -- The report, as JSON.
    content BYTEA NOT NULL
);
