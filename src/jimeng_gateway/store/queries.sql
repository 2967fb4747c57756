-- Every statement of the gateway, for both engines. `/*pg …*/` is what PostgreSQL needs besides.
-- Parameters are named; a nullable filter is cast so that PostgreSQL knows its type.

-- ── settings ────────────────────────────────────────────────────────────────────────────────────

-- name: setting_get
SELECT value, updated_at FROM setting WHERE name = :name;

-- name: setting_put
INSERT INTO setting (name, value, updated_at) VALUES (:name, :value, :now)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- The first one to write it wins; the others read what it wrote.
-- name: setting_put_once
INSERT INTO setting (name, value, updated_at) VALUES (:name, :value, :now)
ON CONFLICT (name) DO NOTHING;

-- ── nodes ───────────────────────────────────────────────────────────────────────────────────────

-- name: node_enter
INSERT INTO node (id, host, pid, started_at, beat_at, expires_at)
VALUES (:id, :host, :pid, :now, :now, :expires_at);

-- A node whose lease has passed may not renew it: others may have taken over its work already.
-- name: node_beat
UPDATE node SET beat_at = :now, expires_at = :expires_at WHERE id = :id AND expires_at > :now;

-- name: node_leave
DELETE FROM node WHERE id = :id;

-- Only for an engine with one process: whoever is in here is dead.
-- name: node_clear
DELETE FROM node;

-- name: node_forget
DELETE FROM node WHERE expires_at < :before;

-- name: node_list
SELECT id, host, pid, started_at, beat_at, expires_at FROM node ORDER BY started_at;

-- ── keys ────────────────────────────────────────────────────────────────────────────────────────

-- name: key_insert
INSERT INTO api_key (id, name, role, digest, prefix, created_at)
VALUES (:id, :name, :role, :digest, :prefix, :now);

-- name: key_by_digest
SELECT id, name, role, prefix, created_at, last_used_at, revoked_at, options FROM api_key
WHERE digest = :digest AND revoked_at IS NULL;

-- name: key_get
SELECT id, name, role, prefix, created_at, last_used_at, revoked_at, options FROM api_key WHERE id = :id;

-- name: key_list
SELECT id, name, role, prefix, created_at, last_used_at, revoked_at, options FROM api_key ORDER BY created_at, id;

-- name: key_revoke
UPDATE api_key SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL;

-- name: key_options
UPDATE api_key SET options = :options WHERE id = :id;

-- name: key_used
UPDATE api_key SET last_used_at = :now WHERE id = :id;

-- ── sessions ────────────────────────────────────────────────────────────────────────────────────

-- name: session_insert
INSERT INTO session (id, label, region, credential, fingerprint, web_id, slots, created_at, updated_at,
                     expires_at)
VALUES (:id, :label, :region, :credential, :fingerprint, :web_id, :slots, :now, :now, :expires_at);

-- name: session_get
SELECT s.*, (SELECT count(*) FROM slot WHERE slot.session_id = s.id AND slot.task_id IS NOT NULL) AS taken
FROM session s WHERE s.id = :id AND s.removed_at IS NULL;

-- name: session_lock
SELECT s.*, 0 AS taken FROM session s WHERE s.id = :id AND s.removed_at IS NULL /*pg FOR UPDATE*/;

-- name: session_list
SELECT s.*, coalesce(t.taken, 0) AS taken FROM session s
LEFT JOIN (SELECT session_id, count(*) AS taken FROM slot WHERE task_id IS NOT NULL GROUP BY session_id) t
    ON t.session_id = s.id
WHERE s.removed_at IS NULL ORDER BY s.created_at, s.id;

-- name: session_by_fingerprint
SELECT id, label FROM session WHERE fingerprint = :fingerprint AND removed_at IS NULL;

-- name: session_settings
UPDATE session SET label = :label, enabled = :enabled, slots = :slots, route = :route, updated_at = :now
WHERE id = :id;

-- name: session_credential
UPDATE session SET credential = :credential, fingerprint = :fingerprint, web_id = :web_id,
    expires_at = :expires_at, poll_after = 0, poll_errors = 0, updated_at = :now WHERE id = :id;

-- name: session_health
UPDATE session SET state = :state, reason = :reason, reason_kind = :reason_kind,
    cooling_until = :cooling_until, rests = :rests, updated_at = :now WHERE id = :id;

-- name: session_account
UPDATE session SET uid = :uid, account_name = :account_name, credits = :credits, checked_at = :now,
    updated_at = :now WHERE id = :id;

-- A submit was taken: the next rest starts short again.
-- name: session_thrives
UPDATE session SET rests = 0 WHERE id = :id AND rests > 0 AND state = 'ready';

-- name: session_used
UPDATE session SET last_used_at = :now WHERE id = :id;

-- name: session_remove
UPDATE session SET removed_at = :now, enabled = 0, credential = '', fingerprint = id, updated_at = :now
WHERE id = :id;

-- Rested long enough: a probe decides whether it comes back.
-- name: session_rested
SELECT id FROM session WHERE state = 'cooling' AND cooling_until <= :now AND removed_at IS NULL
ORDER BY cooling_until LIMIT 20;

-- Sessions that a new task could ever get: all that are switched on, resting ones included.
-- name: session_pool
SELECT id FROM session WHERE enabled = 1 AND removed_at IS NULL AND state IN ('ready', 'cooling');

-- name: session_any_ready
SELECT id FROM session WHERE enabled = 1 AND state = 'ready' AND removed_at IS NULL
ORDER BY last_used_at DESC, id LIMIT 3;

-- name: session_counts
SELECT CASE WHEN enabled = 0 THEN 'disabled' ELSE state END AS state, count(*) AS n
FROM session WHERE removed_at IS NULL GROUP BY 1;

-- ── slots ───────────────────────────────────────────────────────────────────────────────────────

-- name: slot_add
INSERT INTO slot (session_id, n) VALUES (:session_id, :n) ON CONFLICT (session_id, n) DO NOTHING;

-- Slots beyond the limit go once they are free; until then session_seats passes them over.
-- name: slot_trim
DELETE FROM slot WHERE session_id = :session_id AND n > :slots AND task_id IS NULL;

-- name: slot_free
UPDATE slot SET task_id = NULL, taken_at = NULL WHERE task_id = :task_id;

-- name: slot_take
UPDATE slot SET task_id = :task_id, taken_at = :now
WHERE session_id = :session_id AND task_id IS NULL
  AND n = (SELECT min(n) FROM slot WHERE session_id = :session_id AND task_id IS NULL)
RETURNING n;

-- Sessions that may take a task now, longest unused first.
-- name: session_seats
SELECT s.id, f.free, s.slots, f.taken, s.last_used_at
FROM (SELECT session_id,
             sum(CASE WHEN task_id IS NULL THEN 1 ELSE 0 END) AS free,
             sum(CASE WHEN task_id IS NULL THEN 0 ELSE 1 END) AS taken
      FROM slot WHERE session_id IN (SELECT session_id FROM slot WHERE task_id IS NULL)
      GROUP BY session_id) f
JOIN session s ON s.id = f.session_id
WHERE s.enabled = 1 AND s.state = 'ready' AND s.removed_at IS NULL AND f.taken < s.slots
ORDER BY s.last_used_at, s.id LIMIT :limit;

-- A slot beyond a lowered limit may outlive its task, so the limits are what counts.
-- name: slot_counts
SELECT (SELECT coalesce(sum(slots), 0) FROM session WHERE removed_at IS NULL) AS total, count(task_id) AS taken
FROM slot;

-- A slot held by a task that needs none is a bug; upkeep mends it and says so.
-- name: slot_leaks
SELECT slot.session_id, slot.n, slot.task_id FROM slot JOIN task ON task.id = slot.task_id
WHERE task.stage NOT IN ('submitting', 'polling', 'downloading');

-- ── tasks ───────────────────────────────────────────────────────────────────────────────────────

-- Ids are never given twice: one that is there was written by this very insert, whose answer was lost.
-- name: task_insert
INSERT INTO task (id, key_id, kind, model, request, stage, work, due_at, revision, created_at, updated_at,
                  deadline_at, retry_of, door, memo)
VALUES (:id, :key_id, :kind, :model, :request, :stage, :work, :due_at, 0, :now, :now, :deadline_at,
        :retry_of, :door, :memo)
ON CONFLICT (id) DO NOTHING;

-- name: task_get
SELECT * FROM task WHERE id = :id;

-- name: task_lock
SELECT * FROM task WHERE id = :id /*pg FOR UPDATE*/;

-- The whole changing half of a task at once; the revision guards against a change in between.
-- name: task_save
UPDATE task SET stage = :stage, work = :work, due_at = :due_at, revision = :revision,
    updated_at = :updated_at, deadline_at = :deadline_at, owner = :owner, session_id = :session_id,
    submit_id = :submit_id, history_id = :history_id, attempts = :attempts, uncertain_at = :uncertain_at,
    submitted_at = :submitted_at, accepted_at = :accepted_at, finished_at = :finished_at, polls = :polls,
    misses = :misses, queue_position = :queue_position, queue_total = :queue_total, queue_eta = :queue_eta,
    images_done = :images_done, images_total = :images_total, running = :running, error_kind = :error_kind,
    error_code = :error_code, error_message = :error_message, error_raw = :error_raw, late = :late
WHERE id = :id AND revision = :was;

-- `stages` is a list like ",queued,polling,".
-- name: task_list
SELECT * FROM task
WHERE removed_at IS NULL AND created_at >= :since
  AND (CAST(:stages AS TEXT) IS NULL OR replace(:stages, ',' || stage || ',', '') <> :stages)
  AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:model AS TEXT) IS NULL OR model = :model)
  AND (created_at, id) < (CAST(:at AS BIGINT), CAST(:after AS TEXT))
ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :skip;

-- The same for one key, apart because SQLite takes its index only for a condition without an OR.
-- name: task_list_of_key
SELECT * FROM task
WHERE key_id = :key_id AND removed_at IS NULL AND created_at >= :since
  AND (CAST(:stages AS TEXT) IS NULL OR replace(:stages, ',' || stage || ',', '') <> :stages)
  AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:model AS TEXT) IS NULL OR model = :model)
  AND (created_at, id) < (CAST(:at AS BIGINT), CAST(:after AS TEXT))
ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :skip;

-- name: task_list_oldest
SELECT * FROM task
WHERE (CAST(:key_id AS TEXT) IS NULL OR key_id = :key_id) AND removed_at IS NULL AND created_at >= :since
  AND (CAST(:stages AS TEXT) IS NULL OR replace(:stages, ',' || stage || ',', '') <> :stages)
  AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:model AS TEXT) IS NULL OR model = :model)
  AND (created_at, id) > (CAST(:at AS BIGINT), CAST(:after AS TEXT))
ORDER BY created_at, id LIMIT :limit OFFSET :skip;

-- name: task_list_count
SELECT COUNT(*) AS n FROM task
WHERE (CAST(:key_id AS TEXT) IS NULL OR key_id = :key_id) AND removed_at IS NULL AND created_at >= :since
  AND (CAST(:stages AS TEXT) IS NULL OR replace(:stages, ',' || stage || ',', '') <> :stages)
  AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
  AND (CAST(:model AS TEXT) IS NULL OR model = :model);

-- name: task_remove
UPDATE task SET removed_at = :now WHERE id = :id AND removed_at IS NULL
  AND stage IN ('succeeded', 'failed', 'cancelled');

-- ── intents ─────────────────────────────────────────────────────────────────────────────────────

-- name: intent_insert
INSERT INTO intent (task_id, key_id, token, fingerprint, born_try, last_try, seen_by, peer, created_at)
VALUES (:task_id, :key_id, :token, :fingerprint, :attempt, :attempt, :request_id, :peer, :now)
ON CONFLICT (task_id) DO NOTHING;

-- What this very request has made or found before: its transaction runs again when the answer to its COMMIT is lost.
-- name: intent_by_request
SELECT task_id FROM intent
WHERE key_id = :key_id AND fingerprint = :fingerprint AND token IS NULL AND seen_by = :request_id;

-- name: intent_by_token
SELECT intent.task_id, intent.fingerprint, task.removed_at FROM intent JOIN task ON task.id = intent.task_id
WHERE intent.key_id = :key_id AND intent.token = :token AND intent.created_at > :since;

-- Of the requests with this content the one whose last try came just before: several may be on their way.
-- Who has deleted the task had its id, so this is another wish.
-- name: intent_before
SELECT task_id FROM intent
WHERE key_id = :key_id AND fingerprint = :fingerprint AND token IS NULL AND created_at > :since
  AND last_try < :attempt
  AND EXISTS (SELECT 1 FROM task WHERE task.id = intent.task_id AND task.removed_at IS NULL)
ORDER BY last_try DESC, created_at, task_id LIMIT 1;

-- Made by a later try while an earlier one was still on its way.
-- name: intent_after
SELECT task_id FROM intent
WHERE key_id = :key_id AND fingerprint = :fingerprint AND token IS NULL AND born_try > :attempt
  AND created_at >= :arrived_at
ORDER BY created_at, task_id LIMIT 1;

-- The client was answered, or lost its connection, just before. Who has cancelled or deleted the task had its id.
-- name: intent_unmarked
SELECT task_id, peer, answered_at, lost_at FROM intent
WHERE key_id = :key_id AND fingerprint = :fingerprint AND token IS NULL AND peer <> :peer
  AND (answered_at >= :answered_since OR lost_at >= :lost_since)
  AND EXISTS (SELECT 1 FROM task
              WHERE task.id = intent.task_id AND task.removed_at IS NULL AND task.stage <> 'cancelled')
ORDER BY created_at DESC, task_id;

-- name: intent_again
UPDATE intent SET peer = :peer, answered_at = NULL, lost_at = NULL WHERE task_id = :task_id AND peer IS NOT NULL;

-- name: intent_answered
UPDATE intent SET answered_at = :answered_at, lost_at = :lost_at WHERE task_id = :task_id AND peer = :peer;

-- name: intent_tried
UPDATE intent SET seen_by = :request_id, last_try = CASE WHEN last_try < :attempt THEN :attempt ELSE last_try END
WHERE task_id = :task_id;

-- name: intent_forget
DELETE FROM intent WHERE created_at <= :before;

-- name: intent_forget_token
DELETE FROM intent WHERE key_id = :key_id AND token = :token AND created_at <= :before;

-- ── the queue ───────────────────────────────────────────────────────────────────────────────────

-- name: task_ready
-- What is past its deadline waits to be failed: after a long stop that may come second.
SELECT * FROM task WHERE work = 'reserve' AND due_at <= :now AND deadline_at > :now
ORDER BY due_at, id LIMIT :limit /*pg FOR UPDATE*/;

-- name: task_collectable
SELECT * FROM task WHERE work = 'collect' AND due_at <= :now ORDER BY due_at, id LIMIT :limit
/*pg FOR UPDATE SKIP LOCKED*/;

-- What a session's next poll could ask for; the batch is chosen by policy.batch.
-- name: task_pollable
SELECT * FROM task WHERE session_id = :session_id AND work = 'poll' ORDER BY due_at, id LIMIT :limit;

-- name: task_overdue
SELECT id FROM task
WHERE stage IN ('queued', 'submitting', 'polling', 'downloading') AND deadline_at <= :now AND owner IS NULL
ORDER BY deadline_at LIMIT 200;

-- A process that was asleep finds its own steps running still, so it never takes over from itself (`:me`).
-- name: task_orphans
SELECT id, owner FROM task WHERE owner IS NOT NULL AND owner <> :me
    AND owner NOT IN (SELECT id FROM node WHERE expires_at > :now)
LIMIT 1000;

-- name: task_owned
SELECT id FROM task WHERE owner = :owner;

-- name: task_counts
SELECT stage, kind, count(*) AS n FROM task GROUP BY stage, kind;

-- name: task_oldest_queued
SELECT min(created_at) AS at FROM task WHERE stage = 'queued';

-- How many queued tasks come before this one.
-- name: task_ahead
SELECT count(*) AS n FROM task WHERE work = 'reserve' AND (due_at, id) < (:due_at, :id);

-- ── polls ───────────────────────────────────────────────────────────────────────────────────────

-- A look before the claim, so that an idle gateway writes nothing.
-- name: poll_due
SELECT 1 AS one FROM task WHERE work = 'poll' AND due_at <= :now LIMIT 1;

-- Claims sessions that have something due, so that each is asked by one node at a time. A session that
-- another transaction is writing is left for the next look: waiting for several of them could deadlock.
-- name: poll_claim
WITH due AS MATERIALIZED (
    SELECT s.id FROM session s
    JOIN (SELECT session_id, min(due_at) AS since FROM task
          WHERE work = 'poll' AND due_at <= :now GROUP BY session_id) t ON t.session_id = s.id
    WHERE s.poll_owner IS NULL AND s.poll_after <= :now
    ORDER BY t.since LIMIT :limit /*pg FOR NO KEY UPDATE OF s SKIP LOCKED*/)
UPDATE session SET poll_owner = :owner WHERE id IN (SELECT id FROM due)
RETURNING id, poll_errors;

-- name: poll_release
UPDATE session SET poll_owner = NULL, poll_after = :poll_after, poll_errors = :poll_errors
WHERE id = :id AND poll_owner = :owner;

-- name: poll_orphans
UPDATE session SET poll_owner = NULL
WHERE poll_owner IS NOT NULL AND poll_owner <> :me
    AND poll_owner NOT IN (SELECT id FROM node WHERE expires_at > :now);

-- name: poll_owned
SELECT id FROM session WHERE poll_owner = :owner;

-- name: poll_drop
UPDATE session SET poll_owner = NULL WHERE id = :id AND poll_owner = :owner;

-- ── submissions ─────────────────────────────────────────────────────────────────────────────────

-- name: submission_insert
INSERT INTO submission (submit_id, task_id, session_id, login, attempt, seed, state, created_at)
VALUES (:submit_id, :task_id, :session_id, :login, :attempt, :seed, 'intended', :now);

-- name: submission_settle
-- What was found at the site stays found, whatever a process says later that had lost sight of it.
UPDATE submission SET state = :state, settled_at = :now, history_id = coalesce(:history_id, history_id),
    error_kind = :error_kind, error_code = :error_code, error_message = :error_message
WHERE submit_id = :submit_id AND (state <> 'accepted' OR CAST(:state AS TEXT) = 'accepted');

-- name: submission_get
SELECT * FROM submission WHERE submit_id = :submit_id;

-- name: submission_of_task
SELECT * FROM submission WHERE task_id = :task_id ORDER BY attempt;

-- name: submission_absences
SELECT count(*) AS n FROM submission WHERE task_id = :task_id AND state = 'absent';

-- Submits that were refused, and uploads that came to nothing before one, oldest first.
-- name: submission_refusals
SELECT session_id, error_kind, error_code, error_message FROM (
    SELECT session_id, error_kind, error_code, error_message, created_at AS at FROM submission
    WHERE task_id = :task_id AND state = 'refused'
    UNION ALL
    SELECT session_id, error_kind, error_code, error_message, at FROM setback WHERE task_id = :task_id) refusal
ORDER BY at;

-- name: setback_insert
INSERT INTO setback (task_id, n, session_id, error_kind, error_code, error_message, at)
SELECT :task_id, coalesce(max(n), 0) + 1, :session_id, :error_kind, :error_code, :error_message,
    CAST(:now AS BIGINT)
FROM setback WHERE task_id = :task_id;

-- 'gone' may be asked for again: its request was under way for longer than anybody thought.
-- name: submission_want_cancel
UPDATE submission SET cancel_state = 'wanted', cancel_due_at = :now
WHERE submit_id = :submit_id AND (cancel_state IS NULL OR cancel_state = 'gone')
    AND state IN ('intended', 'uncertain', 'accepted');

-- Taken with a time-out instead of an owner: asking twice for a cancellation does no harm.
-- MATERIALIZED, because PostgreSQL may run a plain subselect several times and so go beyond the limit.
-- name: submission_cancel_claim
WITH due AS MATERIALIZED (
    SELECT submit_id FROM submission WHERE cancel_state = 'wanted' AND cancel_due_at <= :now
    ORDER BY cancel_due_at LIMIT :limit /*pg FOR UPDATE SKIP LOCKED*/)
UPDATE submission SET cancel_due_at = :again_at, cancel_tries = cancel_tries + 1
WHERE submit_id IN (SELECT submit_id FROM due)
RETURNING *;

-- name: submission_cancelled
UPDATE submission SET cancel_state = :cancel_state, cancel_due_at = NULL WHERE submit_id = :submit_id
    AND cancel_state = 'wanted';

-- name: submission_cancel_later
UPDATE submission SET cancel_due_at = :due_at WHERE submit_id = :submit_id AND cancel_state = 'wanted';

-- ── results ─────────────────────────────────────────────────────────────────────────────────────

-- name: result_put
INSERT INTO result (task_id, idx, kind, upstream_url, item_id, width, height, duration_ms, file, media_type,
                    size, sha256, stored_at, place, preview_url, preview_file, preview_type, preview_size, bytes)
VALUES (:task_id, :idx, :kind, :upstream_url, :item_id, :width, :height, :duration_ms, :file, :media_type,
        :size, :sha256, :stored_at, :place, :preview_url, :preview_file, :preview_type, :preview_size,
        :bytes)
ON CONFLICT (task_id, idx) DO UPDATE SET upstream_url = excluded.upstream_url, item_id = excluded.item_id,
    width = excluded.width, height = excluded.height, duration_ms = excluded.duration_ms,
    file = excluded.file, media_type = excluded.media_type, size = excluded.size, sha256 = excluded.sha256,
    stored_at = excluded.stored_at, place = excluded.place, preview_url = excluded.preview_url,
    preview_file = excluded.preview_file, preview_type = excluded.preview_type,
    preview_size = excluded.preview_size, bytes = excluded.bytes;

-- name: result_of_task
SELECT * FROM result WHERE task_id = :task_id ORDER BY idx;

-- name: result_totals
SELECT count(*) AS files, CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes FROM result
WHERE stored_at IS NOT NULL AND removed_at IS NULL;

-- Stored results, the oldest first.
-- name: result_oldest
SELECT task_id, idx, stored_at, bytes FROM result
WHERE stored_at IS NOT NULL AND removed_at IS NULL
ORDER BY stored_at, task_id, idx LIMIT :limit;

-- How many would go: those stored before a time, and the oldest until so many bytes are gone.
-- name: result_due_totals
SELECT count(*) AS files, CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes FROM (
    SELECT stored_at, bytes, sum(bytes) OVER (ORDER BY stored_at, task_id, idx) - bytes AS freed FROM result
    WHERE stored_at IS NOT NULL AND removed_at IS NULL) AS shelf
WHERE stored_at < :before OR freed < :excess;

-- name: result_remove
UPDATE result SET removed_at = :now, removed_why = :why
WHERE task_id = :task_id AND idx = :idx AND stored_at IS NOT NULL AND removed_at IS NULL;

-- Removed ones whose bytes have yet to go.
-- name: result_leaving
SELECT task_id, idx, removed_at, file, place, preview_file FROM result
WHERE removed_at IS NOT NULL AND file IS NOT NULL AND removed_at <= :before
    AND (removed_at, task_id, idx) > (:at, :task_id, :idx)
ORDER BY removed_at, task_id, idx LIMIT :limit;

-- name: result_leaving_of
SELECT task_id, idx, removed_at, file, place, preview_file FROM result
WHERE task_id = :task_id AND removed_at IS NOT NULL AND file IS NOT NULL ORDER BY idx;

-- name: result_left
UPDATE result SET file = NULL, preview_file = NULL
WHERE task_id = :task_id AND idx = :idx AND removed_at IS NOT NULL;

-- What has been removed, the latest first.
-- name: result_removals
SELECT task_id, idx, removed_at, removed_why, bytes FROM result
WHERE removed_at IS NOT NULL AND (removed_at, task_id, idx) < (:at, :task_id, :idx)
ORDER BY removed_at DESC, task_id DESC, idx DESC LIMIT :limit;

-- Whether a file of the results directory has to stay: its task has not ended, or a row names it.
-- name: result_needs
SELECT 1 AS needed FROM task
WHERE id = :task_id AND (stage NOT IN ('succeeded', 'failed', 'cancelled') OR work IS NOT NULL
    OR owner IS NOT NULL OR EXISTS (
        SELECT 1 FROM result WHERE task_id = :task_id AND place = '' AND (file = :file OR preview_file = :file)));

-- ── events ──────────────────────────────────────────────────────────────────────────────────────

-- name: event_insert
INSERT INTO event (task_id, seq, at, name, data) VALUES (:task_id, :seq, :now, :name, :data);

-- name: event_list
SELECT task_id, seq, at, name, data FROM event WHERE task_id = :task_id AND seq > :after ORDER BY seq;

-- ── references ──────────────────────────────────────────────────────────────────────────────────

-- name: blob_keep
INSERT INTO blob (sha256, kind, media_type, size, width, height, duration_ms, fps, created_at, used_at)
VALUES (:sha256, :kind, :media_type, :size, :width, :height, :duration_ms, :fps, :now, :now)
ON CONFLICT (sha256) DO UPDATE SET used_at = excluded.used_at;

-- name: blob_touch
UPDATE blob SET used_at = :now WHERE sha256 = :sha256;

-- name: blob_get
SELECT * FROM blob WHERE sha256 = :sha256;

-- name: blob_idle
SELECT sha256 FROM blob
WHERE used_at < :before AND NOT EXISTS (SELECT 1 FROM file WHERE file.sha256 = blob.sha256)
    AND NOT EXISTS (SELECT 1 FROM task_blob WHERE task_blob.sha256 = blob.sha256)
ORDER BY used_at LIMIT :limit;

-- PostgreSQL judges a deletion by what was committed when it began: whoever holds the row goes first.
-- name: blob_lock
SELECT sha256 FROM blob WHERE sha256 = :sha256 /*pg FOR UPDATE*/;

-- name: blob_remove
DELETE FROM blob
WHERE sha256 = :sha256 AND used_at < :before
    AND NOT EXISTS (SELECT 1 FROM file WHERE file.sha256 = blob.sha256)
    AND NOT EXISTS (SELECT 1 FROM task_blob WHERE task_blob.sha256 = blob.sha256);

-- name: task_blob_insert
INSERT INTO task_blob (task_id, sha256) VALUES (:task_id, :sha256) ON CONFLICT (task_id, sha256) DO NOTHING;

-- name: task_blob_forget
DELETE FROM task_blob WHERE EXISTS (
    SELECT 1 FROM task WHERE task.id = task_blob.task_id AND task.finished_at < :before
    AND task.stage IN ('succeeded', 'failed', 'cancelled'));

-- name: file_insert
INSERT INTO file (id, key_id, sha256, name, created_at, expires_at)
VALUES (:id, :key_id, :sha256, :name, :now, :expires_at)
ON CONFLICT (id) DO NOTHING;

-- name: file_get
SELECT file.*, kind, media_type, size, width, height, duration_ms, fps
FROM file JOIN blob ON blob.sha256 = file.sha256
WHERE file.id = :id AND file.expires_at > :now
    AND (CAST(:key_id AS TEXT) IS NULL OR file.key_id = :key_id);

-- name: file_list
SELECT file.*, kind, media_type, size, width, height, duration_ms, fps
FROM file JOIN blob ON blob.sha256 = file.sha256
WHERE file.expires_at > :now AND (CAST(:key_id AS TEXT) IS NULL OR file.key_id = :key_id)
    AND (CAST(:at AS BIGINT) IS NULL
         OR (file.created_at, file.id) < (CAST(:at AS BIGINT), CAST(:after AS TEXT)))
ORDER BY file.created_at DESC, file.id DESC LIMIT :limit;

-- name: file_remove
DELETE FROM file WHERE id = :id;

-- name: file_expire
DELETE FROM file WHERE expires_at <= :now;

-- ── uploads ─────────────────────────────────────────────────────────────────────────────────────

-- name: upload_find
SELECT * FROM upload WHERE session_id = :session_id AND sha256 = :sha256 AND expires_at > :now;

-- name: upload_keep
INSERT INTO upload (session_id, sha256, handle, width, height, duration_ms, fps, format, passed, uploaded_at,
                    expires_at)
VALUES (:session_id, :sha256, :handle, :width, :height, :duration_ms, :fps, :format, NULL, :now, :expires_at)
ON CONFLICT (session_id, sha256) DO UPDATE SET handle = excluded.handle, width = excluded.width,
    height = excluded.height, duration_ms = excluded.duration_ms, fps = excluded.fps,
    format = excluded.format, passed = NULL, uploaded_at = excluded.uploaded_at,
    expires_at = excluded.expires_at;

-- name: upload_judge
UPDATE upload SET passed = :passed WHERE session_id = :session_id AND sha256 = :sha256 AND handle = :handle;

-- name: upload_forget
DELETE FROM upload WHERE session_id = :session_id AND sha256 = :sha256;

-- Another credential may be another account, which cannot use what the first one uploaded.
-- name: upload_forget_session
DELETE FROM upload WHERE session_id = :session_id;

-- name: upload_expire
DELETE FROM upload WHERE expires_at <= :now;

-- ── deliveries ──────────────────────────────────────────────────────────────────────────────────

-- name: subscription_add
INSERT INTO subscription (task_id, url, place, format, base) VALUES (:task_id, :url, :place, :format, :base)
ON CONFLICT (task_id, url) DO NOTHING;

-- name: subscription_of_task
SELECT task_id, url, place, format, base FROM subscription WHERE task_id = :task_id ORDER BY url;

-- name: delivery_insert
INSERT INTO delivery (id, task_id, key_id, url, place, format, base, event, stage, due_at, created_at)
VALUES (:id, :task_id, :key_id, :url, :place, :format, :base, :event, :stage, :now, :now)
ON CONFLICT (id) DO NOTHING;

-- What is on its way already is left to whoever sends it.
-- name: delivery_supersede
UPDATE delivery SET state = 'superseded', due_at = NULL
WHERE task_id = :task_id AND url = :url AND id <> :id AND state = 'pending' AND claimed_until <= :now;

-- name: delivery_outdate
UPDATE delivery SET state = 'superseded', due_at = NULL WHERE id = :id;

-- A look before the claim, so that an idle gateway writes nothing.
-- name: delivery_any_due
SELECT 1 AS one FROM delivery WHERE state = 'pending' AND due_at <= :now LIMIT 1;

-- So many for each place, with those that are on their way: one that does not answer must not take all hands.
-- A task's statuses arrive in their order, so one is sent when none of the others is on its way.
-- name: delivery_due
SELECT id FROM (
    SELECT d.id, d.due_at, row_number() OVER (PARTITION BY d.place ORDER BY d.due_at, d.id)
        + (SELECT count(*) FROM delivery busy
           WHERE busy.place = d.place AND busy.state = 'pending' AND busy.claimed_until > :now) AS nth
    FROM delivery d
    WHERE d.state = 'pending' AND d.due_at <= :now
      AND NOT EXISTS (SELECT 1 FROM delivery other
                      WHERE other.task_id = d.task_id AND other.url = d.url AND other.state = 'pending'
                        AND other.claimed_until > :now)) ranked
WHERE nth <= :most ORDER BY due_at, id LIMIT :limit;

-- name: delivery_lock
SELECT * FROM delivery WHERE id = :id AND state = 'pending' AND due_at <= :now
/*pg FOR UPDATE SKIP LOCKED*/;

-- name: delivery_claim
UPDATE delivery SET due_at = :until, claimed_until = :until WHERE id = :id;

-- name: delivery_settle
UPDATE delivery SET state = :state, due_at = :due_at, claimed_until = 0, tries = tries + 1, status = :status,
    error = :error, delivered_at = :delivered_at
WHERE id = :id AND state = 'pending';

-- name: delivery_list
SELECT * FROM delivery
WHERE (CAST(:key_id AS TEXT) IS NULL OR key_id = :key_id)
  AND (CAST(:task_id AS TEXT) IS NULL OR task_id = :task_id)
  AND (CAST(:state AS TEXT) IS NULL OR state = :state)
  AND (created_at, id) < (CAST(:at AS BIGINT), CAST(:after AS TEXT))
ORDER BY created_at DESC, id DESC LIMIT :limit;

-- name: delivery_forget
DELETE FROM delivery WHERE created_at < :before AND state <> 'pending';

-- name: subscription_forget
DELETE FROM subscription WHERE EXISTS (
    SELECT 1 FROM task WHERE task.id = subscription.task_id AND task.finished_at < :before
    AND task.stage IN ('succeeded', 'failed', 'cancelled'));

-- name: ping
SELECT 1 AS one;
