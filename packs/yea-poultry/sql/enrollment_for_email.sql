SELECT u.first_name, u.email, e.status, b.name AS batch_name, b.enrollment_closes_on
FROM batch_enrollments AS e JOIN batches AS b ON b.id = e.batch_id JOIN users AS u ON u.id = e.farmer_id
WHERE e.id = :enrollment_id AND e.status IN ('INVITED', 'STARTED') AND b.status = 'OPEN' AND b.enrollment_closes_on >= :today
  AND (e.email_reminded_on IS NULL OR e.email_reminded_on < :today)
