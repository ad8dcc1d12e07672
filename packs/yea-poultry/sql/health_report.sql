INSERT INTO system_health_reports (task_id, checked_at, healthy, failed, checks)
VALUES (:task_id, :now, :healthy, :failed, :checks)
ON CONFLICT (task_id) DO UPDATE SET checked_at = excluded.checked_at, healthy = excluded.healthy, failed = excluded.failed, checks = excluded.checks
