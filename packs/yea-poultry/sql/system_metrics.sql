-- One row for each hour: what the application holds, and what Legwork has done in that hour.
INSERT INTO system_metrics (hour, active_users, active_farms, open_applications, open_orders, unread_notifications, tasks_ended, tasks_failed, recorded_at)
SELECT :hour,
       (SELECT COUNT(*) FROM users WHERE is_active),
       (SELECT COUNT(*) FROM farms WHERE status = 'ACTIVE'),
       (SELECT COUNT(*) FROM applications WHERE status IN ('PENDING', 'UNDER_REVIEW')),
       (SELECT COUNT(*) FROM orders WHERE status IN ('PLACED', 'PAID')),
       (SELECT COUNT(*) FROM notifications WHERE NOT is_read),
       :tasks_ended, :tasks_failed, :now
WHERE true
ON CONFLICT (hour) DO UPDATE SET
    active_users = excluded.active_users, active_farms = excluded.active_farms, open_applications = excluded.open_applications,
    open_orders = excluded.open_orders, unread_notifications = excluded.unread_notifications, tasks_ended = excluded.tasks_ended,
    tasks_failed = excluded.tasks_failed, recorded_at = excluded.recorded_at
