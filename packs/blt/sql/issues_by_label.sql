SELECT label, COUNT(*) AS opened
FROM issues
WHERE domain_id = :domain_id
  AND created_at >= :begins
  AND created_at < :ends
GROUP BY label
ORDER BY opened DESC, label
