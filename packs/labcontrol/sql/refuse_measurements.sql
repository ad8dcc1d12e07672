-- A measurement needs a number, and a value of an open study that waits for it.
UPDATE measurements
SET state = 'refused'
WHERE file_id = :file_id
  AND state = 'new'
  AND (value IS NULL
    OR NOT EXISTS (
        SELECT 1
        FROM results AS r
        JOIN studies AS s ON s.id = r.study_id
        WHERE r.study_id = measurements.study_id
          AND r.analyte = measurements.analyte
          AND s.status <> 'completed'))
