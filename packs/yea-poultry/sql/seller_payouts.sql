-- What each seller gets for the orders delivered in a period: their amounts less the commissions. Amounts are in cedis.
SELECT t.seller_id, t.seller, t.phone, t.orders,
       CAST(t.sales / 100 AS TEXT) || CASE WHEN t.sales % 100 < 10 THEN '.0' ELSE '.' END || CAST(t.sales % 100 AS TEXT) AS sales_ghs,
       CAST(t.commission / 100 AS TEXT) || CASE WHEN t.commission % 100 < 10 THEN '.0' ELSE '.' END || CAST(t.commission % 100 AS TEXT)
           AS commission_ghs,
       CAST(t.payout / 100 AS TEXT) || CASE WHEN t.payout % 100 < 10 THEN '.0' ELSE '.' END || CAST(t.payout % 100 AS TEXT) AS payout_ghs,
       t.without_commission
FROM (
    SELECT u.id AS seller_id, u.first_name || ' ' || u.last_name AS seller, u.phone, COUNT(*) AS orders,
           CAST(SUM(o.total_pesewas) AS BIGINT) AS sales,
           CAST(COALESCE(SUM(c.commission_pesewas), 0) AS BIGINT) AS commission,
           CAST(SUM(o.total_pesewas) - COALESCE(SUM(c.commission_pesewas), 0) AS BIGINT) AS payout,
           COUNT(*) - COUNT(c.order_id) AS without_commission
    FROM orders AS o
    JOIN users AS u ON u.id = o.seller_id
    LEFT JOIN commissions AS c ON c.order_id = o.id AND c.status <> 'VOID'
    WHERE o.status = 'DELIVERED' AND o.delivered_at >= :from_at AND o.delivered_at < :to_at
      AND (:seller_id IS NULL OR o.seller_id = :seller_id)
    GROUP BY u.id, u.first_name, u.last_name, u.phone
) AS t
ORDER BY t.seller, t.seller_id
