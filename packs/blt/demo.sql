INSERT INTO organizations (id, name) VALUES
    (1, 'Harbour Bank'),
    (2, 'Fern & Fable Books'),
    (3, 'Orbit Transit'),
    (4, 'Quiet Week GmbH');

INSERT INTO domains (id, organization_id, name, email) VALUES
    (1, 1, 'harbourbank.example', 'security@harbourbank.example'),
    (2, 1, 'pay.harbourbank.example', 'payments@harbourbank.example'),
    (3, 2, 'fernandfable.example', 'web@fernandfable.example'),
    -- Its address is broken, so its mail fails and the failure is logged.
    (4, 3, 'orbit-transit.example', 'it-desk(at)orbit-transit.example'),
    -- Nothing ever happened here.
    (5, 4, 'quietweek.example', 'hallo@quietweek.example'),
    -- These two have no address, so nothing is sent to them.
    (6, 2, 'shop.fernandfable.example', NULL),
    (7, 3, 'tickets.orbit-transit.example', '');

-- About four weeks of issues, so that last week and the week before it have some on whatever day the demonstration is made.
INSERT INTO issues (id, domain_id, title, label, reporter, created_at, closed_at)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 240),
labels (k, label) AS (VALUES (0, 'general'), (1, 'security'), (2, 'performance'), (3, 'typo'), (4, 'design')),
subjects (k, subject) AS (VALUES (0, 'The sign-in page shows an error'), (1, 'A form accepts scripts'), (2, 'The search takes ten seconds'),
    (3, 'The word "recieve" on the start page'), (4, 'The menu covers the text on phones'), (5, 'A link leads nowhere'), (6, 'The session never ends')),
reporters (k, reporter) AS (VALUES (0, 'nyx'), (1, 'pelican'), (2, 'ada_b'), (3, 'k0foster'), (4, 'mireille'), (5, 'zed'))
SELECT s.n,
       CASE s.n % 8 WHEN 0 THEN 1 WHEN 1 THEN 1 WHEN 2 THEN 1 WHEN 3 THEN 2 WHEN 4 THEN 3 WHEN 5 THEN 4 WHEN 6 THEN 6 ELSE 7 END,
       j.subject || ' (' || s.n || ')', l.label, r.reporter,
       datetime(:now, '-' || ((241 - s.n) * 180) || ' minutes'),
       CASE WHEN s.n % 3 = 0 THEN datetime(:now, '-' || ((241 - s.n) * 180 - (s.n * 7) % 180) || ' minutes') END
FROM series AS s
JOIN labels AS l ON l.k = (s.n * 3) % 5
JOIN subjects AS j ON j.k = (s.n * 5) % 7
JOIN reporters AS r ON r.k = (s.n * s.n) % 6
ORDER BY s.n;
