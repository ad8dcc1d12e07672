-- Where a file holds several measurements of one value, its last line counts.
UPDATE results
SET value = (
    SELECT m.value
    FROM measurements AS m
    WHERE m.file_id = :file_id
      AND m.state = 'new'
      AND m.study_id = results.study_id
      AND m.analyte = results.analyte
    ORDER BY m.line DESC
    LIMIT 1)
WHERE EXISTS (
    SELECT 1
    FROM measurements AS m
    WHERE m.file_id = :file_id
      AND m.state = 'new'
      AND m.study_id = results.study_id
      AND m.analyte = results.analyte)
