-- What each partner earned in a week: its share of the value of the conversions. Weeks that are paid stay as they are.
INSERT INTO partner_earnings (partner_id, period_start, period_end, conversions, value_pesewas, share_bp, earned_pesewas, status, calculated_at)
SELECT t.partner_id, :period_start, :period_end, t.conversions, t.value, t.share_bp, (t.value * t.share_bp + 5000) / 10000, 'DUE', :now
FROM (
    SELECT p.id AS partner_id, p.share_bp, COUNT(*) AS conversions, CAST(SUM(e.value_pesewas) AS BIGINT) AS value
    FROM partners AS p JOIN offers AS o ON o.partner_id = p.id JOIN ad_events AS e ON e.offer_id = o.id
    WHERE e.kind = 'CONVERSION' AND e.occurred_at >= :from_at AND e.occurred_at < :to_at
    GROUP BY p.id, p.share_bp
) AS t
WHERE true
ON CONFLICT (partner_id, period_start) DO UPDATE SET
    period_end = excluded.period_end, conversions = excluded.conversions, value_pesewas = excluded.value_pesewas, share_bp = excluded.share_bp,
    earned_pesewas = excluded.earned_pesewas, calculated_at = excluded.calculated_at
WHERE partner_earnings.status = 'DUE'
