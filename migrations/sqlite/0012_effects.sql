-- What the effect of a task gave. An attempt that finds it does not repeat the effect. `task` is the first task of the chain of retries by hand.
CREATE TABLE effects (
    task BLOB NOT NULL,
    part TEXT NOT NULL,
    outcome TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (task, part)
) STRICT;

CREATE INDEX effects_recorded ON effects (recorded_at);
