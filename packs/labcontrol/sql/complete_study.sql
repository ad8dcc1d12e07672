UPDATE studies
SET status = 'completed', completed_at = :now, waiting_place = NULL
WHERE id = :study_id
  AND status <> 'completed'
