SELECT COUNT(*) AS days, COALESCE(SUM(eggs), 0) AS eggs, COALESCE(SUM(deaths), 0) AS deaths, COALESCE(SUM(feed_kg), 0) AS feed_kg,
       ROUND(SUM(eggs) * 1.0 / NULLIF(SUM(birds), 0), 4) AS laying, ROUND(SUM(deaths) * 1.0 / NULLIF(AVG(birds), 0), 4) AS mortality
FROM production_records WHERE farm_id = :farm_id AND recorded_on >= :since AND recorded_on < :today
