SELECT COUNT(DISTINCT p.farm_id) AS farms, COALESCE(SUM(p.eggs), 0) AS eggs, COALESCE(SUM(p.deaths), 0) AS deaths, COALESCE(SUM(p.feed_kg), 0) AS feed_kg,
       ROUND(SUM(p.eggs) * 1.0 / NULLIF(SUM(CASE WHEN f.bird_type = 'LAYERS' THEN p.birds ELSE 0 END), 0), 4) AS laying
FROM production_records AS p JOIN farms AS f ON f.id = p.farm_id JOIN districts AS d ON d.id = f.district_id
WHERE p.recorded_on >= :since AND p.recorded_on < :today AND (:region IS NULL OR d.region_code = :region)
