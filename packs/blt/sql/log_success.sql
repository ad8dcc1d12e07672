-- One row a task, so that a second attempt writes over the first one's failure.
INSERT INTO weekly_stats_log (task_id, domain_id, week, email, outcome, reason, attempts, logged_at)
VALUES (:task_id, :domain_id, :week, :email, 'sent', NULL, :attempts, :now)
ON CONFLICT (task_id) DO UPDATE
SET email = excluded.email, outcome = excluded.outcome, reason = NULL, attempts = excluded.attempts, logged_at = excluded.logged_at
