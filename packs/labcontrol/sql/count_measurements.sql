SELECT COUNT(*) AS total,
       COUNT(*) FILTER (WHERE state = 'taken') AS taken,
       COUNT(*) FILTER (WHERE state = 'refused') AS refused
FROM measurements
WHERE file_id = :file_id
