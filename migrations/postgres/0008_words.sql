-- Columns and indexes get the words that the code and the documents use.
-- No version has been released that knows the old names, so they are renamed in place, and not copied and kept in step by triggers.
-- Renames touch the catalogue only, but each one locks its table: nothing is to wait behind this for long.
SET LOCAL lock_timeout = '300ms';

ALTER TABLE tasks RENAME COLUMN ring_at TO dispatch_at;
ALTER TABLE tasks RENAME COLUMN rung_at TO dispatched_at;
ALTER INDEX IF EXISTS tasks_to_ring RENAME TO tasks_to_dispatch;
ALTER INDEX IF EXISTS tasks_rung RENAME TO tasks_dispatched;
ALTER TABLE workers RENAME COLUMN beat_at TO heartbeat_at;
ALTER TABLE recipient_lists RENAME COLUMN sealed TO complete;
