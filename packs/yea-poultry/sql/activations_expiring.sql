-- Activations that end within seven days and were not warned of at this stage: 7, 3 or 1 days before the end. Each channel remembers its own
-- last stage. Who has another activation that lasts longer is not warned.
SELECT w.id, w.expires_at, w.days_left, w.phone, w.email,
       (w.sms_warned_days IS NULL OR w.sms_warned_days > w.days_left) AS sms_due,
       (w.email_warned_days IS NULL OR w.email_warned_days > w.days_left) AS email_due
FROM (
    SELECT a.id, a.expires_at, a.sms_warned_days, a.email_warned_days, u.phone, u.email,
           CASE WHEN a.expires_at <= :in_1_day THEN 1 WHEN a.expires_at <= :in_3_days THEN 3 ELSE 7 END AS days_left
    FROM marketplace_activations AS a JOIN users AS u ON u.id = a.seller_id
    WHERE a.status = 'ACTIVE' AND a.expires_at > :now AND a.expires_at <= :in_7_days AND u.is_active
      AND NOT EXISTS (
          SELECT 1 FROM marketplace_activations AS b
          WHERE b.seller_id = a.seller_id AND b.status = 'ACTIVE' AND b.expires_at > a.expires_at
      )
) AS w
WHERE (w.sms_warned_days IS NULL OR w.sms_warned_days > w.days_left) OR (w.email_warned_days IS NULL OR w.email_warned_days > w.days_left)
ORDER BY w.expires_at, w.id
