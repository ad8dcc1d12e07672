SELECT starts_at, room, purpose
FROM appointments
WHERE patient_id = :user_id
  AND status IN ('scheduled', 'confirmed')
  AND starts_at > :now
  AND starts_at <= :until
ORDER BY starts_at, id
