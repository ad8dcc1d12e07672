-- When kinds are run by the clock, and what became of each firing.
CREATE TABLE schedules (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    pack TEXT,
    spec TEXT NOT NULL,
    args TEXT NOT NULL,
    declared TEXT,
    enabled INTEGER NOT NULL,
    disabled_reason TEXT,
    principal TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    considered_until INTEGER NOT NULL,
    next_nominal INTEGER,
    next_due INTEGER,
    queued_nominal INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (next_due) WHERE enabled AND next_due IS NOT NULL;

CREATE INDEX schedules_queued ON schedules (id) WHERE queued_nominal IS NOT NULL;

CREATE TABLE schedule_firings (
    schedule BLOB NOT NULL,
    nominal INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    task BLOB,
    missed_since INTEGER,
    PRIMARY KEY (schedule, nominal, made_by)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_firings_at ON schedule_firings (at);

-- While there is a row, nothing is fired and nothing is fetched.
CREATE TABLE maintenance (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL,
    reason TEXT NOT NULL,
    principal TEXT NOT NULL
) STRICT;
