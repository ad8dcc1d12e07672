SELECT u.first_name, u.email, a.expires_at,
       (SELECT COUNT(*) FROM listings AS l WHERE l.seller_id = a.seller_id AND l.is_visible) AS listings
FROM marketplace_activations AS a JOIN users AS u ON u.id = a.seller_id
WHERE a.id = :activation_id AND a.status = 'ACTIVE' AND a.expires_at > :now
  AND (a.email_warned_days IS NULL OR a.email_warned_days > :days_left)
