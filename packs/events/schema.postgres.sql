CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT
);

CREATE TABLE events (
    id BIGINT PRIMARY KEY,
    title TEXT NOT NULL,
    description TEXT,
    location TEXT NOT NULL,
    organizer_id BIGINT NOT NULL REFERENCES users (id),
    status TEXT NOT NULL CHECK (status IN ('DRAFT', 'CONFIRMED', 'ONGOING', 'COMPLETED', 'CANCELLED')),
    is_public BOOLEAN NOT NULL,
    start_date TIMESTAMPTZ NOT NULL,
    end_date TIMESTAMPTZ,
    archived_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX events_to_complete ON events (end_date) WHERE status IN ('CONFIRMED', 'ONGOING');
CREATE INDEX events_of_organizers ON events (organizer_id);

CREATE TABLE participants (
    id BIGINT PRIMARY KEY,
    event_id BIGINT NOT NULL REFERENCES events (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    response TEXT NOT NULL CHECK (response IN ('going', 'maybe', 'declined')),
    reminded_at TIMESTAMPTZ,
    UNIQUE (event_id, user_id)
);

-- demo.sql shifts times as SQLite does. Only the demonstration needs this function.
CREATE FUNCTION datetime(at TIMESTAMPTZ, shift TEXT) RETURNS TIMESTAMPTZ
    LANGUAGE sql IMMUTABLE AS $$ SELECT at + CAST(shift AS INTERVAL) $$;
