SELECT COUNT(value) AS measured,
       COUNT(*) FILTER (WHERE value IS NULL) AS missing,
       COUNT(*) FILTER (WHERE rating IN ('low', 'high')) AS flagged
FROM results
WHERE study_id = :study_id
