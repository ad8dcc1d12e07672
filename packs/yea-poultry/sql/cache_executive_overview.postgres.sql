-- The few figures at the top of the dashboard, of the last seven full days.
INSERT INTO dashboard_cache (cache_key, payload, refreshed_at, expires_at)
SELECT 'executive_overview', jsonb_build_object(
    'farmers', (SELECT COUNT(*) FROM users WHERE role = 'FARMER' AND is_active),
    'active_farms', (SELECT COUNT(*) FROM farms WHERE status = 'ACTIVE'),
    'average_score', (SELECT ROUND(AVG(score), 1) FROM farms WHERE status = 'ACTIVE'),
    'eggs', p.eggs,
    'deaths', p.deaths,
    'orders', o.orders,
    'sales_pesewas', o.sales_pesewas,
    'open_applications', (SELECT COUNT(*) FROM applications WHERE status IN ('PENDING', 'UNDER_REVIEW'))
), :now, :expires_at
FROM (
    SELECT COALESCE(SUM(eggs), 0) AS eggs, COALESCE(SUM(deaths), 0) AS deaths
    FROM production_records WHERE recorded_on >= :since AND recorded_on < :today
) AS p
CROSS JOIN (
    SELECT COUNT(*) AS orders, COALESCE(SUM(total_pesewas), 0) AS sales_pesewas
    FROM orders WHERE placed_at >= :since_at AND status NOT IN ('CANCELLED', 'REFUNDED')
) AS o
WHERE true
ON CONFLICT (cache_key) DO UPDATE SET payload = excluded.payload, refreshed_at = excluded.refreshed_at, expires_at = excluded.expires_at
