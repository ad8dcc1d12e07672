SELECT grade, COUNT(*) AS farms FROM farms WHERE status = 'ACTIVE' GROUP BY grade ORDER BY grade
