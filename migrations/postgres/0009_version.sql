-- The version of a task is the fence of every write that decides what becomes of it; the attempt number counts starts only.
-- Until now the attempt number was both, so the version starts with it: what was dispatched before stays valid.
SET LOCAL lock_timeout = '300ms';

ALTER TABLE tasks ADD COLUMN version integer NOT NULL DEFAULT 0;
UPDATE tasks SET version = attempt WHERE attempt > 0;
-- A change of a waiting task had raised it.
UPDATE tasks SET attempt = 0 WHERE attempt > 0 AND started_at IS NULL;
UPDATE task_results SET attempt = 0 WHERE attempt > 0 AND started_at IS NULL;
