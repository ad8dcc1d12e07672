-- Invitations to open batches that close within some days and were not answered. A channel is due again after some days, and on the last day.
SELECT e.id, u.phone, u.email,
       (e.sms_reminded_on IS NULL OR e.sms_reminded_on <= :again OR (b.enrollment_closes_on = :today AND e.sms_reminded_on < :today)) AS sms_due,
       (e.email_reminded_on IS NULL OR e.email_reminded_on <= :again
           OR (b.enrollment_closes_on = :today AND e.email_reminded_on < :today)) AS email_due
FROM batch_enrollments AS e
JOIN batches AS b ON b.id = e.batch_id
JOIN users AS u ON u.id = e.farmer_id
WHERE e.status IN ('INVITED', 'STARTED') AND u.is_active
  AND b.status = 'OPEN' AND b.enrollment_opens_on <= :today AND b.enrollment_closes_on >= :today AND b.enrollment_closes_on <= :until
ORDER BY b.enrollment_closes_on, e.id
