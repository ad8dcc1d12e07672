-- The engine's tables. Ids are 16 bytes, times are microseconds since 1970 (UTC), limits are milliseconds.
-- args, result, error and progress are JSON as text: they are written and read whole.

-- What waits or runs. A waiting row has either ring_at (to be rung then) or rung_at (rung then); a STARTED row has neither, but a worker.
-- So the partial indexes tell the states apart, and a row leaves its index when it changes state.
CREATE TABLE tasks (
    id BLOB NOT NULL PRIMARY KEY,
    submitted_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    expires_at INTEGER,
    ring_at INTEGER,
    rung_at INTEGER,
    started_at INTEGER,
    revoke_requested_at INTEGER,
    hard_limit_ms INTEGER NOT NULL,
    soft_limit_ms INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    retries_used INTEGER NOT NULL DEFAULT 0,
    max_retries INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL,
    terminate INTEGER NOT NULL DEFAULT 0,
    worker BLOB,
    retry_of BLOB,
    status TEXT NOT NULL DEFAULT 'PENDING',
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    principal TEXT NOT NULL,
    worker_name TEXT,
    args TEXT NOT NULL,
    progress TEXT,
    error TEXT,
    callback_url TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_rung ON tasks (queue, priority, rung_at, due_at) WHERE rung_at IS NOT NULL;
CREATE INDEX tasks_to_ring ON tasks (ring_at, queue, due_at) WHERE ring_at IS NOT NULL;
CREATE INDEX tasks_started ON tasks (worker, queue) WHERE worker IS NOT NULL;
CREATE INDEX tasks_expiring ON tasks (expires_at) WHERE expires_at IS NOT NULL;

-- What ended.
CREATE TABLE task_results (
    id BLOB NOT NULL PRIMARY KEY,
    submitted_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    expires_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER NOT NULL,
    revoke_requested_at INTEGER,
    hard_limit_ms INTEGER NOT NULL,
    soft_limit_ms INTEGER,
    attempt INTEGER NOT NULL,
    retries_used INTEGER NOT NULL,
    max_retries INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    worker BLOB,
    retry_of BLOB,
    retried_as BLOB,
    status TEXT NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    principal TEXT NOT NULL,
    worker_name TEXT,
    args TEXT NOT NULL,
    progress TEXT,
    result TEXT,
    error TEXT,
    reason TEXT,
    callback_url TEXT
) STRICT, WITHOUT ROWID;

-- For the retention, and for the counts of the last minute.
CREATE INDEX task_results_ended ON task_results (ended_at, queue);
-- For lists of what went wrong, which would else have to pass by all that went well.
CREATE INDEX task_results_not_well ON task_results (id) WHERE status <> 'SUCCESS';

-- Ended attempts, but for first attempts that succeeded.
CREATE TABLE attempts (
    task BLOB NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker_name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_ended ON attempts (ended_at);

CREATE TABLE workers (
    id BLOB NOT NULL PRIMARY KEY,
    beat_at INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0,
    name TEXT NOT NULL,
    info TEXT NOT NULL,
    command TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
    name TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    paused_at INTEGER,
    concurrency INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    principal TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    task BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (principal, scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE accounts (
    name TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT NOT NULL,
    subject TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_tokens (
    jti TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE mail_ledger (
    task BLOB NOT NULL,
    part INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    state TEXT NOT NULL,
    response TEXT,
    PRIMARY KEY (task, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX mail_ledger_updated ON mail_ledger (updated_at);
