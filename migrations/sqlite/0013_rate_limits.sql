-- Rate limits of kinds: the recent starts of each kind, and until when a task waits for its limit.
CREATE TABLE rate_windows (
    kind TEXT NOT NULL PRIMARY KEY,
    starts TEXT NOT NULL
) STRICT;

ALTER TABLE tasks ADD COLUMN limited_until INTEGER;

CREATE INDEX tasks_limited ON tasks (kind, limited_until) WHERE limited_until IS NOT NULL;
