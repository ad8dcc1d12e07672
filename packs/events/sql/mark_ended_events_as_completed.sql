-- Both times are instants, so London's clock changes do not matter to the comparison.
UPDATE events
SET status = 'COMPLETED', updated_at = :now
WHERE status IN ('CONFIRMED', 'ONGOING')
  AND end_date IS NOT NULL
  AND end_date < :now
