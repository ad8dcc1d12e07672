-- A bound that is not given bounds nothing.
UPDATE results
SET rating = CASE
    WHEN value IS NULL THEN NULL
    WHEN value < low THEN 'low'
    WHEN value > high THEN 'high'
    ELSE 'normal'
END
WHERE study_id = :study_id
