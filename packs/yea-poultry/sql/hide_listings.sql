-- Listings of sellers whose activations have all ended. A seller who has renewed keeps them.
UPDATE listings SET is_visible = FALSE, hidden_at = :now, hidden_reason = 'ACTIVATION_EXPIRED'
WHERE is_visible
  AND EXISTS (SELECT 1 FROM marketplace_activations AS a WHERE a.seller_id = listings.seller_id AND a.status = 'EXPIRED')
  AND NOT EXISTS (SELECT 1 FROM marketplace_activations AS a WHERE a.seller_id = listings.seller_id AND a.status = 'ACTIVE')
