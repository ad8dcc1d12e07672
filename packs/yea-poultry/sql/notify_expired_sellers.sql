-- One notification for each activation that this run has ended, unless the seller has another one.
INSERT INTO notifications (user_id, category, title, message, link, created_at, dedupe_key)
SELECT a.seller_id, 'market', 'Your marketplace activation has ended',
       'Your listings are hidden until you renew the activation.', '/market/activation', :now,
       'activation-expired:' || CAST(a.id AS TEXT)
FROM marketplace_activations AS a
WHERE a.status = 'EXPIRED' AND a.expired_at = :now
  AND NOT EXISTS (SELECT 1 FROM marketplace_activations AS b WHERE b.seller_id = a.seller_id AND b.status = 'ACTIVE')
ON CONFLICT (dedupe_key) DO NOTHING
