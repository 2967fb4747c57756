-- Materials that callers give: bytes by content in the spool, uploads by id, and what each session made of them.

-- Bytes in the spool, known by their hash; kept while a file or an unfinished task names them.
CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'video', 'audio')),
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    duration_ms BIGINT NOT NULL,
    fps DOUBLE PRECISION NOT NULL,
    created_at BIGINT NOT NULL,
    -- Last time a request named it: bytes are never removed under a request that is just being made.
    used_at BIGINT NOT NULL
);
CREATE INDEX blob_used ON blob (used_at);

-- An upload by a caller, so that one file can serve many tasks.
CREATE TABLE file (
    id TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blob (sha256),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX file_of_key ON file (key_id, created_at DESC, id DESC);
CREATE INDEX file_blob ON file (sha256);
CREATE INDEX file_expiry ON file (expires_at);

-- Which bytes a task needs until it has ended.
CREATE TABLE task_blob (
    task_id TEXT NOT NULL REFERENCES task (id),
    sha256 TEXT NOT NULL REFERENCES blob (sha256),
    PRIMARY KEY (task_id, sha256)
);
CREATE INDEX task_blob_blob ON task_blob (sha256);

-- The same bytes are uploaded once for a session and used again while the site keeps them.
CREATE TABLE upload (
    session_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    handle TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    duration_ms BIGINT NOT NULL,
    fps DOUBLE PRECISION NOT NULL,
    format TEXT NOT NULL,
    -- Whether the site's safety check (jimeng-web.md 6.6) let it pass; NULL: not asked.
    passed INTEGER,
    uploaded_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, sha256)
);
CREATE INDEX upload_expiry ON upload (expires_at);

-- A time that a task's references could not be brought to a session. Nothing had been submitted, but it counts
-- as a refusal, so that neither a broken upload nor a session that cannot upload is tried for ever.
CREATE TABLE setback (
    task_id TEXT NOT NULL REFERENCES task (id),
    n INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    error_kind TEXT NOT NULL,
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (task_id, n)
);
