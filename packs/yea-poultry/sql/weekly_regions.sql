SELECT r.name AS region, COUNT(DISTINCT p.farm_id) AS farms, SUM(p.eggs) AS eggs, SUM(p.deaths) AS deaths, SUM(p.feed_kg) AS feed_kg
FROM production_records AS p
JOIN farms AS f ON f.id = p.farm_id JOIN districts AS d ON d.id = f.district_id JOIN regions AS r ON r.code = d.region_code
WHERE p.recorded_on >= :from_day AND p.recorded_on < :to_day
GROUP BY r.code, r.name ORDER BY r.name
