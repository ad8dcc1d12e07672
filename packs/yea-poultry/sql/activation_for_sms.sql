SELECT u.first_name, u.phone, a.expires_at
FROM marketplace_activations AS a JOIN users AS u ON u.id = a.seller_id
WHERE a.id = :activation_id AND a.status = 'ACTIVE' AND a.expires_at > :now
  AND (a.sms_warned_days IS NULL OR a.sms_warned_days > :days_left)
