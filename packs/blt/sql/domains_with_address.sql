SELECT d.id
FROM domains AS d
WHERE d.email IS NOT NULL
  AND d.email <> ''
  AND NOT (:only_missing AND EXISTS (
      SELECT 1
      FROM weekly_stats_log AS l
      WHERE l.domain_id = d.id
        AND l.week = :week
        AND l.outcome = 'sent'))
ORDER BY d.id
