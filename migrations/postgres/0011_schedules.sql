-- When kinds are run by the clock, and what became of each firing.
CREATE TABLE schedules (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    pack text,
    spec text NOT NULL,
    args text NOT NULL,
    declared text,
    enabled boolean NOT NULL,
    disabled_reason text,
    principal text NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    considered_until timestamptz NOT NULL,
    next_nominal timestamptz,
    next_due timestamptz,
    queued_nominal timestamptz
);

CREATE INDEX schedules_due ON schedules (next_due) WHERE enabled AND next_due IS NOT NULL;

CREATE INDEX schedules_queued ON schedules (id) WHERE queued_nominal IS NOT NULL;

CREATE TABLE schedule_firings (
    schedule uuid NOT NULL,
    nominal timestamptz NOT NULL,
    made_by text NOT NULL,
    due timestamptz NOT NULL,
    at timestamptz NOT NULL,
    outcome text NOT NULL,
    reason text,
    task uuid,
    missed_since timestamptz,
    PRIMARY KEY (schedule, nominal, made_by)
);

CREATE INDEX schedule_firings_at ON schedule_firings (at);

-- While there is a row, nothing is fired and nothing is fetched.
CREATE TABLE maintenance (
    one integer PRIMARY KEY CHECK (one = 1),
    since timestamptz NOT NULL,
    reason text NOT NULL,
    principal text NOT NULL
);
