-- The engine's tables. Names are unqualified: the connection's search_path names the schema.
-- args, result, error and progress are JSON as text: they are written and read whole, and text takes the escape \u0000, which jsonb refuses.

-- What waits or runs. A waiting row has ring_at (to be rung then) or rung_at (rung then) or both; a STARTED row has neither, but a worker.
-- So the three partial indexes tell the states apart, and a row leaves its index when it changes state.
CREATE TABLE tasks (
    id uuid NOT NULL,
    submitted_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    expires_at timestamptz,
    ring_at timestamptz,
    rung_at timestamptz,
    started_at timestamptz,
    revoke_requested_at timestamptz,
    hard_limit_ms bigint NOT NULL,
    soft_limit_ms bigint,
    attempt integer NOT NULL DEFAULT 0,
    retries_used integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL,
    crashes integer NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    terminate boolean NOT NULL DEFAULT false,
    worker uuid,
    retry_of uuid,
    status text NOT NULL DEFAULT 'PENDING',
    kind text NOT NULL,
    queue text NOT NULL,
    principal text NOT NULL,
    worker_name text,
    args text NOT NULL,
    progress text,
    error text,
    callback_url text,
    CONSTRAINT tasks_pk PRIMARY KEY (id)
) WITH (
    -- Every row dies within seconds: vacuum by count, not by share, and without pauses.
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_analyze_threshold = 20000
);

CREATE INDEX tasks_rung ON tasks (queue, priority, rung_at) INCLUDE (due_at) WHERE rung_at IS NOT NULL;
CREATE INDEX tasks_to_ring ON tasks (ring_at) INCLUDE (queue, due_at, rung_at) WHERE ring_at IS NOT NULL;
CREATE INDEX tasks_started ON tasks (worker) WHERE worker IS NOT NULL;
CREATE INDEX tasks_expiring ON tasks (expires_at) WHERE expires_at IS NOT NULL;

-- What ended, by the day (UTC) of the end. Partitions are made by the engine, named task_results_YYYYMMDD.
CREATE TABLE task_results (
    id uuid NOT NULL,
    submitted_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    expires_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz NOT NULL,
    revoke_requested_at timestamptz,
    hard_limit_ms bigint NOT NULL,
    soft_limit_ms bigint,
    attempt integer NOT NULL,
    retries_used integer NOT NULL,
    max_retries integer NOT NULL,
    crashes integer NOT NULL,
    priority smallint NOT NULL,
    worker uuid,
    retry_of uuid,
    retried_as uuid,
    status text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    principal text NOT NULL,
    worker_name text,
    args text NOT NULL,
    progress text,
    result text,
    error text,
    reason text,
    callback_url text,
    CONSTRAINT task_results_pk PRIMARY KEY (id, ended_at)
) PARTITION BY RANGE (ended_at);

-- For the counts of the last minute: rows come in the order of their end, so block ranges are enough.
CREATE INDEX task_results_ended ON task_results USING brin (ended_at) WITH (pages_per_range = 32);
-- For lists of what went wrong, which would else have to pass by all that went well.
CREATE INDEX task_results_not_well ON task_results (id) WHERE status <> 'SUCCESS';

-- Ended attempts, but for first attempts that succeeded. Partitioned like task_results: attempts_YYYYMMDD.
CREATE TABLE attempts (
    task uuid NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    attempt integer NOT NULL,
    worker_name text NOT NULL,
    outcome text NOT NULL,
    error text,
    CONSTRAINT attempts_pk PRIMARY KEY (task, attempt, ended_at)
) PARTITION BY RANGE (ended_at);

CREATE TABLE workers (
    id uuid NOT NULL,
    beat_at timestamptz NOT NULL,
    dead boolean NOT NULL DEFAULT false,
    name text NOT NULL,
    info text NOT NULL,
    command text,
    CONSTRAINT workers_pk PRIMARY KEY (id)
);

CREATE TABLE queues (
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    paused_at timestamptz,
    concurrency bigint,
    CONSTRAINT queues_pk PRIMARY KEY (name)
);

CREATE TABLE idempotency_keys (
    principal text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    task uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (principal, scope, key)
);

CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE accounts (
    name text NOT NULL,
    password_hash text NOT NULL,
    subject text NOT NULL,
    scopes text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT accounts_pk PRIMARY KEY (name)
);

CREATE TABLE revoked_tokens (
    jti text NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT revoked_tokens_pk PRIMARY KEY (jti)
);

CREATE TABLE mail_ledger (
    task uuid NOT NULL,
    part integer NOT NULL,
    updated_at timestamptz NOT NULL,
    recipient text NOT NULL,
    message_id text NOT NULL,
    state text NOT NULL,
    response text,
    CONSTRAINT mail_ledger_pk PRIMARY KEY (task, part)
);

CREATE INDEX mail_ledger_updated ON mail_ledger (updated_at);
