-- Which list of recipients a retry by hand goes on with: that of the last task of its chain that has one, which need not be the task that it
-- retries (that one may never have run). The list is kept for as long as this row.
ALTER TABLE retry_origins ADD COLUMN list BLOB;

CREATE INDEX retry_origins_list ON retry_origins (list) WHERE list IS NOT NULL;

-- Tasks with row ids: without them a row stands in the tree itself, and each look at a row with megabytes of args reads all of them.
CREATE TABLE tasks_by_row_id (
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
) STRICT;
INSERT INTO tasks_by_row_id SELECT * FROM tasks;
DROP TABLE tasks;
ALTER TABLE tasks_by_row_id RENAME TO tasks;
CREATE INDEX tasks_rung ON tasks (queue, priority, rung_at, due_at) WHERE rung_at IS NOT NULL;
CREATE INDEX tasks_to_ring ON tasks (ring_at, queue, due_at) WHERE ring_at IS NOT NULL;
CREATE INDEX tasks_started ON tasks (worker, queue) WHERE worker IS NOT NULL;
CREATE INDEX tasks_expiring ON tasks (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE task_results_by_row_id (
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
) STRICT;
INSERT INTO task_results_by_row_id SELECT * FROM task_results;
DROP TABLE task_results;
ALTER TABLE task_results_by_row_id RENAME TO task_results;
CREATE INDEX task_results_ended ON task_results (ended_at, queue);
CREATE INDEX task_results_not_well ON task_results (id) WHERE status <> 'SUCCESS';
