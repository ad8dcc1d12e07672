SELECT id, title, label, created_at, closed_at
FROM issues
WHERE domain_id = :domain_id
  AND created_at >= :begins
  AND created_at < :ends
ORDER BY created_at DESC, id DESC
LIMIT 10
