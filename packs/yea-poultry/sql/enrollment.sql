SELECT e.id, b.name AS batch_name, u.id AS user_id, u.first_name, u.phone, u.email
FROM batch_enrollments AS e JOIN batches AS b ON b.id = e.batch_id JOIN users AS u ON u.id = e.farmer_id
WHERE e.id = :enrollment_id
