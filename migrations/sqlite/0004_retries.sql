-- Where chains of retries by hand began: one row a retry, kept for as long as the retry or its result. Until then the keys of what the
-- origin submitted are kept too.
CREATE TABLE retry_origins (
    task BLOB NOT NULL PRIMARY KEY,
    origin BLOB NOT NULL,
    -- When the origin was submitted.
    submitted_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX retry_origins_origin ON retry_origins (origin);
CREATE INDEX retry_origins_created ON retry_origins (created_at);
