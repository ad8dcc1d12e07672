SELECT COUNT(*) AS orders, COALESCE(SUM(o.total_pesewas), 0) AS sales_pesewas
FROM orders AS o JOIN farms AS f ON f.farmer_id = o.seller_id
WHERE f.id = :farm_id AND o.placed_at >= :since_at AND o.status NOT IN ('CANCELLED', 'REFUNDED')
