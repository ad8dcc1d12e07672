INSERT INTO users (id, first_name, last_name, email, phone, role, is_active, unread_count, created_at) VALUES
    (1, 'Marta', 'Ilves', 'marta.ilves@example.org', '+447700900101', 'patient', true, 0, datetime(:now, '-400 days')),
    (2, 'Jonas', 'Akintola', NULL, '+447700900102', 'patient', true, 0, datetime(:now, '-320 days')),
    (3, 'Priya', 'Raman', 'priya.raman@example.com', NULL, 'patient', true, 0, datetime(:now, '-210 days')),
    (4, 'Otto', 'Fenwick', NULL, NULL, 'patient', true, 0, datetime(:now, '-90 days')),
    (5, 'Lucía', 'Benavides', 'lucia.benavides@example.net', '+447700900105', 'patient', true, 0, datetime(:now, '-60 days')),
    (6, 'Harriet', 'Boateng', 'harriet.boateng@example.org', NULL, 'staff', true, 0, datetime(:now, '-700 days')),
    (7, 'Nils', 'Sandoval', 'nils.sandoval@example.org', NULL, 'staff', true, 0, datetime(:now, '-650 days')),
    (8, 'Edda', 'Quaye', 'edda.quaye@example.com', NULL, 'patient', false, 0, datetime(:now, '-900 days'));

INSERT INTO appointments (id, patient_id, staff_id, purpose, room, starts_at, status, reminded_at) VALUES
    -- To be reminded of: by mail, by text message, by mail, and not at all for want of an address and a number.
    (1, 1, 6, 'Blood count', 'Room 2', datetime(:now, '+3 hours'), 'confirmed', NULL),
    (2, 2, 6, 'Glucose tolerance test', 'Room 2', datetime(:now, '+5 hours'), 'scheduled', NULL),
    (3, 3, NULL, 'Vaccination record', 'Room 4', datetime(:now, '+23 hours'), 'scheduled', NULL),
    (4, 4, 7, 'Allergy panel', 'Room 1', datetime(:now, '+9 hours'), 'scheduled', NULL),
    -- The very end of the 24 hours still counts; a minute later does not.
    (5, 5, 7, 'Thyroid panel', 'Room 1', datetime(:now, '+24 hours'), 'confirmed', NULL),
    (6, 5, 7, 'Thyroid panel, second sample', 'Room 1', datetime(:now, '+1441 minutes'), 'confirmed', NULL),
    -- Cancelled, past, reminded, and days away.
    (7, 1, 6, 'Urine analysis', 'Room 3', datetime(:now, '+6 hours'), 'cancelled', NULL),
    (8, 1, 6, 'Blood count', 'Room 2', datetime(:now, '-1 hours'), 'confirmed', NULL),
    (9, 3, 6, 'Iron panel', 'Room 3', datetime(:now, '+10 hours'), 'scheduled', datetime(:now, '-2 hours')),
    (10, 1, 7, 'Lipid panel', 'Room 4', datetime(:now, '+4 days'), 'scheduled', NULL);

-- By age and by whether they were read: only read ones older than 90 days are deleted.
INSERT INTO notifications (user_id, type, title, message, is_read, read_at, created_at) VALUES
    (1, 'info', 'Your account is ready', 'Welcome to LabControl.', true, datetime(:now, '-399 days'), datetime(:now, '-400 days')),
    (1, 'reminder', 'Appointment', 'You have an appointment on Monday.', true, datetime(:now, '-90 days'), datetime(:now, '-91 days')),
    (1, 'info', 'Results of Blood count', 'All values are there.', true, datetime(:now, '-80 days'), datetime(:now, '-89 days')),
    (1, 'warning', 'Referral missing', 'Please bring your referral.', false, NULL, datetime(:now, '-120 days')),
    (1, 'info', 'New parking', 'There is parking behind the building.', false, NULL, datetime(:now, '-2 days')),
    (2, 'info', 'Your account is ready', 'Welcome to LabControl.', true, datetime(:now, '-300 days'), datetime(:now, '-320 days')),
    (3, 'info', 'Your account is ready', 'Welcome to LabControl.', false, NULL, datetime(:now, '-210 days')),
    (6, 'info', 'Results of Iron panel', 'All values are there.', true, datetime(:now, '-10 days'), datetime(:now, '-12 days'));

INSERT INTO notifications (user_id, type, title, message, is_read, read_at, created_at)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 60)
SELECT 1 + n % 5, 'info', 'Opening hours, week ' || n, 'The opening hours of the week have changed.', true,
       datetime(:now, '-' || (n * 7 - 1) || ' days'), datetime(:now, '-' || (n * 7) || ' days')
FROM series
ORDER BY n;

INSERT INTO studies (id, title, patient_id, ordered_by, status, ordered_at, completed_at, waiting_place, placed_at) VALUES
    -- All values are there, two of them out of range.
    (1, 'Blood count', 1, 6, 'in_progress', datetime(:now, '-3 days'), NULL, NULL, NULL),
    -- One value is missing.
    (2, 'Glucose tolerance test', 2, 6, 'in_progress', datetime(:now, '-2 days'), NULL, NULL, NULL),
    -- Nothing was measured; the demonstration file holds its values.
    (3, 'Iron panel', 3, 7, 'ordered', datetime(:now, '-1 days'), NULL, NULL, NULL),
    (4, 'Lipid panel', 1, 7, 'completed', datetime(:now, '-40 days'), datetime(:now, '-37 days'), NULL, NULL),
    (5, 'Thyroid panel', 5, 7, 'completed', datetime(:now, '-75 days'), datetime(:now, '-70 days'), NULL, NULL),
    -- Has no values at all.
    (6, 'Allergy panel', 4, 6, 'ordered', datetime(:now, '-5 hours'), NULL, NULL, NULL);

INSERT INTO results (study_id, analyte, unit, low, high, value, rating) VALUES
    (1, 'Haemoglobin', 'g/dL', 12.0, 15.5, 11.2, NULL),
    (1, 'Leukocytes', '10^9/L', 4.0, 10.0, 6.8, NULL),
    (1, 'Platelets', '10^9/L', 150, 400, 431, NULL),
    (1, 'Haematocrit', '%', 36, 46, 46, NULL),
    (2, 'Glucose, fasting', 'mmol/L', 3.9, 5.6, 5.1, NULL),
    (2, 'Glucose, 2 h', 'mmol/L', NULL, 7.8, NULL, NULL),
    (3, 'Ferritin', 'µg/L', 15, 150, NULL, NULL),
    (3, 'Iron', 'µmol/L', 10, 30, NULL, NULL),
    (4, 'LDL cholesterol', 'mmol/L', NULL, 3.0, 3.4, 'high'),
    (4, 'HDL cholesterol', 'mmol/L', 1.2, NULL, 1.5, 'normal'),
    (5, 'TSH', 'mIU/L', 0.4, 4.0, 2.1, 'normal');

INSERT INTO files (id, name, uploaded_at, processed_at) VALUES
    (1, 'analyser-3.csv', datetime(:now, '-6 hours'), NULL);

-- As the application has read the lines of the file.
INSERT INTO measurements (file_id, line, study_id, analyte, value) VALUES
    (1, 2, 3, 'Ferritin', 9.5),
    (1, 3, 3, 'Iron', 12.4),
    -- Measured again: the last line counts.
    (1, 4, 3, 'Iron', 12.9),
    (1, 5, 2, 'Glucose, 2 h', 8.3),
    -- No number, an unknown value, a completed study, no study.
    (1, 6, 3, 'Ferritin', NULL),
    (1, 7, 3, 'Transferrin', 2.4),
    (1, 8, 4, 'LDL cholesterol', 2.9),
    (1, 9, NULL, NULL, 5.0);
