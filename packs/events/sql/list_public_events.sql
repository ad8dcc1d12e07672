SELECT id, title, location, status, start_date, end_date
FROM events
WHERE is_public
  AND archived_at IS NULL
  AND status IN ('CONFIRMED', 'ONGOING')
ORDER BY start_date, id
LIMIT :limit
