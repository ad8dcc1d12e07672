-- Who did what.
CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    principal text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    detail text NOT NULL,
    outcome text NOT NULL,
    source text NOT NULL,
    address text NOT NULL
);

CREATE INDEX audit_log_at ON audit_log (at);

-- Counts of what ended and what waited, by the length of the step in seconds and its beginning.
CREATE TABLE samples (
    step integer NOT NULL,
    at timestamptz NOT NULL,
    sample text NOT NULL,
    PRIMARY KEY (step, at)
);
