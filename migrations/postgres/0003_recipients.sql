-- The recipients' ledger: one row a recipient of a task that reaches many, whatever the channel; and the addresses that get nothing of the kind.

-- One row a task that has a list. It is sealed once all of its recipients are in.
CREATE TABLE recipient_lists (
    task uuid NOT NULL,
    created_at timestamptz NOT NULL,
    sealed boolean NOT NULL DEFAULT false,
    CONSTRAINT recipient_lists_pk PRIMARY KEY (task)
);

CREATE INDEX recipient_lists_created ON recipient_lists (created_at);

-- A row changes two or three times, and no index holds what changes: with room on its page a new version stays there.
-- attempt is the task's attempt that touched the row last, attempts how often a hand-over was tried. next_at of a deferred or unknown row is
-- when it is tried again; without it, that is the row's last word. recipient is null where it is the address itself.
CREATE TABLE recipients (
    task uuid NOT NULL,
    part integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL,
    next_at timestamptz,
    state text NOT NULL,
    address text NOT NULL,
    recipient text,
    message_id text NOT NULL,
    response text,
    reference text,
    context text,
    CONSTRAINT recipients_pk PRIMARY KEY (task, part)
) WITH (fillfactor = 60);

-- Addresses in lower case.
CREATE TABLE suppressions (
    address text NOT NULL,
    reason text NOT NULL,
    detail text,
    principal text,
    task uuid,
    created_at timestamptz NOT NULL,
    CONSTRAINT suppressions_pk PRIMARY KEY (address)
);
