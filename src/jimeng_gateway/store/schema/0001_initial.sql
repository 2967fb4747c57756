-- Runs unchanged on SQLite and PostgreSQL. Times are milliseconds since the epoch, UTC; JSON is text.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- A running process. Whoever is not in here, or whose lease has passed, owns nothing any more.
CREATE TABLE node (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    beat_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'admin')),
    digest TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    region TEXT NOT NULL,
    -- AES-GCM; see secrets.py. Nothing else in the database can open it.
    credential TEXT NOT NULL,
    -- Keyed hash of the site's session id, so that the same login is not added twice.
    fingerprint TEXT NOT NULL UNIQUE,
    web_id TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'cooling', 'expired', 'blocked')),
    reason TEXT,
    reason_kind TEXT,
    cooling_until BIGINT,
    rests INTEGER NOT NULL DEFAULT 0,
    slots INTEGER NOT NULL CHECK (slots BETWEEN 0 AND 64),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL DEFAULT 0,
    uid TEXT,
    account_name TEXT,
    credits BIGINT,
    checked_at BIGINT,
    expires_at BIGINT,
    -- Polling is one batch per session: who is at it, and when it may be asked again.
    poll_owner TEXT,
    poll_after BIGINT NOT NULL DEFAULT 0,
    poll_errors INTEGER NOT NULL DEFAULT 0,
    -- Kept for the history of its tasks; its credential is gone.
    removed_at BIGINT
);

CREATE TABLE task (
    id TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'video')),
    model TEXT NOT NULL,
    request TEXT NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN
        ('queued', 'submitting', 'polling', 'downloading', 'succeeded', 'failed', 'cancelled')),
    -- What is to be done next, and from when; derived from the rest by domain/task.py.
    work TEXT CHECK (work IN ('reserve', 'poll', 'collect')),
    due_at BIGINT,
    revision INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    owner TEXT,
    session_id TEXT REFERENCES session (id),
    submit_id TEXT,
    history_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    uncertain_at BIGINT,
    submitted_at BIGINT,
    accepted_at BIGINT,
    finished_at BIGINT,
    polls INTEGER NOT NULL DEFAULT 0,
    misses INTEGER NOT NULL DEFAULT 0,
    -- As the site says it, so as wide as a number can be.
    queue_position BIGINT,
    queue_total BIGINT,
    queue_eta BIGINT,
    images_done BIGINT NOT NULL DEFAULT 0,
    images_total BIGINT,
    running INTEGER NOT NULL DEFAULT 0 CHECK (running IN (0, 1)),
    error_kind TEXT,
    error_code TEXT,
    error_message TEXT,
    error_raw TEXT,
    late INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1)),
    retry_of TEXT,
    -- Only a task that is being worked on upstream holds a session.
    CHECK (stage <> 'queued' OR (session_id IS NULL AND submit_id IS NULL AND owner IS NULL)),
    CHECK (stage NOT IN ('submitting', 'polling', 'downloading') OR session_id IS NOT NULL),
    CHECK (work IS NULL OR due_at IS NOT NULL)
);
CREATE INDEX task_due ON task (work, due_at) WHERE work IS NOT NULL;
CREATE INDEX task_session_due ON task (session_id, due_at) WHERE work = 'poll';
CREATE INDEX task_open_deadline ON task (deadline_at)
    WHERE stage IN ('queued', 'submitting', 'polling', 'downloading');
CREATE INDEX task_owner ON task (owner) WHERE owner IS NOT NULL;
CREATE INDEX task_newest ON task (created_at DESC, id DESC);
CREATE INDEX task_of_key ON task (key_id, created_at DESC, id DESC);
CREATE INDEX task_stage ON task (stage, kind);

-- A slot is a row: "two at once" is two rows, and taking one is one guarded update.
CREATE TABLE slot (
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    task_id TEXT UNIQUE REFERENCES task (id),
    taken_at BIGINT,
    PRIMARY KEY (session_id, n)
);
CREATE INDEX slot_free ON slot (session_id) WHERE task_id IS NULL;

-- One row per request that could cost credits, written before the request leaves.
CREATE TABLE submission (
    submit_id TEXT PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES task (id),
    session_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    seed BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'uncertain', 'accepted', 'refused', 'absent')),
    created_at BIGINT NOT NULL,
    settled_at BIGINT,
    history_id TEXT,
    error_kind TEXT,
    error_code TEXT,
    error_message TEXT,
    -- Upstream cancellation: asked for when its task was cancelled after the request may have left.
    cancel_state TEXT CHECK (cancel_state IN ('wanted', 'done', 'refused', 'gone')),
    cancel_due_at BIGINT,
    cancel_tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX submission_of_task ON submission (task_id, attempt);
CREATE INDEX submission_cancel ON submission (cancel_due_at) WHERE cancel_state = 'wanted';

CREATE TABLE result (
    task_id TEXT NOT NULL REFERENCES task (id),
    idx INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'video')),
    upstream_url TEXT NOT NULL,
    item_id TEXT NOT NULL,
    width BIGINT,
    height BIGINT,
    duration_ms BIGINT,
    file TEXT,
    media_type TEXT,
    size BIGINT,
    sha256 TEXT,
    stored_at BIGINT,
    PRIMARY KEY (task_id, idx)
);

-- Append-only: what happened to a task, when and why.
CREATE TABLE event (
    task_id TEXT NOT NULL REFERENCES task (id),
    seq INTEGER NOT NULL,
    at BIGINT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (task_id, seq)
);
