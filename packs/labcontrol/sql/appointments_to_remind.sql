SELECT a.id, u.email, u.phone
FROM appointments AS a
JOIN users AS u ON u.id = a.patient_id
WHERE a.status IN ('scheduled', 'confirmed')
  AND a.starts_at > :now
  AND a.starts_at <= :until
  AND a.reminded_at IS NULL
ORDER BY a.id
