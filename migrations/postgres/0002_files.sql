-- Stored files: what they are, whose they are, and how long they are kept. The bytes are in the storage.

CREATE TABLE files (
    path text NOT NULL,
    size bigint NOT NULL,
    content_type text NOT NULL,
    sha256 bytea NOT NULL,
    principal text NOT NULL,
    task uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    CONSTRAINT files_pk PRIMARY KEY (path)
);

CREATE INDEX files_expires ON files (expires_at) WHERE expires_at IS NOT NULL;
