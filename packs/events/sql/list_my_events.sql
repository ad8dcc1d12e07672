SELECT id, title, location, status, is_public, start_date, end_date, archived_at
FROM events
WHERE organizer_id = :owner_id
  AND (:status IS NULL OR status = :status)
  AND (:include_archived OR archived_at IS NULL)
ORDER BY start_date DESC, id
LIMIT :limit
