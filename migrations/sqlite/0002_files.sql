-- Stored files: what they are, whose they are, and how long they are kept. The bytes are in the storage.

CREATE TABLE files (
    path TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    principal TEXT NOT NULL,
    task BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX files_expires ON files (expires_at) WHERE expires_at IS NOT NULL;
