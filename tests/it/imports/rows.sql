-- {true}, {false} and {z} are what the database calls them: truth values, and the offset of UTC.
INSERT INTO django_celery_beat_crontabschedule (id, minute, hour, day_of_week, day_of_month, month_of_year, timezone) VALUES
    (1, '30', '9', 'mon-fri', '*', '*', 'Africa/Accra'),
    (2, '0', '0', 'fri', '13', '*', 'UTC'),
    (3, '0', '4', '*', '*', '*', 'UTC');
INSERT INTO django_celery_beat_intervalschedule (id, every, period) VALUES (1, 10, 'minutes');
INSERT INTO django_celery_beat_solarschedule (id, event, latitude, longitude) VALUES (1, 'dusk_civil', 5.603700, -0.187000);
INSERT INTO django_celery_beat_clockedschedule (id, clocked_time) VALUES (1, '2099-01-01 09:00:00{z}');
INSERT INTO django_celery_beat_periodictask (name, task, args, kwargs, queue, exchange, priority, expire_seconds, enabled, one_off, description,
    crontab_id, interval_id, solar_id, clocked_id, last_run_at, headers, total_run_count, date_changed) VALUES
    ('Echo on weekdays', 'system.echo', '[]', '{"a": {"b": [1, null]}}', 'heavy', NULL, 3, 600, {true}, {false}, 'On weekdays',
        1, NULL, NULL, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}'),
    ('Health', 'models_app.tasks.system_health_check', '[]', '{}', NULL, 'tasks', NULL, NULL, {true}, {false}, '',
        NULL, 1, NULL, NULL, '2026-01-01 00:03:00.25{z}', '{}', 5, '2026-01-01 00:00:00{z}'),
    ('Dusk', 'shop.tasks.dusk', '[]', '{}', NULL, NULL, NULL, NULL, {false}, {false}, '',
        NULL, NULL, 1, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}'),
    ('Once', 'system.echo', '[]', '{}', NULL, NULL, NULL, NULL, {true}, {true}, '',
        NULL, NULL, NULL, 1, NULL, '{}', 0, '2026-01-01 00:00:00{z}'),
    ('Friday the 13th', 'system.echo', '[]', '{}', NULL, NULL, NULL, NULL, {true}, {false}, '',
        2, NULL, NULL, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}'),
    ('Positional', 'system.echo', '[1]', '{}', NULL, NULL, NULL, NULL, {true}, {false}, '',
        1, NULL, NULL, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}'),
    ('Refused', 'system.sleep', '[]', '{}', NULL, NULL, NULL, NULL, {true}, {false}, '',
        1, NULL, NULL, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}'),
    ('Unknown', 'shop.tasks.nobody', '[]', '{}', NULL, NULL, NULL, NULL, {true}, {false}, '',
        1, NULL, NULL, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}'),
    ('celery.backend_cleanup', 'celery.backend_cleanup', '[]', '{}', NULL, NULL, NULL, 43200, {true}, {false}, '',
        3, NULL, NULL, NULL, NULL, '{}', 5, '2026-01-01 00:00:00{z}');
