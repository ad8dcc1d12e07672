-- The amount of an order has changed: its commission follows at the rate that it was made with. What is settled stays.
UPDATE commissions
SET order_pesewas = o.total_pesewas, commission_pesewas = (o.total_pesewas * commissions.rate_bp + 5000) / 10000, updated_at = :now
FROM orders AS o
WHERE o.id = commissions.order_id AND o.status = 'DELIVERED' AND commissions.status = 'DUE' AND o.total_pesewas <> commissions.order_pesewas
