-- The oldest first; the mail lists fifty at most.
SELECT a.id, a.farm_name, a.status, a.submitted_at, u.first_name || ' ' || u.last_name AS applicant, d.name AS district, r.name AS region,
       CASE WHEN a.stale_since IS NULL THEN 1 ELSE 0 END AS is_new
FROM applications AS a
JOIN users AS u ON u.id = a.applicant_id JOIN districts AS d ON d.id = a.district_id JOIN regions AS r ON r.code = d.region_code
WHERE a.status IN ('PENDING', 'UNDER_REVIEW') AND a.submitted_at < :before
ORDER BY a.submitted_at, a.id LIMIT 50
