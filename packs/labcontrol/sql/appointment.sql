-- The conditions are those under which a reminder still makes sense when its turn comes.
SELECT a.id, a.starts_at, a.room, a.purpose, u.first_name, u.last_name, u.email, u.phone, s.last_name AS staff_last_name
FROM appointments AS a
JOIN users AS u ON u.id = a.patient_id
LEFT JOIN users AS s ON s.id = a.staff_id
WHERE a.id = :appointment_id
  AND a.status IN ('scheduled', 'confirmed')
  AND a.starts_at > :now
  AND a.reminded_at IS NULL
