-- The regions as they were on the last day that was aggregated.
INSERT INTO dashboard_cache (cache_key, payload, refreshed_at, expires_at)
SELECT 'regional_overview', COALESCE(json_group_array(json_object('region', r.name, 'active_farms', r.active_farms, 'birds', r.birds, 'eggs', r.eggs, 'deaths', r.deaths, 'average_score', r.average_score, 'sales_pesewas', r.sales_pesewas)), '[]'), :now, :expires_at
FROM (
    SELECT regions.name, m.active_farms, m.birds, m.eggs, m.deaths, m.average_score, m.sales_pesewas
    FROM regional_metrics AS m JOIN regions ON regions.code = m.region_code
    WHERE m.day = (SELECT MAX(day) FROM regional_metrics)
    ORDER BY regions.name
) AS r
WHERE true
ON CONFLICT (cache_key) DO UPDATE SET payload = excluded.payload, refreshed_at = excluded.refreshed_at, expires_at = excluded.expires_at
