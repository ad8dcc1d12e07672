SELECT f.name AS farm, d.name AS district, r.name AS region, f.bird_type, f.score, f.grade, COUNT(p.recorded_on) AS days,
       COALESCE(SUM(p.eggs), 0) AS eggs, COALESCE(SUM(p.deaths), 0) AS deaths, COALESCE(SUM(p.feed_kg), 0) AS feed_kg
FROM farms AS f
JOIN districts AS d ON d.id = f.district_id JOIN regions AS r ON r.code = d.region_code
LEFT JOIN production_records AS p ON p.farm_id = f.id AND p.recorded_on >= :since AND p.recorded_on < :today
WHERE f.status = 'ACTIVE' AND (:region IS NULL OR d.region_code = :region)
GROUP BY f.id, f.name, d.name, r.name, f.bird_type, f.score, f.grade
ORDER BY r.name, f.name LIMIT 5000
