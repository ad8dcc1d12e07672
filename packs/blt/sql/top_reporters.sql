SELECT reporter, COUNT(*) AS opened
FROM issues
WHERE domain_id = :domain_id
  AND created_at >= :begins
  AND created_at < :ends
GROUP BY reporter
ORDER BY opened DESC, reporter
LIMIT 5
