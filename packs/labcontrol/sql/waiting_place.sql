UPDATE studies
SET waiting_place = (
        SELECT COUNT(*)
        FROM studies AS other
        WHERE other.status <> 'completed'
          AND (other.ordered_at, other.id) <= (studies.ordered_at, studies.id)),
    placed_at = :now
WHERE id = (
    SELECT id
    FROM studies
    WHERE status <> 'completed'
    ORDER BY placed_at NULLS FIRST, id
    LIMIT 1)
RETURNING id, title, waiting_place
