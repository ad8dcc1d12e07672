-- What somebody should look at: counts, 0 where all is well.
INSERT INTO dashboard_cache (cache_key, payload, refreshed_at, expires_at)
SELECT 'alerts', jsonb_build_object(
    'stale_applications', (SELECT COUNT(*) FROM applications WHERE status IN ('PENDING', 'UNDER_REVIEW') AND submitted_at < :since_at),
    'silent_farms', (
        SELECT COUNT(*) FROM farms
        WHERE status = 'ACTIVE' AND NOT EXISTS (
            SELECT 1 FROM production_records AS p WHERE p.farm_id = farms.id AND p.recorded_on >= :since
        )
    ),
    'high_mortality_farms', (
        SELECT COUNT(*) FROM (
            SELECT farm_id FROM production_records WHERE recorded_on >= :since AND recorded_on < :today
            GROUP BY farm_id HAVING SUM(deaths) * 100 >= AVG(birds) * 2
        ) AS high
    ),
    'weak_farms', (SELECT COUNT(*) FROM farms WHERE status = 'ACTIVE' AND grade = 'D'),
    'activations_ending', (SELECT COUNT(*) FROM marketplace_activations WHERE status = 'ACTIVE' AND expires_at > :now AND expires_at <= :soon)
), :now, :expires_at
WHERE true
ON CONFLICT (cache_key) DO UPDATE SET payload = excluded.payload, refreshed_at = excluded.refreshed_at, expires_at = excluded.expires_at
