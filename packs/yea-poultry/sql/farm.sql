SELECT f.name, f.bird_type, f.capacity, f.status, f.score, f.grade, d.name AS district, r.name AS region, u.first_name || ' ' || u.last_name AS farmer
FROM farms AS f
JOIN users AS u ON u.id = f.farmer_id JOIN districts AS d ON d.id = f.district_id JOIN regions AS r ON r.code = d.region_code
WHERE f.id = :farm_id
