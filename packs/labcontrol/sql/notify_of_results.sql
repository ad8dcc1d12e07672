INSERT INTO notifications (user_id, type, title, message, is_read, created_at)
SELECT ordered_by, 'info', 'Results of ' || title, 'All values of the study "' || title || '" are there.', false, :now
FROM studies
WHERE id = :study_id
