-- Figures of the week, and of the week before it for comparison.
SELECT d.id, d.name, d.email, o.name AS organization,
       (SELECT COUNT(*) FROM issues AS i WHERE i.domain_id = d.id AND i.created_at >= :begins AND i.created_at < :ends) AS opened,
       (SELECT COUNT(*) FROM issues AS i WHERE i.domain_id = d.id AND i.created_at >= :before AND i.created_at < :begins) AS opened_before,
       (SELECT COUNT(*) FROM issues AS i WHERE i.domain_id = d.id AND i.closed_at >= :begins AND i.closed_at < :ends) AS closed,
       (SELECT COUNT(*) FROM issues AS i WHERE i.domain_id = d.id AND i.closed_at >= :before AND i.closed_at < :begins) AS closed_before,
       (SELECT COUNT(*) FROM issues AS i WHERE i.domain_id = d.id AND i.created_at < :ends AND (i.closed_at IS NULL OR i.closed_at >= :ends)) AS still_open,
       (SELECT COUNT(*) FROM issues AS i WHERE i.domain_id = d.id AND i.created_at < :ends) AS total
FROM domains AS d
JOIN organizations AS o ON o.id = d.organization_id
WHERE d.id = :domain_id
