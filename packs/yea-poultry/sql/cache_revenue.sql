-- What the platform earned on each of the last seven days that were calculated.
INSERT INTO dashboard_cache (cache_key, payload, refreshed_at, expires_at)
SELECT 'revenue', COALESCE(json_group_array(json_object('day', d.day, 'commission_pesewas', d.commission_pesewas, 'activation_pesewas', d.activation_pesewas, 'advertising_pesewas', d.advertising_pesewas, 'total_pesewas', d.total_pesewas)), '[]'), :now, :expires_at
FROM (
    SELECT day, commission_pesewas, activation_pesewas, advertising_pesewas, total_pesewas
    FROM platform_revenue WHERE day >= :since AND day < :today ORDER BY day
) AS d
WHERE true
ON CONFLICT (cache_key) DO UPDATE SET payload = excluded.payload, refreshed_at = excluded.refreshed_at, expires_at = excluded.expires_at
