-- All active farms in one statement. README.md explains the points: 30 for records, 40 for survival, 30 for laying (layers only).
UPDATE farms
SET score = s.score, scored_at = :now,
    grade = CASE WHEN s.score IS NULL THEN 'UNRATED' WHEN s.score >= 80 THEN 'A' WHEN s.score >= 60 THEN 'B' WHEN s.score >= 40 THEN 'C' ELSE 'D' END
FROM (
    SELECT x.farm_id, ROUND((x.records + x.survival + x.laying) * 100.0 / x.possible, 1) AS score
    FROM (
        SELECT f.id AS farm_id,
               CASE WHEN p.days_recorded >= :days THEN 30.0 ELSE 30.0 * p.days_recorded / :days END AS records,
               CASE WHEN p.mortality >= 0.05 THEN 0.0 ELSE 40.0 * (1 - p.mortality / 0.05) END AS survival,
               CASE WHEN f.bird_type <> 'LAYERS' THEN 0.0 WHEN p.laying >= 0.75 THEN 30.0 ELSE 30.0 * p.laying / 0.75 END AS laying,
               CASE WHEN f.bird_type = 'LAYERS' THEN 100.0 ELSE 70.0 END AS possible
        FROM farms AS f
        LEFT JOIN (
            SELECT farm_id, COUNT(*) AS days_recorded, SUM(deaths) * 1.0 / NULLIF(AVG(birds), 0) AS mortality,
                   SUM(eggs) * 1.0 / NULLIF(SUM(birds), 0) AS laying
            FROM production_records WHERE recorded_on >= :since AND recorded_on < :today GROUP BY farm_id
        ) AS p ON p.farm_id = f.id
        WHERE f.status = 'ACTIVE'
    ) AS x
) AS s
WHERE farms.id = s.farm_id
