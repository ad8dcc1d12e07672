CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    phone TEXT,
    country TEXT NOT NULL,
    organization TEXT,
    status INTEGER NOT NULL,
    is_verified BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    last_login_at TIMESTAMP
);

CREATE TABLE admins (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    role TEXT NOT NULL,
    status INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    last_login_at TIMESTAMP
);

CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    kind TEXT NOT NULL,
    author_id INTEGER NOT NULL REFERENCES admins (id),
    status TEXT NOT NULL CHECK (status IN ('draft', 'scheduled', 'published', 'expired')),
    publish_at TIMESTAMP,
    published_at TIMESTAMP,
    expires_at TIMESTAMP,
    views INTEGER NOT NULL DEFAULT 0,
    rating NUMERIC,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX contents_to_publish ON contents (publish_at) WHERE status = 'scheduled';
CREATE INDEX contents_to_expire ON contents (expires_at) WHERE status <> 'expired';

CREATE TABLE activity_logs (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    object TEXT,
    ip_address TEXT NOT NULL,
    details JSON,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX activity_logs_by_age ON activity_logs (created_at);

CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    is_read BOOLEAN NOT NULL DEFAULT false,
    read_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX notifications_by_age ON notifications (created_at);
