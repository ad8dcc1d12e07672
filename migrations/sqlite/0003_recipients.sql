-- The recipients' ledger: one row a recipient of a task that reaches many, whatever the channel; and the addresses that get nothing of the kind.

-- One row a task that has a list. It is sealed once all of its recipients are in.
CREATE TABLE recipient_lists (
    task BLOB NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX recipient_lists_created ON recipient_lists (created_at);

-- attempt is the task's attempt that touched the row last, attempts how often a hand-over was tried. next_at of a deferred or unknown row is
-- when it is tried again; without it, that is the row's last word. recipient is null where it is the address itself.
CREATE TABLE recipients (
    task BLOB NOT NULL,
    part INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    next_at INTEGER,
    state TEXT NOT NULL,
    address TEXT NOT NULL,
    recipient TEXT,
    message_id TEXT NOT NULL,
    response TEXT,
    reference TEXT,
    context TEXT,
    PRIMARY KEY (task, part)
) STRICT, WITHOUT ROWID;

-- Addresses in lower case.
CREATE TABLE suppressions (
    address TEXT NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL,
    detail TEXT,
    principal TEXT,
    task BLOB,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
