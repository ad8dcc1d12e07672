-- The figures of one week; `to_day` and `to_at` are not part of it.
SELECT p.farms AS reporting_farms, p.records, p.eggs, p.deaths, p.feed_kg, o.orders, o.sales_pesewas, c.commission_pesewas,
       (SELECT COUNT(*) FROM applications WHERE submitted_at >= :from_at AND submitted_at < :to_at) AS new_applications,
       (SELECT COUNT(*) FROM applications WHERE status = 'APPROVED' AND decided_at >= :from_at AND decided_at < :to_at) AS approved_applications,
       (SELECT COUNT(*) FROM users WHERE role = 'FARMER' AND created_at >= :from_at AND created_at < :to_at) AS new_farmers
FROM (
    SELECT COUNT(DISTINCT farm_id) AS farms, COUNT(*) AS records, COALESCE(SUM(eggs), 0) AS eggs, COALESCE(SUM(deaths), 0) AS deaths,
           COALESCE(SUM(feed_kg), 0) AS feed_kg
    FROM production_records WHERE recorded_on >= :from_day AND recorded_on < :to_day
) AS p
CROSS JOIN (
    SELECT COUNT(*) AS orders, COALESCE(SUM(total_pesewas), 0) AS sales_pesewas
    FROM orders WHERE placed_at >= :from_at AND placed_at < :to_at AND status NOT IN ('CANCELLED', 'REFUNDED')
) AS o
CROSS JOIN (
    SELECT COALESCE(SUM(commissions.commission_pesewas), 0) AS commission_pesewas
    FROM commissions JOIN orders ON orders.id = commissions.order_id
    WHERE commissions.status <> 'VOID' AND orders.delivered_at >= :from_at AND orders.delivered_at < :to_at
) AS c
