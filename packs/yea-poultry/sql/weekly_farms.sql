-- The farms that lost the largest part of their birds.
SELECT t.farm, t.region, t.birds, t.deaths, ROUND(t.deaths * 1.0 / t.birds, 4) AS mortality
FROM (
    SELECT f.name AS farm, r.name AS region, CAST(ROUND(AVG(p.birds)) AS BIGINT) AS birds, SUM(p.deaths) AS deaths
    FROM production_records AS p
    JOIN farms AS f ON f.id = p.farm_id JOIN districts AS d ON d.id = f.district_id JOIN regions AS r ON r.code = d.region_code
    WHERE p.recorded_on >= :from_day AND p.recorded_on < :to_day
    GROUP BY f.id, f.name, r.name HAVING SUM(p.deaths) > 0 AND AVG(p.birds) >= 1
) AS t
ORDER BY mortality DESC, t.farm LIMIT 5
