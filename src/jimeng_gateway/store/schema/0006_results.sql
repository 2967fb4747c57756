-- Where the files of a result lie, its small picture, and what became of them.

-- The address of the archive that has its files; empty: the data directory.
ALTER TABLE result ADD COLUMN place TEXT NOT NULL DEFAULT '';
-- Where the site serves a small picture of it; empty: nowhere.
ALTER TABLE result ADD COLUMN preview_url TEXT NOT NULL DEFAULT '';
ALTER TABLE result ADD COLUMN preview_file TEXT;
ALTER TABLE result ADD COLUMN preview_type TEXT;
ALTER TABLE result ADD COLUMN preview_size BIGINT;
-- Of its file and its small picture together.
ALTER TABLE result ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
UPDATE result SET bytes = size WHERE size IS NOT NULL;
-- Since then its files are served no more; their names stay until the bytes are gone too.
ALTER TABLE result ADD COLUMN removed_at BIGINT;
ALTER TABLE result ADD COLUMN removed_why TEXT CHECK (removed_why IN ('age', 'size', 'caller', 'operator'));

-- Retention reads the oldest and adds up the bytes from this index alone.
CREATE INDEX result_age ON result (stored_at, task_id, idx, bytes)
    WHERE stored_at IS NOT NULL AND removed_at IS NULL;
CREATE INDEX result_removed ON result (removed_at, task_id, idx) WHERE removed_at IS NOT NULL;
CREATE INDEX result_leaving ON result (removed_at, task_id, idx)
    WHERE removed_at IS NOT NULL AND file IS NOT NULL;
