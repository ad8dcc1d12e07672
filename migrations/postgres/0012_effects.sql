-- What the effect of a task gave. An attempt that finds it does not repeat the effect. `task` is the first task of the chain of retries by hand.
CREATE TABLE effects (
    task uuid NOT NULL,
    part text NOT NULL,
    outcome text NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT effects_pk PRIMARY KEY (task, part)
);

CREATE INDEX effects_recorded ON effects (recorded_at);
