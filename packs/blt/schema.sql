CREATE TABLE organizations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE domains (
    id INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL UNIQUE,
    email TEXT
);

CREATE TABLE issues (
    id INTEGER PRIMARY KEY,
    domain_id INTEGER NOT NULL REFERENCES domains (id),
    title TEXT NOT NULL,
    label TEXT NOT NULL,
    reporter TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    closed_at TIMESTAMP
);
CREATE INDEX issues_by_creation ON issues (domain_id, created_at);
CREATE INDEX issues_by_closing ON issues (domain_id, closed_at);

CREATE TABLE weekly_stats_log (
    task_id TEXT PRIMARY KEY,
    domain_id INTEGER NOT NULL REFERENCES domains (id),
    week DATE NOT NULL,
    email TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('sent', 'failed')),
    reason TEXT,
    attempts INTEGER NOT NULL,
    logged_at TIMESTAMP NOT NULL
);
CREATE INDEX weekly_stats_log_of_weeks ON weekly_stats_log (week, domain_id);
