-- Which login of its session made a submit (a keyed hash): another one may be another account, which cannot see
-- the job. Empty: not known.
ALTER TABLE submission ADD COLUMN login TEXT NOT NULL DEFAULT '';
