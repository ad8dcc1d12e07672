SELECT o.id, p.email, p.phone
FROM offers AS o JOIN partners AS p ON p.id = o.partner_id
WHERE o.status = 'ACTIVE' AND o.warned_at IS NULL AND o.ends_at > :now AND o.ends_at <= :until
ORDER BY o.ends_at, o.id
