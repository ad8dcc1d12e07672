-- Columns and indexes get the words that the code and the documents use.
-- No version has been released that knows the old names, so they are renamed in place, and not copied and kept in step by triggers.
-- SQLite has no statement that renames an index.
ALTER TABLE tasks RENAME COLUMN ring_at TO dispatch_at;
ALTER TABLE tasks RENAME COLUMN rung_at TO dispatched_at;
DROP INDEX IF EXISTS tasks_to_ring;
CREATE INDEX IF NOT EXISTS tasks_to_dispatch ON tasks (dispatch_at, queue, due_at) WHERE dispatch_at IS NOT NULL;
DROP INDEX IF EXISTS tasks_rung;
CREATE INDEX IF NOT EXISTS tasks_dispatched ON tasks (queue, priority, dispatched_at, due_at) WHERE dispatched_at IS NOT NULL;
ALTER TABLE workers RENAME COLUMN beat_at TO heartbeat_at;
ALTER TABLE recipient_lists RENAME COLUMN sealed TO complete;
