-- The retries from before there were rows of their origins, and the lists of all. Beside max and min, SQLite gives the other columns of that row.
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
ON CONFLICT (task) DO UPDATE SET list = coalesce(retry_origins.list, excluded.list);

-- Lists from before every list had its row from its first recipient on. Those of tasks that live get theirs from the next attempt.
INSERT INTO recipient_lists (task, created_at, sealed)
SELECT r.task, min(r.updated_at), 0 FROM recipients r
WHERE NOT EXISTS (SELECT 1 FROM recipient_lists l WHERE l.task = r.task) AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = r.task)
GROUP BY r.task
ON CONFLICT DO NOTHING;
