-- By which door a task came in, and what that door wants to know again when it is asked for the task.
ALTER TABLE task ADD COLUMN door TEXT NOT NULL DEFAULT 'native';
ALTER TABLE task ADD COLUMN memo TEXT NOT NULL DEFAULT '{}';
-- Deleted by its caller: it is in no list any more and cannot be asked for.
ALTER TABLE task ADD COLUMN removed_at BIGINT;

-- What callers of a key get unless they say otherwise: JSON, see domain/options.py.
ALTER TABLE api_key ADD COLUMN options TEXT NOT NULL DEFAULT '{}';

-- What a caller meant by a request, so that the same request sent again makes no second task.
CREATE TABLE intent (
    task_id TEXT PRIMARY KEY REFERENCES task (id),
    key_id TEXT NOT NULL,
    -- The caller's Idempotency-Key; NULL where the request is known by its content alone.
    token TEXT,
    -- Hash of the route and of all that was sent.
    fingerprint TEXT NOT NULL,
    -- Counted by the client: which of its tries made the task, and the highest that was seen since.
    born_try INTEGER NOT NULL,
    last_try INTEGER NOT NULL,
    -- Our own id of the request that made the task, or found it last.
    seen_by TEXT NOT NULL,
    -- Of a client that repeats without saying so: the connection it used last, when it was answered there, and
    -- when it hung up instead.
    peer TEXT,
    answered_at BIGINT,
    lost_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX intent_token ON intent (key_id, token);
CREATE INDEX intent_content ON intent (key_id, fingerprint);
CREATE INDEX intent_age ON intent (created_at);
