INSERT INTO users (id, first_name, last_name, email) VALUES
    (1, 'Imogen', 'Hartley', 'imogen.hartley@example.org'),
    (2, 'Rafael', 'Okonjo', 'rafael.okonjo@example.com'),
    (3, 'Siân', 'Pritchard', 'sian.pritchard@example.net'),
    (4, 'Dev', 'Malhotra', 'dev.malhotra@example.org'),
    (5, 'Bea', 'Lindqvist', NULL),
    (6, 'Tom', 'Ashdown', 'tom.ashdown@example.com');

INSERT INTO events (id, title, description, location, organizer_id, status, is_public, start_date, end_date, archived_at, updated_at) VALUES
    -- These two have ended: the next run completes them.
    (1, 'Riverside litter pick', 'Gloves and bags are provided.', 'Putney embankment', 1, 'CONFIRMED', true,
        datetime(:now, '-4 hours'), datetime(:now, '-2 hours'), NULL, datetime(:now, '-9 days')),
    (2, 'Seed swap', NULL, 'Hackney town hall', 1, 'ONGOING', true,
        datetime(:now, '-30 hours'), datetime(:now, '-26 hours'), NULL, datetime(:now, '-30 hours')),
    -- These have no end, or one that has not passed.
    (3, 'Open studio', 'Come and go as you like.', 'Peckham arches', 2, 'CONFIRMED', true,
        datetime(:now, '-3 days'), NULL, NULL, datetime(:now, '-20 days')),
    (4, 'Repair café', 'Bring what is broken.', 'Brixton library', 2, 'ONGOING', true,
        datetime(:now, '-1 hours'), datetime(:now, '+2 hours'), NULL, datetime(:now, '-1 hours')),
    (5, 'Canal walk', 'Six miles on flat paths, with a stop for tea.', 'Camden Lock', 1, 'CONFIRMED', true,
        datetime(:now, '+20 hours'), datetime(:now, '+24 hours'), NULL, datetime(:now, '-12 days')),
    -- These have ended, but are in no state that is completed by the clock.
    (6, 'Film night', NULL, 'To be decided', 1, 'DRAFT', true,
        datetime(:now, '-2 days'), datetime(:now, '-45 hours'), NULL, datetime(:now, '-40 days')),
    (7, 'Kite festival', 'Too little wind.', 'Blackheath', 3, 'CANCELLED', true,
        datetime(:now, '-6 days'), datetime(:now, '-5 days'), NULL, datetime(:now, '-7 days')),
    -- These are completed: recent, old enough for the archive, archived, and old without an end.
    (8, 'Choir workshop', 'No experience needed.', 'Union Chapel', 1, 'COMPLETED', true,
        datetime(:now, '-10 days'), datetime(:now, '-238 hours'), NULL, datetime(:now, '-237 hours')),
    (9, 'Chess in the park', NULL, 'Holland Park', 1, 'COMPLETED', true,
        datetime(:now, '-101 days'), datetime(:now, '-100 days'), NULL, datetime(:now, '-100 days')),
    (10, 'Spring fair', NULL, 'Victoria Park', 1, 'COMPLETED', true,
        datetime(:now, '-201 days'), datetime(:now, '-200 days'), datetime(:now, '-110 days'), datetime(:now, '-110 days')),
    (11, 'Mural painting', 'Went on until the wall was full.', 'Shoreditch', 3, 'COMPLETED', true,
        datetime(:now, '-120 days'), NULL, NULL, datetime(:now, '-95 days')),
    -- Not public; begins soon.
    (12, 'Volunteers'' supper', NULL, 'Community kitchen, Deptford', 2, 'CONFIRMED', false,
        datetime(:now, '+5 hours'), datetime(:now, '+8 hours'), NULL, datetime(:now, '-3 days')),
    -- Begins after the next 24 hours.
    (13, 'Bird count', 'Bring binoculars if you have some.', 'Walthamstow wetlands', 3, 'CONFIRMED', true,
        datetime(:now, '+3 days'), datetime(:now, '+76 hours'), NULL, datetime(:now, '-1 days')),
    (14, 'Listening room', NULL, 'Dalston', 3, 'ONGOING', false,
        datetime(:now, '-8 days'), NULL, NULL, datetime(:now, '-8 days')),
    -- Ends at this very moment, so it has not ended yet.
    (15, 'Lunch concert', NULL, 'St Anne''s, Soho', 3, 'ONGOING', true,
        datetime(:now, '-1 hours'), :now, NULL, datetime(:now, '-1 hours'));

-- A series that nobody has tidied up, to be completed in bulk.
INSERT INTO events (id, title, description, location, organizer_id, status, is_public, start_date, end_date, archived_at, updated_at)
WITH RECURSIVE nights (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM nights WHERE n < 50)
SELECT 100 + n, 'Code club, evening ' || (51 - n), NULL, 'Kings Cross', 4,
       CASE WHEN n % 2 = 0 THEN 'CONFIRMED' ELSE 'ONGOING' END, true,
       datetime(:now, '-' || (n * 24 + 2) || ' hours'), datetime(:now, '-' || (n * 24) || ' hours'), NULL, datetime(:now, '-60 days')
FROM nights;

INSERT INTO participants (id, event_id, user_id, response, reminded_at) VALUES
    -- The canal walk: two to remind, one without an address, one who declined, one who was reminded.
    (1, 5, 2, 'going', NULL),
    (2, 5, 3, 'going', NULL),
    (3, 5, 5, 'going', NULL),
    (4, 5, 4, 'declined', NULL),
    (5, 5, 6, 'going', datetime(:now, '-1 hours')),
    -- The supper, which is not public.
    (6, 12, 4, 'going', NULL),
    (7, 12, 6, 'maybe', NULL),
    -- Too late, too early, cancelled.
    (8, 4, 2, 'going', NULL),
    (9, 13, 2, 'going', NULL),
    (10, 7, 2, 'going', NULL);
