-- The conditions are those under which a reminder still makes sense when its turn comes.
SELECT p.id, u.email, u.first_name, e.id AS event_id, e.title, e.description, e.location, e.start_date, e.end_date,
       o.first_name AS organizer_first_name, o.last_name AS organizer_last_name
FROM participants AS p
JOIN events AS e ON e.id = p.event_id
JOIN users AS u ON u.id = p.user_id
JOIN users AS o ON o.id = e.organizer_id
WHERE p.id = :participant_id
  AND p.response = 'going'
  AND p.reminded_at IS NULL
  AND e.status = 'CONFIRMED'
  AND e.start_date > :now
