-- The most that an attempt had done when its worker died: another one has made progress only beyond it.
-- Everything names the table: nothing is to wait behind this for long.
SET LOCAL lock_timeout = '300ms';

ALTER TABLE tasks ADD COLUMN progress_peak bigint;
