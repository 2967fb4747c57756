-- Who is told of a task, and every status that was or is to be told. An address may hold a token.

CREATE TABLE subscription (
    task_id TEXT NOT NULL REFERENCES task (id),
    url TEXT NOT NULL,
    -- Host and port of the address.
    place TEXT NOT NULL,
    -- In which dialect, see domain/deliveries.py.
    format TEXT NOT NULL,
    -- The gateway's own address as the caller knows it, for links.
    base TEXT NOT NULL,
    PRIMARY KEY (task_id, url)
);

CREATE TABLE delivery (
    id TEXT PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES task (id),
    key_id TEXT NOT NULL,
    url TEXT NOT NULL,
    place TEXT NOT NULL,
    format TEXT NOT NULL,
    base TEXT NOT NULL,
    event TEXT NOT NULL CHECK (event IN ('queued', 'running', 'succeeded', 'failed', 'expired', 'cancelled')),
    -- Of the task: the stage that it tells.
    stage TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'failed', 'superseded')),
    due_at BIGINT,
    -- Whoever sends it has until then; after that somebody else may.
    claimed_until BIGINT NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    error TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    delivered_at BIGINT,
    CHECK ((state = 'pending') = (due_at IS NOT NULL))
);
CREATE INDEX delivery_due ON delivery (due_at, id) WHERE state = 'pending';
CREATE INDEX delivery_place ON delivery (place, claimed_until) WHERE state = 'pending';
CREATE INDEX delivery_task ON delivery (task_id);
CREATE INDEX delivery_key ON delivery (key_id, created_at, id);
CREATE INDEX delivery_age ON delivery (created_at, id);
