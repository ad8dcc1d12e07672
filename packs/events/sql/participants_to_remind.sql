SELECT p.id, u.email
FROM participants AS p
JOIN events AS e ON e.id = p.event_id
JOIN users AS u ON u.id = p.user_id
WHERE e.status = 'CONFIRMED'
  AND e.start_date > :now
  AND e.start_date <= :until
  AND p.response = 'going'
  AND p.reminded_at IS NULL
ORDER BY p.id
