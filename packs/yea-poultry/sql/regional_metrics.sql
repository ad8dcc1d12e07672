-- The figures of one day for all regions, in one statement. A region without farms gets a row of zeros.
INSERT INTO regional_metrics (day, region_code, active_farms, reporting_farms, birds, eggs, deaths, average_score, sales_pesewas, calculated_at)
SELECT :on_day, r.code, COALESCE(f.active_farms, 0), COALESCE(p.reporting_farms, 0), COALESCE(p.birds, 0), COALESCE(p.eggs, 0),
       COALESCE(p.deaths, 0), f.average_score, COALESCE(s.sales_pesewas, 0), :now
FROM regions AS r
LEFT JOIN (
    SELECT d.region_code, COUNT(*) AS active_farms, ROUND(AVG(farms.score), 1) AS average_score
    FROM farms JOIN districts AS d ON d.id = farms.district_id
    WHERE farms.status = 'ACTIVE' GROUP BY d.region_code
) AS f ON f.region_code = r.code
LEFT JOIN (
    SELECT d.region_code, COUNT(*) AS reporting_farms, SUM(pr.birds) AS birds, SUM(pr.eggs) AS eggs, SUM(pr.deaths) AS deaths
    FROM production_records AS pr JOIN farms ON farms.id = pr.farm_id JOIN districts AS d ON d.id = farms.district_id
    WHERE pr.recorded_on = :on_day GROUP BY d.region_code
) AS p ON p.region_code = r.code
LEFT JOIN (
    -- An order belongs to the region of its seller's main farm.
    SELECT d.region_code, SUM(o.total_pesewas) AS sales_pesewas
    FROM orders AS o JOIN farms ON farms.farmer_id = o.seller_id AND farms.is_primary JOIN districts AS d ON d.id = farms.district_id
    WHERE o.placed_at >= :from_at AND o.placed_at < :to_at AND o.status NOT IN ('CANCELLED', 'REFUNDED')
    GROUP BY d.region_code
) AS s ON s.region_code = r.code
WHERE true
ON CONFLICT (day, region_code) DO UPDATE SET
    active_farms = excluded.active_farms, reporting_farms = excluded.reporting_farms, birds = excluded.birds, eggs = excluded.eggs,
    deaths = excluded.deaths, average_score = excluded.average_score, sales_pesewas = excluded.sales_pesewas,
    calculated_at = excluded.calculated_at
