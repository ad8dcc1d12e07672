-- Points: 40 for a budget from GHS 5,000 (20 from GHS 1,000), 20 for a mail address, 20 for a phone, 20 for a message of some length. A lead whose
-- address came in before is a duplicate. A lead that was processed before keeps what it has.
UPDATE advertiser_leads
SET score = s.score, processed_at = :now,
    priority = CASE WHEN s.score >= 70 THEN 'HIGH' WHEN s.score >= 40 THEN 'NORMAL' ELSE 'LOW' END,
    status = CASE WHEN s.earlier > 0 THEN 'DUPLICATE' ELSE 'QUALIFIED' END
FROM (
    SELECT l.id,
           CASE WHEN l.budget_pesewas >= 500000 THEN 40 WHEN l.budget_pesewas >= 100000 THEN 20 ELSE 0 END
               + CASE WHEN l.email IS NOT NULL THEN 20 ELSE 0 END + CASE WHEN l.phone IS NOT NULL THEN 20 ELSE 0 END
               + CASE WHEN LENGTH(l.message) >= 40 THEN 20 ELSE 0 END AS score,
           (SELECT COUNT(*) FROM advertiser_leads AS b
            WHERE LOWER(b.email) = LOWER(l.email) AND b.id <> l.id
              AND (b.created_at < l.created_at OR (b.created_at = l.created_at AND b.id < l.id))) AS earlier
    FROM advertiser_leads AS l
) AS s
WHERE s.id = advertiser_leads.id AND advertiser_leads.id = :lead_id AND advertiser_leads.status = 'NEW'
