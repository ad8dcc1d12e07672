-- One commission for each delivered order that has none; rounded to whole pesewas, half up.
INSERT INTO commissions (order_id, seller_id, order_pesewas, rate_bp, commission_pesewas, status, created_at, updated_at)
SELECT o.id, o.seller_id, o.total_pesewas, :rate_bp, (o.total_pesewas * :rate_bp + 5000) / 10000, 'DUE', :now, :now
FROM orders AS o
WHERE o.status = 'DELIVERED' AND NOT EXISTS (SELECT 1 FROM commissions AS c WHERE c.order_id = o.id)
ON CONFLICT (order_id) DO NOTHING
