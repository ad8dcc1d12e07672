-- The most that an attempt had done when its worker died: another one has made progress only beyond it.
ALTER TABLE tasks ADD COLUMN progress_peak INTEGER;
