-- An event that an organizer completed by hand may have no end; its start counts then.
UPDATE events
SET archived_at = :now, updated_at = :now
WHERE status = 'COMPLETED'
  AND archived_at IS NULL
  AND COALESCE(end_date, start_date) < :before
