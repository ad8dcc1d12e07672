CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT
);

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    description TEXT,
    location TEXT NOT NULL,
    organizer_id INTEGER NOT NULL REFERENCES users (id),
    status TEXT NOT NULL CHECK (status IN ('DRAFT', 'CONFIRMED', 'ONGOING', 'COMPLETED', 'CANCELLED')),
    is_public BOOLEAN NOT NULL,
    start_date TIMESTAMP NOT NULL,
    end_date TIMESTAMP,
    archived_at TIMESTAMP,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX events_to_complete ON events (end_date) WHERE status IN ('CONFIRMED', 'ONGOING');
CREATE INDEX events_of_organizers ON events (organizer_id);

CREATE TABLE participants (
    id INTEGER PRIMARY KEY,
    event_id INTEGER NOT NULL REFERENCES events (id),
    user_id INTEGER NOT NULL REFERENCES users (id),
    response TEXT NOT NULL CHECK (response IN ('going', 'maybe', 'declined')),
    reminded_at TIMESTAMP,
    UNIQUE (event_id, user_id)
);
