-- Birds, eggs, deaths and feed of each of the last seven full days.
INSERT INTO dashboard_cache (cache_key, payload, refreshed_at, expires_at)
SELECT 'production', COALESCE(json_group_array(json_object('day', d.recorded_on, 'farms', d.farms, 'birds', d.birds, 'eggs', d.eggs, 'deaths', d.deaths, 'feed_kg', d.feed_kg)), '[]'), :now, :expires_at
FROM (
    SELECT recorded_on, COUNT(*) AS farms, SUM(birds) AS birds, SUM(eggs) AS eggs, SUM(deaths) AS deaths, SUM(feed_kg) AS feed_kg
    FROM production_records WHERE recorded_on >= :since AND recorded_on < :today
    GROUP BY recorded_on ORDER BY recorded_on
) AS d
WHERE true
ON CONFLICT (cache_key) DO UPDATE SET payload = excluded.payload, refreshed_at = excluded.refreshed_at, expires_at = excluded.expires_at
