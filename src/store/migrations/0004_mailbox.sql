-- Deliveries of webhooks, if several servers share the ledger: one of them at a time delivers each webhook. Empty otherwise.
CREATE TABLE mailbox (
    -- The webhook.
    name TEXT NOT NULL PRIMARY KEY,
    -- JSON: cursor, pending deliveries, dead letters.
    content TEXT NOT NULL,
    -- Lines from other servers for the deliverer.
    orders TEXT NOT NULL,
    -- The run of the server that delivers, its name for people, and the number of changes of the deliverer.
    holder TEXT NOT NULL,
    label TEXT NOT NULL,
    term BIGINT NOT NULL,
    -- The end of its lease, by the database's clock: milliseconds since 1970.
    until BIGINT NOT NULL
);
