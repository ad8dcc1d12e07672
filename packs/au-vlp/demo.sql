-- The same rows for everybody, dated back from when they are made, so that there is always something scheduled, expired, old and unread.

INSERT INTO admins (id, email, first_name, last_name, role, status, created_at, last_login_at) VALUES
    (1, 'admin1@example.org', 'Folasade', 'Achebe', 'superadmin', 1, datetime(:now, '-800 days'), datetime(:now, '-2 hours')),
    (2, 'admin2@example.org', 'Idriss', 'Ouattara', 'editor', 1, datetime(:now, '-610 days'), datetime(:now, '-1 days')),
    (3, 'admin3@example.org', 'Nomvula', 'Khumalo', 'editor', 1, datetime(:now, '-520 days'), datetime(:now, '-5 hours')),
    (4, 'admin4@example.org', 'Tariq', 'Ben Salah', 'support', 1, datetime(:now, '-300 days'), datetime(:now, '-3 days')),
    (456, 'admin456@example.org', 'Wairimu', 'Njoroge', 'support', 1, datetime(:now, '-1 days'), NULL),
    (6, 'admin6@example.org', 'Cyril', 'Mbeki', 'support', 0, datetime(:now, '-700 days'), datetime(:now, '-200 days'));

-- One user in twenty is suspended (2), two are inactive (0), the others are active (1).
INSERT INTO users (id, email, first_name, last_name, phone, country, organization, status, is_verified, created_at, last_login_at)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 1200),
people (n, age, status) AS (
    SELECT n, (1200 - n) * 876 + (n * 37) % 800, CASE WHEN n % 20 = 0 THEN 2 WHEN n % 20 IN (5, 6) THEN 0 ELSE 1 END
    FROM series),
firsts (k, name, slug) AS (VALUES
    (0, 'Adjoa', 'adjoa'), (1, 'Bakary', 'bakary'), (2, 'Chipo', 'chipo'), (3, 'Désiré', 'desire'), (4, 'Efua', 'efua'),
    (5, 'Farouk', 'farouk'), (6, 'Gift', 'gift'), (7, 'Hawa', 'hawa'), (8, 'Issa', 'issa'), (9, 'Jabu', 'jabu'),
    (10, 'Khadija', 'khadija'), (11, 'Lwazi', 'lwazi'), (12, 'Makena', 'makena'), (13, 'Noé', 'noe'), (14, 'Oumou', 'oumou'),
    (15, 'Precious', 'precious'), (16, 'Rania', 'rania'), (17, 'Seydou', 'seydou'), (18, 'Thandiwe', 'thandiwe')),
lasts (k, name, slug) AS (VALUES
    (0, 'Abubakar', 'abubakar'), (1, 'Boakye', 'boakye'), (2, 'Coulibaly', 'coulibaly'), (3, 'Dube', 'dube'), (4, 'Eze', 'eze'),
    (5, 'Faye', 'faye'), (6, 'Gebremariam', 'gebremariam'), (7, 'Haddad', 'haddad'), (8, 'Ilunga', 'ilunga'), (9, 'Jallow', 'jallow'),
    (10, 'Kagame', 'kagame'), (11, 'Lungu', 'lungu'), (12, 'N''Diaye', 'ndiaye'), (13, 'Ogunleye', 'ogunleye'), (14, 'Ramaphosa', 'ramaphosa'),
    (15, 'Sankara', 'sankara'), (16, 'van der Merwe', 'van-der-merwe')),
countries (k, name, code) AS (VALUES
    (0, 'Ghana', '+233'), (1, 'Nigeria', '+234'), (2, 'Kenya', '+254'), (3, 'South Africa', '+27'), (4, 'Senegal', '+221'),
    (5, 'Ethiopia', '+251'), (6, 'Egypt', '+20'), (7, 'Rwanda', '+250'), (8, 'Morocco', '+212'), (9, 'Zambia', '+260'),
    (10, 'Côte d''Ivoire', '+225')),
organizations (k, name) AS (VALUES
    (0, 'Mangrove Watch'), (1, 'Reading Rooms, Tamale'), (2, 'Solar "Spark" Cooperative'), (3, 'Health on Wheels'),
    (4, 'Coast & Current'), (5, 'Girls Who Build'), (6, 'Savanna Archive'))
SELECT p.n, f.slug || '.' || l.slug || p.n || CASE p.n % 3 WHEN 0 THEN '@example.org' WHEN 1 THEN '@example.com' ELSE '@example.net' END,
       f.name, l.name, CASE WHEN p.n % 5 > 0 THEN c.code || ' 55 ' || (100 + p.n * 7 % 900) || ' ' || (1000 + p.n * 31 % 9000) END,
       c.name, o.name, p.status, p.n % 9 > 0, datetime(:now, '-' || p.age || ' minutes'),
       CASE WHEN p.status = 1 AND p.n % 8 > 0 THEN datetime(:now, '-' || ((p.n * 7919 % 64800) % (p.age + 1)) || ' minutes') END
FROM people AS p
JOIN firsts AS f ON f.k = p.n % 19
JOIN lasts AS l ON l.k = p.n * 5 % 17
JOIN countries AS c ON c.k = p.n * 3 % 11
LEFT JOIN organizations AS o ON o.k = p.n % 21
ORDER BY p.n;

-- Of twelve contents, one is due for publication, one is scheduled for later, one has expired, one is a draft, and one expires later.
INSERT INTO contents (id, title, slug, body, kind, author_id, status, publish_at, published_at, expires_at, views, rating, created_at)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 240),
subjects (k, title, slug) AS (VALUES
    (0, 'Mentors for coding clubs', 'mentors-for-coding-clubs'), (1, 'A well for Sirigu', 'a-well-for-sirigu'),
    (2, 'Six months in Windhoek', 'six-months-in-windhoek'), (3, 'Mangroves: planting day', 'mangroves-planting-day'),
    (4, 'First-aid weekend', 'first-aid-weekend'), (5, 'Mobile library, new route', 'mobile-library-new-route'),
    (6, 'Photographs of the fair', 'photographs-of-the-fair')),
pieces (n, age, near, status) AS (
    SELECT n, 44640 + (240 - n) * 2400 + n * 17 % 2400, 30 + n * 997 % 28770,
           CASE n % 12 WHEN 0 THEN 'scheduled' WHEN 1 THEN 'scheduled' WHEN 3 THEN 'draft' ELSE 'published' END
    FROM series)
SELECT p.n, s.title || ' (' || p.n || ')', s.slug || '-' || p.n, s.title || ': what is planned, who can take part, and whom to ask.',
       CASE p.n % 4 WHEN 0 THEN 'news' WHEN 1 THEN 'event' WHEN 2 THEN 'resource' ELSE 'opportunity' END, 1 + p.n % 4, p.status,
       CASE WHEN p.n % 12 = 0 THEN datetime(:now, '-' || p.near || ' minutes')
            WHEN p.n % 12 = 1 THEN datetime(:now, '+' || p.near || ' minutes')
            WHEN p.status = 'published' THEN datetime(:now, '-' || (p.age - 1440) || ' minutes') END,
       CASE WHEN p.status = 'published' THEN datetime(:now, '-' || (p.age - 1440) || ' minutes') END,
       CASE WHEN p.n % 12 = 2 THEN datetime(:now, '-' || p.near || ' minutes')
            WHEN p.n % 12 = 4 THEN datetime(:now, '+' || p.near || ' minutes') END,
       CASE WHEN p.status = 'published' THEN p.n * 73 % 5000 ELSE 0 END,
       CASE WHEN p.status = 'published' THEN 2 + (p.n * 7 % 31) / 10.0 END,
       datetime(:now, '-' || p.age || ' minutes')
FROM pieces AS p
JOIN subjects AS s ON s.k = p.n % 7
ORDER BY p.n;

-- Four months of activity, of which a few people do most. What is older than 90 days is deleted by cleanup_expired_content.
INSERT INTO activity_logs (id, user_id, action, object, ip_address, created_at)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 3000),
actions (low, high, action) AS (VALUES
    (0, 29, 'login'), (30, 63, 'view'), (64, 75, 'update'), (76, 83, 'create'), (84, 91, 'logout'), (92, 95, 'download'), (96, 98, 'comment'), (99, 99, 'delete'))
SELECT s.n, 1 + (s.n * 389 % 1200) * (s.n * 17 % 1200) / 1200, a.action,
       CASE WHEN a.action NOT IN ('login', 'logout') THEN 'content/' || (1 + s.n * 11 % 240) END,
       '203.0.113.' || (1 + s.n * 7 % 254), datetime(:now, '-' || ((3000 - s.n) * 57 + s.n * 13 % 57) || ' minutes')
FROM series AS s
JOIN actions AS a ON s.n * 37 % 100 BETWEEN a.low AND a.high
ORDER BY s.n;

UPDATE activity_logs SET details = '{"agent": "web"}' WHERE id % 4 = 0;
UPDATE activity_logs SET details = '{"agent": "phone", "app": "2.4.1"}' WHERE id % 4 = 2;

-- Six notifications in ten were read. Their ids are given by the database, as for those that kinds write.
INSERT INTO notifications (user_id, kind, title, message, is_read, read_at, created_at)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 1500),
texts (k, kind, title, message) AS (VALUES
    (0, 'welcome', 'Your account is ready', 'Have a look around, and tell us what you would like to do.'),
    (1, 'reminder', 'Your profile lacks your skills', 'Add them, so that projects can find you.'),
    (2, 'message', 'Somebody answered your application', 'Open your messages to read the answer.'),
    (3, 'event', 'A new event in your country', 'It takes place this month.'),
    (4, 'system', 'Maintenance on Sunday', 'The site can only be read from 02:00 to 03:00 UTC.')),
pieces (n, age) AS (SELECT n, (1500 - n) * 192 + n * 7 % 192 FROM series)
SELECT 1 + p.n * 101 % 1200, t.kind, t.title, t.message, p.n % 10 < 6,
       CASE WHEN p.n % 10 < 6 THEN datetime(:now, '-' || (p.age - (p.n * 11 % 4320) % (p.age + 1)) || ' minutes') END,
       datetime(:now, '-' || p.age || ' minutes')
FROM pieces AS p
JOIN texts AS t ON t.k = p.n * 3 % 5
ORDER BY p.n;
