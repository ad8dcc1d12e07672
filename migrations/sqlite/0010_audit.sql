-- Who did what.
CREATE TABLE audit_log (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    outcome TEXT NOT NULL,
    source TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_log_at ON audit_log (at);

-- Counts of what ended and what waited, by the length of the step in seconds and its beginning.
CREATE TABLE samples (
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sample TEXT NOT NULL,
    PRIMARY KEY (step, at)
) STRICT, WITHOUT ROWID;
