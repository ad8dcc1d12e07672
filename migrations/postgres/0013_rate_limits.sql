-- Rate limits of kinds: the recent starts of each kind, and until when a task waits for its limit.
CREATE TABLE rate_windows (
    kind text NOT NULL,
    starts text NOT NULL,
    CONSTRAINT rate_windows_pk PRIMARY KEY (kind)
);

ALTER TABLE tasks ADD COLUMN limited_until timestamptz;

CREATE INDEX tasks_limited ON tasks (kind, limited_until) WHERE limited_until IS NOT NULL;
