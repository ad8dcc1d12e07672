SELECT d.name AS domain, l.email, l.outcome, l.reason, l.attempts, l.logged_at
FROM weekly_stats_log AS l
JOIN domains AS d ON d.id = l.domain_id
WHERE l.week = :week
ORDER BY l.logged_at, d.name
