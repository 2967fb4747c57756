-- By which door a session's submits leave: 'auto', 'browser' or 'direct'.
ALTER TABLE session ADD COLUMN route TEXT NOT NULL DEFAULT 'auto' CHECK (route IN ('auto', 'browser', 'direct'));
