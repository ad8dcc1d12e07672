-- One row for each offer that had an event on the day.
INSERT INTO ad_daily_stats (offer_id, day, impressions, clicks, conversions, click_rate, conversion_rate, charge_pesewas, value_pesewas, calculated_at)
SELECT t.offer_id, :on_day, t.impressions, t.clicks, t.conversions,
       ROUND(t.clicks * 1.0 / NULLIF(t.impressions, 0), 4), ROUND(t.conversions * 1.0 / NULLIF(t.clicks, 0), 4), t.charges, t.value, :now
FROM (
    SELECT offer_id, COUNT(*) FILTER (WHERE kind = 'IMPRESSION') AS impressions, COUNT(*) FILTER (WHERE kind = 'CLICK') AS clicks,
           COUNT(*) FILTER (WHERE kind = 'CONVERSION') AS conversions, SUM(charge_pesewas) AS charges, SUM(value_pesewas) AS value
    FROM ad_events WHERE occurred_at >= :from_at AND occurred_at < :to_at GROUP BY offer_id
) AS t
WHERE true
ON CONFLICT (offer_id, day) DO UPDATE SET
    impressions = excluded.impressions, clicks = excluded.clicks, conversions = excluded.conversions, click_rate = excluded.click_rate,
    conversion_rate = excluded.conversion_rate, charge_pesewas = excluded.charge_pesewas, value_pesewas = excluded.value_pesewas,
    calculated_at = excluded.calculated_at
