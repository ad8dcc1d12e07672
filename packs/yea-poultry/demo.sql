-- Demonstration rows. All times are relative to :now and :today, so the same rows are due whenever the file is loaded.
-- The comments say which branch of a kind a row is for.

INSERT INTO regions (code, name) VALUES
    ('AA', 'Greater Accra'), ('AH', 'Ashanti'), ('BO', 'Bono'), ('CP', 'Central'), ('EP', 'Eastern'), ('NP', 'Northern'), ('TV', 'Volta'), ('WP', 'Western');

INSERT INTO districts (id, region_code, name) VALUES
    (1, 'AA', 'Ga West'), (2, 'AH', 'Ejisu'), (3, 'BO', 'Dormaa'), (4, 'CP', 'Effutu'), (5, 'EP', 'New Juaben'), (6, 'NP', 'Tolon'), (7, 'TV', 'Ho'), (8, 'WP', 'Ahanta West');

INSERT INTO users (id, first_name, last_name, email, phone, role, is_active, login_alerts, created_at, last_login_at) VALUES
    ('10000000-0000-4000-8000-000000000001', 'Ama', 'Mensah', 'ama.mensah@yea-poultry.example', '+233240000001', 'ADMIN', TRUE, TRUE, datetime(:now, '-700 days'), datetime(:now, '-2 hours')),
    -- An admin without an address, and one who is not active any more.
    ('10000000-0000-4000-8000-000000000002', 'Kojo', 'Antwi', NULL, '+233240000002', 'ADMIN', TRUE, TRUE, datetime(:now, '-650 days'), datetime(:now, '-3 days')),
    ('10000000-0000-4000-8000-000000000003', 'Efua', 'Sarpong', 'efua.sarpong@yea-poultry.example', '+233240000003', 'ADMIN', FALSE, TRUE, datetime(:now, '-600 days'), datetime(:now, '-200 days')),
    ('10000000-0000-4000-8000-000000000004', 'Abena', 'Owusu', 'abena.owusu@yea-poultry.example', '+233240000004', 'EXECUTIVE', TRUE, TRUE, datetime(:now, '-500 days'), datetime(:now, '-1 days')),
    ('10000000-0000-4000-8000-000000000005', 'Kwame', 'Boateng', 'kwame.boateng@yea-poultry.example', NULL, 'EXECUTIVE', TRUE, TRUE, datetime(:now, '-480 days'), datetime(:now, '-5 days')),
    ('10000000-0000-4000-8000-000000000006', 'Yaw', 'Darko', 'yaw.darko@yea-poultry.example', '+233240000006', 'OFFICER', TRUE, TRUE, datetime(:now, '-400 days'), datetime(:now, '-1 hours')),
    -- Farmers with both channels, with a phone only, with a mail address only, with neither, and one who is not active.
    ('10000000-0000-4000-8000-000000000011', 'Akosua', 'Asante', 'akosua.asante@example.com', '+233240000011', 'FARMER', TRUE, TRUE, datetime(:now, '-380 days'), datetime(:now, '-1 days')),
    ('10000000-0000-4000-8000-000000000012', 'Kofi', 'Agyeman', NULL, '+233240000012', 'FARMER', TRUE, TRUE, datetime(:now, '-360 days'), datetime(:now, '-2 days')),
    ('10000000-0000-4000-8000-000000000013', 'Esi', 'Quaye', 'esi.quaye@example.com', NULL, 'FARMER', TRUE, TRUE, datetime(:now, '-340 days'), datetime(:now, '-9 days')),
    ('10000000-0000-4000-8000-000000000014', 'Yaw', 'Frimpong', NULL, NULL, 'FARMER', TRUE, TRUE, datetime(:now, '-300 days'), NULL),
    ('10000000-0000-4000-8000-000000000015', 'Adwoa', 'Nkrumah', 'adwoa.nkrumah@example.com', '+233240000015', 'FARMER', FALSE, TRUE, datetime(:now, '-290 days'), datetime(:now, '-150 days')),
    -- A farmer who wants no mail at each sign-in.
    ('10000000-0000-4000-8000-000000000016', 'Ibrahim', 'Alhassan', 'ibrahim.alhassan@example.com', '+233240000016', 'FARMER', TRUE, FALSE, datetime(:now, '-200 days'), datetime(:now, '-4 days')),
    ('10000000-0000-4000-8000-000000000017', 'Fati', 'Yakubu', 'fati.yakubu@example.com', '+233240000017', 'FARMER', TRUE, TRUE, datetime(:now, '-120 days'), datetime(:now, '-1 days')),
    ('10000000-0000-4000-8000-000000000018', 'Selorm', 'Agbeko', 'selorm.agbeko@example.com', '+233240000018', 'FARMER', TRUE, TRUE, datetime(:now, '-90 days'), datetime(:now, '-6 days'));

-- Read and old: deleted by the clean-up. Read lately, or old and unread: kept.
INSERT INTO notifications (user_id, category, title, message, is_read, read_at, created_at) VALUES
    ('10000000-0000-4000-8000-000000000011', 'account', 'Welcome', 'Your account is ready.', TRUE, datetime(:now, '-378 days'), datetime(:now, '-380 days')),
    ('10000000-0000-4000-8000-000000000012', 'application', 'Application approved', 'Your farm was approved.', TRUE, datetime(:now, '-119 days'), datetime(:now, '-120 days')),
    ('10000000-0000-4000-8000-000000000011', 'market', 'New order', 'You have a new order.', TRUE, datetime(:now, '-9 days'), datetime(:now, '-10 days')),
    ('10000000-0000-4000-8000-000000000013', 'account', 'Welcome', 'Your account is ready.', FALSE, NULL, datetime(:now, '-340 days'));

INSERT INTO farms (id, farmer_id, name, district_id, latitude, longitude, bird_type, capacity, is_primary, status, approved_at) VALUES
    -- Good records, good laying: grade A.
    ('20000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000011', 'Asante Layers', 2, 6.722500, -1.471900, 'LAYERS', 1000, TRUE, 'ACTIVE', datetime(:now, '-300 days')),
    -- A broiler farm, which is not measured by eggs.
    ('20000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000012', 'Agyeman Broilers', 1, 5.701200, -0.300400, 'BROILERS', 800, TRUE, 'ACTIVE', datetime(:now, '-280 days')),
    -- Records on few days, many deaths: grade D.
    ('20000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000013', 'Quaye Farm', 4, 5.350000, -0.620000, 'LAYERS', 500, TRUE, 'ACTIVE', datetime(:now, '-250 days')),
    -- No records and no coordinates: not rated.
    ('20000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000014', 'Frimpong Farm', 5, NULL, NULL, 'LAYERS', 300, TRUE, 'ACTIVE', datetime(:now, '-40 days')),
    -- Suspended and closed: neither scored nor counted.
    ('20000000-0000-4000-8000-000000000005', '10000000-0000-4000-8000-000000000016', 'Alhassan Poultry', 6, 9.432000, -1.054000, 'LAYERS', 600, TRUE, 'SUSPENDED', datetime(:now, '-150 days')),
    ('20000000-0000-4000-8000-000000000008', '10000000-0000-4000-8000-000000000018', 'Agbeko Farm', 7, 6.601000, 0.471300, 'BROILERS', 400, TRUE, 'CLOSED', datetime(:now, '-80 days')),
    -- A second farm, which does not move its farmer.
    ('20000000-0000-4000-8000-000000000006', '10000000-0000-4000-8000-000000000011', 'Asante Annex', 3, 7.277900, -2.878000, 'BROILERS', 200, FALSE, 'ACTIVE', datetime(:now, '-60 days')),
    ('20000000-0000-4000-8000-000000000007', '10000000-0000-4000-8000-000000000017', 'Yakubu Birds', 6, 9.401500, -0.985200, 'BROILERS', 900, TRUE, 'ACTIVE', datetime(:now, '-100 days'));

-- One farmer who has moved, one who has not, one whose place was unknown. Fati Yakubu and Yaw Frimpong have no profile yet.
INSERT INTO farmer_profiles (user_id, district_id, region_code, latitude, longitude, location_synced_at) VALUES
    ('10000000-0000-4000-8000-000000000011', 1, 'AA', 5.700000, -0.300000, datetime(:now, '-100 days')),
    ('10000000-0000-4000-8000-000000000012', 1, 'AA', 5.701200, -0.300400, datetime(:now, '-90 days')),
    ('10000000-0000-4000-8000-000000000013', NULL, NULL, NULL, NULL, NULL);

INSERT INTO applications (id, applicant_id, farm_name, district_id, status, submitted_at, decided_at, stale_since) VALUES
    -- Stale: one that is noticed for the first time, and one that was noticed before.
    ('30000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000016', 'Alhassan Layers Two', 6, 'PENDING', datetime(:now, '-10 days'), NULL, NULL),
    ('30000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000018', 'Agbeko New Farm', 7, 'UNDER_REVIEW', datetime(:now, '-15 days'), NULL, datetime(:now, '-7 days')),
    -- Too young to be stale.
    ('30000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000017', 'Yakubu Annex', 6, 'PENDING', datetime(:now, '-2 days'), NULL, NULL),
    ('30000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000011', 'Asante Annex', 3, 'APPROVED', datetime(:now, '-70 days'), datetime(:now, '-60 days'), NULL),
    ('30000000-0000-4000-8000-000000000005', '10000000-0000-4000-8000-000000000013', 'Quaye Second Farm', 4, 'REJECTED', datetime(:now, '-50 days'), datetime(:now, '-40 days'), NULL),
    -- Of yesterday, for the figures of the day.
    ('30000000-0000-4000-8000-000000000006', '10000000-0000-4000-8000-000000000012', 'Agyeman Annex', 1, 'PENDING', datetime(:today, '-10 hours'), NULL, NULL),
    ('30000000-0000-4000-8000-000000000007', '10000000-0000-4000-8000-000000000014', 'Frimpong Annex', 5, 'APPROVED', datetime(:today, '-6 days'), datetime(:today, '-9 hours'), NULL);

INSERT INTO batches (id, name, enrollment_opens_on, enrollment_closes_on, status) VALUES
    ('40000000-0000-4000-8000-000000000001', 'Layers Cohort 12', date(:today, '-10 days'), date(:today, '+5 days'), 'OPEN'),
    ('40000000-0000-4000-8000-000000000002', 'Broilers Cohort 9', date(:today, '-3 days'), date(:today, '+20 days'), 'OPEN'),
    ('40000000-0000-4000-8000-000000000003', 'Layers Cohort 11', date(:today, '-60 days'), date(:today, '-30 days'), 'CLOSED'),
    ('40000000-0000-4000-8000-000000000004', 'Feed Management Course', date(:today, '-20 days'), :today, 'OPEN'),
    ('40000000-0000-4000-8000-000000000005', 'Layers Cohort 13', date(:today, '+2 days'), date(:today, '+6 days'), 'OPEN');

INSERT INTO batch_enrollments (id, batch_id, farmer_id, status, invited_at, completed_at, sms_reminded_on, email_reminded_on) VALUES
    -- Never reminded: by SMS and mail, by SMS, by mail; one who cannot be reached; one who is not active.
    ('50000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000011', 'INVITED', datetime(:now, '-9 days'), NULL, NULL, NULL),
    ('50000000-0000-4000-8000-000000000002', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000012', 'STARTED', datetime(:now, '-9 days'), NULL, NULL, NULL),
    ('50000000-0000-4000-8000-000000000003', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000013', 'INVITED', datetime(:now, '-9 days'), NULL, NULL, NULL),
    ('50000000-0000-4000-8000-000000000004', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000014', 'INVITED', datetime(:now, '-9 days'), NULL, NULL, NULL),
    ('50000000-0000-4000-8000-000000000005', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000015', 'INVITED', datetime(:now, '-9 days'), NULL, NULL, NULL),
    -- Reminded yesterday: not again today, except on the last day of batch 4.
    ('50000000-0000-4000-8000-000000000006', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000016', 'INVITED', datetime(:now, '-9 days'), NULL, date(:today, '-1 days'), date(:today, '-1 days')),
    ('50000000-0000-4000-8000-000000000007', '40000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000016', 'INVITED', datetime(:now, '-15 days'), NULL, date(:today, '-1 days'), date(:today, '-1 days')),
    -- Reminded by SMS four days ago and never by mail: due on both channels.
    ('50000000-0000-4000-8000-000000000008', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000018', 'STARTED', datetime(:now, '-9 days'), NULL, date(:today, '-4 days'), NULL),
    -- Enrolled, declined; batches that are closed, far from their end, not yet open.
    ('50000000-0000-4000-8000-000000000009', '40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000017', 'ENROLLED', datetime(:now, '-9 days'), datetime(:now, '-5 days'), NULL, NULL),
    ('50000000-0000-4000-8000-000000000010', '40000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000017', 'DECLINED', datetime(:now, '-15 days'), datetime(:now, '-12 days'), NULL, NULL),
    ('50000000-0000-4000-8000-000000000011', '40000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000018', 'INVITED', datetime(:now, '-50 days'), NULL, NULL, NULL),
    ('50000000-0000-4000-8000-000000000012', '40000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000018', 'INVITED', datetime(:now, '-2 days'), NULL, NULL, NULL),
    ('50000000-0000-4000-8000-000000000013', '40000000-0000-4000-8000-000000000005', '10000000-0000-4000-8000-000000000011', 'INVITED', datetime(:now, '-1 days'), NULL, NULL, NULL);

-- Thirty days of four farms. Farm 3 writes down every fourth day only, and loses birds; the annex reports little.
WITH RECURSIVE days (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 30)
INSERT INTO production_records (farm_id, recorded_on, birds, eggs, deaths, feed_kg)
SELECT '20000000-0000-4000-8000-000000000001', date(:today, '-' || n || ' days'), 1000, 760 + n % 5 * 10, CASE WHEN n % 10 = 0 THEN 1 ELSE 0 END, 115 FROM days;
WITH RECURSIVE days (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 30)
INSERT INTO production_records (farm_id, recorded_on, birds, eggs, deaths, feed_kg)
SELECT '20000000-0000-4000-8000-000000000002', date(:today, '-' || n || ' days'), 800, 0, CASE WHEN n % 3 = 0 THEN 2 ELSE 0 END, 96 FROM days WHERE n <= 24;
WITH RECURSIVE days (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 30)
INSERT INTO production_records (farm_id, recorded_on, birds, eggs, deaths, feed_kg)
SELECT '20000000-0000-4000-8000-000000000003', date(:today, '-' || n || ' days'), 400, 180, 6, 50 FROM days WHERE n % 4 = 0;
WITH RECURSIVE days (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 30)
INSERT INTO production_records (farm_id, recorded_on, birds, eggs, deaths, feed_kg)
SELECT '20000000-0000-4000-8000-000000000007', date(:today, '-' || n || ' days'), 900, 0, CASE WHEN n % 15 = 0 THEN 3 ELSE 0 END, 108 FROM days;
INSERT INTO production_records (farm_id, recorded_on, birds, eggs, deaths, feed_kg) VALUES
    ('20000000-0000-4000-8000-000000000006', date(:today, '-1 days'), 180, 0, 0, 20),
    ('20000000-0000-4000-8000-000000000006', date(:today, '-2 days'), 180, 0, 1, 20);

INSERT INTO marketplace_activations (id, seller_id, fee_pesewas, status, starts_at, expires_at, expired_at, sms_warned_days, email_warned_days) VALUES
    -- Warned at seven days, at three, on the last day; one that was already warned; one that ends late.
    ('60000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000011', 12000, 'ACTIVE', datetime(:now, '-359 days'), datetime(:now, '+6 days'), NULL, NULL, NULL),
    ('60000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000012', 12000, 'ACTIVE', datetime(:now, '-363 days'), datetime(:now, '+2 days'), NULL, 7, NULL),
    ('60000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000013', 12000, 'ACTIVE', datetime(:now, '-364 days'), datetime(:now, '+12 hours'), NULL, NULL, 3),
    ('60000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000016', 12000, 'ACTIVE', datetime(:now, '-360 days'), datetime(:now, '+5 days'), NULL, 7, 7),
    ('60000000-0000-4000-8000-000000000005', '10000000-0000-4000-8000-000000000017', 12000, 'ACTIVE', datetime(:now, '-20 days'), datetime(:now, '+40 days'), NULL, NULL, NULL),
    -- It ends soon, but its seller has a later one already: no warning.
    ('60000000-0000-4000-8000-000000000011', '10000000-0000-4000-8000-000000000017', 3000, 'ACTIVE', datetime(:now, '-27 days'), datetime(:now, '+3 days'), NULL, NULL, NULL),
    -- Past: of a seller who has nothing else, and of one who has renewed yesterday.
    ('60000000-0000-4000-8000-000000000006', '10000000-0000-4000-8000-000000000014', 12000, 'ACTIVE', datetime(:now, '-365 days'), datetime(:now, '-1 hours'), NULL, NULL, NULL),
    ('60000000-0000-4000-8000-000000000007', '10000000-0000-4000-8000-000000000018', 3000, 'ACTIVE', datetime(:now, '-32 days'), datetime(:now, '-2 days'), NULL, 1, 1),
    ('60000000-0000-4000-8000-000000000008', '10000000-0000-4000-8000-000000000018', 12000, 'ACTIVE', datetime(:today, '-13 hours'), datetime(:now, '+364 days'), NULL, NULL, NULL),
    -- Ended before, and cancelled.
    ('60000000-0000-4000-8000-000000000009', '10000000-0000-4000-8000-000000000015', 12000, 'EXPIRED', datetime(:now, '-400 days'), datetime(:now, '-35 days'), datetime(:now, '-35 days'), 1, 1),
    ('60000000-0000-4000-8000-000000000010', '10000000-0000-4000-8000-000000000016', 3000, 'CANCELLED', datetime(:now, '-100 days'), datetime(:now, '-70 days'), NULL, NULL, NULL);

INSERT INTO listings (id, seller_id, title, is_visible, hidden_at, hidden_reason) VALUES
    (1, '10000000-0000-4000-8000-000000000014', 'Fresh eggs, crate of 30', TRUE, NULL, NULL),
    (2, '10000000-0000-4000-8000-000000000018', 'Broilers, dressed', TRUE, NULL, NULL),
    (3, '10000000-0000-4000-8000-000000000011', 'Eggs, large, crate of 30', TRUE, NULL, NULL),
    (4, '10000000-0000-4000-8000-000000000014', 'Manure, 50 kg', FALSE, datetime(:now, '-20 days'), 'SELLER');

INSERT INTO orders (id, seller_id, total_pesewas, status, placed_at, delivered_at) VALUES
    -- Delivered yesterday: without a commission; with one of another amount; with one that is settled and stays.
    ('70000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000011', 54000, 'DELIVERED', datetime(:today, '-30 hours'), datetime(:today, '-14 hours')),
    ('70000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000012', 80010, 'DELIVERED', datetime(:today, '-50 hours'), datetime(:today, '-12 hours')),
    ('70000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000011', 30000, 'DELIVERED', datetime(:today, '-60 hours'), datetime(:today, '-11 hours')),
    -- Refunded after the commission was made: it becomes void.
    ('70000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000012', 20000, 'REFUNDED', datetime(:today, '-90 hours'), datetime(:today, '-70 hours')),
    -- Not delivered: no commission.
    ('70000000-0000-4000-8000-000000000005', '10000000-0000-4000-8000-000000000017', 15000, 'CANCELLED', datetime(:today, '-20 hours'), NULL),
    ('70000000-0000-4000-8000-000000000006', '10000000-0000-4000-8000-000000000017', 25000, 'PLACED', datetime(:today, '-5 hours'), NULL),
    ('70000000-0000-4000-8000-000000000007', '10000000-0000-4000-8000-000000000017', 45000, 'PAID', datetime(:today, '-8 hours'), NULL);

INSERT INTO commissions (order_id, seller_id, order_pesewas, rate_bp, commission_pesewas, status, created_at, updated_at) VALUES
    ('70000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000012', 70000, 500, 3500, 'DUE', datetime(:today, '-12 hours'), datetime(:today, '-12 hours')),
    ('70000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000012', 20000, 500, 1000, 'DUE', datetime(:today, '-70 hours'), datetime(:today, '-70 hours')),
    ('70000000-0000-4000-8000-000000000004', '10000000-0000-4000-8000-000000000011', 28000, 500, 1400, 'SETTLED', datetime(:today, '-11 hours'), datetime(:today, '-11 hours'));

-- Sixty days of orders of three sellers, with their commissions, for weeks, months and payouts.
WITH RECURSIVE days (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM days WHERE n < 70)
INSERT INTO orders (id, seller_id, total_pesewas, status, placed_at, delivered_at)
SELECT '70000000-0000-4000-8000-0000000' || CAST(10000 + n AS TEXT),
       CASE n % 3 WHEN 0 THEN '10000000-0000-4000-8000-000000000011' WHEN 1 THEN '10000000-0000-4000-8000-000000000012' ELSE '10000000-0000-4000-8000-000000000017' END,
       20000 + n * 500, 'DELIVERED', datetime(:today, '-' || (24 * n + 4) || ' hours'), datetime(:today, '-' || (24 * n - 10) || ' hours')
FROM days;
INSERT INTO commissions (order_id, seller_id, order_pesewas, rate_bp, commission_pesewas, status, created_at, updated_at)
SELECT id, seller_id, total_pesewas, 500, (total_pesewas * 500 + 5000) / 10000, 'DUE', delivered_at, delivered_at
FROM orders WHERE status = 'DELIVERED' AND delivered_at < datetime(:today, '-24 hours');

-- Expired, used, and still good.
INSERT INTO password_reset_tokens (id, user_id, expires_at, used_at) VALUES
    (1, '10000000-0000-4000-8000-000000000011', datetime(:now, '-2 days'), NULL), (2, '10000000-0000-4000-8000-000000000012', datetime(:now, '+20 minutes'), datetime(:now, '-5 minutes')), (3, '10000000-0000-4000-8000-000000000013', datetime(:now, '+20 minutes'), NULL);
INSERT INTO mfa_codes (id, user_id, expires_at, used_at) VALUES
    (1, '10000000-0000-4000-8000-000000000004', datetime(:now, '-1 hours'), NULL), (2, '10000000-0000-4000-8000-000000000005', datetime(:now, '+3 minutes'), datetime(:now, '-1 minutes')), (3, '10000000-0000-4000-8000-000000000006', datetime(:now, '+3 minutes'), NULL);
INSERT INTO refresh_tokens (id, user_id, expires_at, revoked_at) VALUES
    (1, '10000000-0000-4000-8000-000000000011', datetime(:now, '-1 days'), NULL), (2, '10000000-0000-4000-8000-000000000012', datetime(:now, '+10 days'), datetime(:now, '-1 hours')), (3, '10000000-0000-4000-8000-000000000013', datetime(:now, '+10 days'), NULL), (4, '10000000-0000-4000-8000-000000000016', datetime(:now, '-8 days'), NULL);

INSERT INTO partners (id, name, contact_name, email, phone, share_bp) VALUES
    ('80000000-0000-4000-8000-000000000001', 'Savanna Feeds', 'Naa Lamptey', 'naa.lamptey@savanna-feeds.example', '+233240000021', 1000),
    ('80000000-0000-4000-8000-000000000002', 'VetCare Ghana', 'Kwabena Osei', NULL, '+233240000022', 1500),
    ('80000000-0000-4000-8000-000000000003', 'Volta Hatchery', 'Edem Kpodo', NULL, NULL, 800);

INSERT INTO advertiser_leads (id, company, contact_name, email, phone, budget_pesewas, message, status, score, priority, created_at, processed_at, acknowledged_at) VALUES
    -- A large one, a small one with a phone only, one that came twice, one that was processed before.
    ('90000000-0000-4000-8000-000000000001', 'Golden Coop Equipment', 'Afia Bonsu', 'afia.bonsu@golden-coop.example', '+233240000031', 1500000, 'We sell cages and drinkers and would like to reach layer farmers in three regions.', 'NEW', NULL, NULL, datetime(:now, '-20 minutes'), NULL, NULL),
    ('90000000-0000-4000-8000-000000000002', 'Market Boxes', 'Nii Armah', NULL, '+233240000032', 30000, NULL, 'NEW', NULL, NULL, datetime(:now, '-10 minutes'), NULL, NULL),
    ('90000000-0000-4000-8000-000000000003', 'Golden Coop Equipment', 'A. Bonsu', 'Afia.Bonsu@golden-coop.example', NULL, 1500000, 'Please call us.', 'NEW', NULL, NULL, datetime(:now, '-5 minutes'), NULL, NULL),
    ('90000000-0000-4000-8000-000000000004', 'Kumasi Vaccines', 'Yaa Pokuaa', 'yaa@kumasi-vaccines.example', '+233240000034', 400000, 'Vaccines for broilers, all year round.', 'QUALIFIED', 80, 'HIGH', datetime(:now, '-5 days'), datetime(:now, '-5 days'), datetime(:now, '-5 days'));

INSERT INTO offers (id, partner_id, title, status, starts_at, ends_at, warned_at, deactivated_at) VALUES
    -- Ending soon: told by mail, told by SMS, told before, of a partner who cannot be reached.
    ('a0000000-0000-4000-8000-000000000001', '80000000-0000-4000-8000-000000000001', '10 percent off layer mash', 'ACTIVE', datetime(:now, '-28 days'), datetime(:now, '+2 days'), NULL, NULL),
    ('a0000000-0000-4000-8000-000000000002', '80000000-0000-4000-8000-000000000002', 'Free farm visit with every vaccine order', 'ACTIVE', datetime(:now, '-28 days'), datetime(:now, '+2 days'), NULL, NULL),
    ('a0000000-0000-4000-8000-000000000003', '80000000-0000-4000-8000-000000000001', 'Starter feed, buy ten get one', 'ACTIVE', datetime(:now, '-10 days'), datetime(:now, '+1 days'), datetime(:now, '-1 days'), NULL),
    ('a0000000-0000-4000-8000-000000000007', '80000000-0000-4000-8000-000000000003', 'Day-old chicks at the farm gate', 'ACTIVE', datetime(:now, '-10 days'), datetime(:now, '+1 days'), NULL, NULL),
    -- Past: switched off. Without an end, a draft, and far from the end: left alone.
    ('a0000000-0000-4000-8000-000000000004', '80000000-0000-4000-8000-000000000002', 'Dewormer week', 'ACTIVE', datetime(:now, '-20 days'), datetime(:now, '-3 hours'), datetime(:now, '-3 days'), NULL),
    ('a0000000-0000-4000-8000-000000000005', '80000000-0000-4000-8000-000000000003', 'Hatchery catalogue', 'ACTIVE', datetime(:now, '-90 days'), NULL, NULL, NULL),
    ('a0000000-0000-4000-8000-000000000006', '80000000-0000-4000-8000-000000000001', 'Harmattan feed plan', 'DRAFT', datetime(:now, '-20 days'), datetime(:now, '-1 days'), NULL, NULL),
    ('a0000000-0000-4000-8000-000000000008', '80000000-0000-4000-8000-000000000002', 'Biosecurity kit', 'ACTIVE', datetime(:now, '-2 days'), datetime(:now, '+20 days'), NULL, NULL);

-- Fourteen days of events of three offers; offer 5 is seen and never clicked.
WITH RECURSIVE days (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 14)
INSERT INTO ad_events (id, offer_id, kind, charge_pesewas, value_pesewas, occurred_at)
SELECT 1000 + n, 'a0000000-0000-4000-8000-000000000001', 'IMPRESSION', 10, 0, datetime(:today, '-' || (24 * n - 8) || ' hours') FROM days
UNION ALL SELECT 2000 + n, 'a0000000-0000-4000-8000-000000000001', 'IMPRESSION', 10, 0, datetime(:today, '-' || (24 * n - 9) || ' hours') FROM days
UNION ALL SELECT 3000 + n, 'a0000000-0000-4000-8000-000000000001', 'CLICK', 150, 0, datetime(:today, '-' || (24 * n - 9) || ' hours') FROM days
UNION ALL SELECT 4000 + n, 'a0000000-0000-4000-8000-000000000001', 'CONVERSION', 0, 25000, datetime(:today, '-' || (24 * n - 10) || ' hours') FROM days
UNION ALL SELECT 5000 + n, 'a0000000-0000-4000-8000-000000000002', 'IMPRESSION', 10, 0, datetime(:today, '-' || (24 * n - 12) || ' hours') FROM days
UNION ALL SELECT 6000 + n, 'a0000000-0000-4000-8000-000000000002', 'CLICK', 150, 0, datetime(:today, '-' || (24 * n - 12) || ' hours') FROM days WHERE n % 2 = 1
UNION ALL SELECT 7000 + n, 'a0000000-0000-4000-8000-000000000002', 'CONVERSION', 0, 9990, datetime(:today, '-' || (24 * n - 13) || ' hours') FROM days WHERE n % 7 = 1
UNION ALL SELECT 8000 + n, 'a0000000-0000-4000-8000-000000000005', 'IMPRESSION', 10, 0, datetime(:today, '-' || (24 * n - 14) || ' hours') FROM days;

-- Earnings of the last full week, Sunday to Saturday, that are paid: they stay as they are.
INSERT INTO partner_earnings (partner_id, period_start, period_end, conversions, value_pesewas, share_bp, earned_pesewas, status, calculated_at) VALUES
    ('80000000-0000-4000-8000-000000000002', date(:today, '+1 day', 'weekday 0', '-14 days'), date(:today, '+1 day', 'weekday 0', '-8 days'), 1, 9000, 1500, 1350, 'PAID', datetime(:today, '-7 hours'));

-- Older than the clean-up keeps.
INSERT INTO system_metrics (hour, active_users, active_farms, open_applications, open_orders, unread_notifications, tasks_ended, tasks_failed, recorded_at) VALUES
    (datetime(:today, '-120 days'), 9, 5, 2, 1, 0, 140, 1, datetime(:today, '-120 days')),
    (datetime(:today, '-1 days'), 12, 5, 4, 2, 1, 160, 0, datetime(:today, '-1 days'));
INSERT INTO system_health_reports (task_id, checked_at, healthy, failed, checks) VALUES
    ('demonstration-1', datetime(:now, '-120 days'), TRUE, '', '{}'),
    ('demonstration-2', datetime(:now, '-40 minutes'), TRUE, '', '{}');
