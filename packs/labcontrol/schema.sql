CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    role TEXT NOT NULL CHECK (role IN ('patient', 'staff')),
    is_active BOOLEAN NOT NULL,
    unread_count INTEGER NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE appointments (
    id INTEGER PRIMARY KEY,
    patient_id INTEGER NOT NULL REFERENCES users (id),
    staff_id INTEGER REFERENCES users (id),
    purpose TEXT NOT NULL,
    room TEXT NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('scheduled', 'confirmed', 'cancelled', 'completed')),
    reminded_at TIMESTAMP
);
CREATE INDEX appointments_by_start ON appointments (starts_at);
CREATE INDEX appointments_of_patients ON appointments (patient_id, starts_at);

CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    is_read BOOLEAN NOT NULL DEFAULT false,
    read_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX notifications_of_users ON notifications (user_id, created_at);
CREATE INDEX notifications_by_age ON notifications (created_at);

CREATE TABLE studies (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    patient_id INTEGER NOT NULL REFERENCES users (id),
    ordered_by INTEGER NOT NULL REFERENCES users (id),
    status TEXT NOT NULL CHECK (status IN ('ordered', 'in_progress', 'completed')),
    ordered_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    waiting_place INTEGER,
    placed_at TIMESTAMP
);
CREATE INDEX studies_open ON studies (ordered_at, id) WHERE status <> 'completed';

CREATE TABLE results (
    study_id INTEGER NOT NULL REFERENCES studies (id),
    analyte TEXT NOT NULL,
    unit TEXT NOT NULL,
    low NUMERIC,
    high NUMERIC,
    value NUMERIC,
    rating TEXT CHECK (rating IN ('low', 'normal', 'high')),
    PRIMARY KEY (study_id, analyte)
);

CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    uploaded_at TIMESTAMP NOT NULL,
    processed_at TIMESTAMP
);

CREATE TABLE measurements (
    file_id INTEGER NOT NULL REFERENCES files (id),
    line INTEGER NOT NULL,
    study_id INTEGER,
    analyte TEXT,
    value NUMERIC,
    state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'taken', 'refused')),
    PRIMARY KEY (file_id, line)
);
CREATE INDEX measurements_of_results ON measurements (study_id, analyte, file_id);

CREATE TABLE monthly_figures (
    month TEXT PRIMARY KEY,
    studies INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    measured INTEGER NOT NULL,
    out_of_range INTEGER NOT NULL,
    computed_at TIMESTAMP NOT NULL
);
