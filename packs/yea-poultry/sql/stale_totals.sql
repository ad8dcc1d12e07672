SELECT COUNT(*) AS stale, COUNT(*) FILTER (WHERE stale_since IS NULL) AS new
FROM applications WHERE status IN ('PENDING', 'UNDER_REVIEW') AND submitted_at < :before
