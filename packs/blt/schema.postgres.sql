CREATE TABLE organizations (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE domains (
    id BIGINT PRIMARY KEY,
    organization_id BIGINT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL UNIQUE,
    email TEXT
);

CREATE TABLE issues (
    id BIGINT PRIMARY KEY,
    domain_id BIGINT NOT NULL REFERENCES domains (id),
    title TEXT NOT NULL,
    label TEXT NOT NULL,
    reporter TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ
);
CREATE INDEX issues_by_creation ON issues (domain_id, created_at);
CREATE INDEX issues_by_closing ON issues (domain_id, closed_at);

CREATE TABLE weekly_stats_log (
    task_id TEXT PRIMARY KEY,
    domain_id BIGINT NOT NULL REFERENCES domains (id),
    week DATE NOT NULL,
    email TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('sent', 'failed')),
    reason TEXT,
    attempts BIGINT NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX weekly_stats_log_of_weeks ON weekly_stats_log (week, domain_id);

-- demo.sql shifts times as SQLite does. Only the demonstration needs this function.
CREATE FUNCTION datetime(at TIMESTAMPTZ, shift TEXT) RETURNS TIMESTAMPTZ
    LANGUAGE sql IMMUTABLE AS $$ SELECT at + CAST(shift AS INTERVAL) $$;
