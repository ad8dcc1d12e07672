UPDATE commissions SET status = 'VOID', updated_at = :now
FROM orders AS o
WHERE o.id = commissions.order_id AND o.status IN ('CANCELLED', 'REFUNDED') AND commissions.status = 'DUE'
