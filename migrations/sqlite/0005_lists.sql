-- Which list of recipients a retry by hand goes on with: that of the last task of its chain that has one, which need not be the task that it
-- retries (that one may never have run). The list is kept for as long as this row.
ALTER TABLE retry_origins ADD COLUMN list BLOB;

CREATE INDEX retry_origins_list ON retry_origins (list) WHERE list IS NOT NULL;

-- The retries from before there were these rows, and the lists of all. Beside max and min, SQLite gives the other columns of that row.
WITH RECURSIVE retries AS (
    SELECT id, retry_of, submitted_at FROM tasks WHERE retry_of IS NOT NULL
    UNION ALL
    SELECT id, retry_of, submitted_at FROM task_results WHERE retry_of IS NOT NULL
), chain (task, created_at, ancestor, submitted_at, beyond, depth) AS (
    SELECT t.id, t.submitted_at, a.id, a.submitted_at, a.retry_of, 1 FROM retries t JOIN task_results a ON a.id = t.retry_of
    UNION ALL
    SELECT c.task, c.created_at, a.id, a.submitted_at, a.retry_of, c.depth + 1 FROM chain c JOIN task_results a ON a.id = c.beyond
), lists AS (
    SELECT c.task, l.task AS list, min(c.depth)
    FROM chain c JOIN recipient_lists l ON l.task = c.ancestor AND l.sealed GROUP BY c.task
), origins AS (
    SELECT task, ancestor, submitted_at, created_at, max(depth) FROM chain GROUP BY task
)
INSERT INTO retry_origins (task, origin, submitted_at, created_at, list)
SELECT o.task, o.ancestor, o.submitted_at, o.created_at, l.list FROM origins o LEFT JOIN lists l ON l.task = o.task WHERE true
ON CONFLICT (task) DO UPDATE SET list = excluded.list;

-- Lists from before every list had its row from its first recipient on.
INSERT INTO recipient_lists (task, created_at, sealed)
SELECT r.task, min(r.updated_at), 0 FROM recipients r
WHERE NOT EXISTS (SELECT 1 FROM recipient_lists l WHERE l.task = r.task) GROUP BY r.task;

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
