-- The figures of one day; the row is replaced where it exists.
INSERT INTO daily_metrics (day, farmers, active_farms, reporting_farms, birds, eggs, deaths, feed_kg, new_applications, approved_applications,
                           orders, sales_pesewas, calculated_at)
SELECT :on_day,
       (SELECT COUNT(*) FROM users WHERE role = 'FARMER' AND is_active AND created_at < :to_at),
       (SELECT COUNT(*) FROM farms WHERE status = 'ACTIVE' AND approved_at < :to_at),
       p.reporting_farms, p.birds, p.eggs, p.deaths, p.feed_kg,
       (SELECT COUNT(*) FROM applications WHERE submitted_at >= :from_at AND submitted_at < :to_at),
       (SELECT COUNT(*) FROM applications WHERE status = 'APPROVED' AND decided_at >= :from_at AND decided_at < :to_at),
       o.orders, o.sales_pesewas, :now
FROM (
    SELECT COUNT(*) AS reporting_farms, COALESCE(SUM(birds), 0) AS birds, COALESCE(SUM(eggs), 0) AS eggs,
           COALESCE(SUM(deaths), 0) AS deaths, COALESCE(SUM(feed_kg), 0) AS feed_kg
    FROM production_records WHERE recorded_on = :on_day
) AS p
CROSS JOIN (
    SELECT COUNT(*) AS orders, COALESCE(SUM(total_pesewas), 0) AS sales_pesewas
    FROM orders WHERE placed_at >= :from_at AND placed_at < :to_at AND status NOT IN ('CANCELLED', 'REFUNDED')
) AS o
WHERE true
ON CONFLICT (day) DO UPDATE SET
    farmers = excluded.farmers, active_farms = excluded.active_farms, reporting_farms = excluded.reporting_farms,
    birds = excluded.birds, eggs = excluded.eggs, deaths = excluded.deaths, feed_kg = excluded.feed_kg,
    new_applications = excluded.new_applications, approved_applications = excluded.approved_applications,
    orders = excluded.orders, sales_pesewas = excluded.sales_pesewas, calculated_at = excluded.calculated_at
