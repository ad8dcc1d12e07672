SELECT o.title, o.ends_at, p.name AS partner_name, p.contact_name, p.email, p.phone
FROM offers AS o JOIN partners AS p ON p.id = o.partner_id
WHERE o.id = :offer_id AND o.status = 'ACTIVE' AND o.warned_at IS NULL AND o.ends_at > :now
