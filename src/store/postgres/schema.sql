-- Version 1. Times are Unix seconds of this server's clock. Names and meanings are those of the SQLite schema, which says more
-- of each; what differs is said here.
CREATE TABLE about (
    version BIGINT NOT NULL,    -- of this schema
    reads_from BIGINT NOT NULL  -- the oldest kadr's schema that can work with it: old and new run side by side meanwhile
);
INSERT INTO about (version, reads_from) VALUES (1, 1);

-- One row for each run of a process. It lives while `beats` grows, see `leases.rs`.
CREATE TABLE boots (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began    BIGINT NOT NULL,
    clean    BIGINT NOT NULL DEFAULT 0,
    ended    BIGINT NOT NULL DEFAULT 0,
    beats    BIGINT NOT NULL DEFAULT 0,
    place    TEXT NOT NULL DEFAULT '',
    host     TEXT NOT NULL DEFAULT '',
    role     TEXT NOT NULL DEFAULT '',
    version  TEXT NOT NULL DEFAULT '',
    device   TEXT NOT NULL DEFAULT '',
    encodes  TEXT NOT NULL DEFAULT '',
    stand    TEXT NOT NULL DEFAULT '',
    slots    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX boots_living ON boots (id) WHERE ended = 0;

CREATE TABLE inbox (
    update_id BIGINT PRIMARY KEY,
    payload   TEXT,
    received  BIGINT NOT NULL
);
CREATE INDEX inbox_unhandled ON inbox (update_id) WHERE payload IS NOT NULL;

CREATE TABLE jobs (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    update_id      BIGINT NOT NULL UNIQUE,
    chat           BIGINT NOT NULL,
    person         BIGINT NOT NULL,
    unique_id      TEXT NOT NULL,
    wish           TEXT NOT NULL,
    request        TEXT NOT NULL,
    status         TEXT NOT NULL,
    phase          TEXT NOT NULL,
    claims         BIGINT NOT NULL DEFAULT 0,
    turn           BIGINT NOT NULL,
    attempt        BIGINT NOT NULL DEFAULT 0,
    crashes        BIGINT NOT NULL DEFAULT 0,
    boot           BIGINT,
    not_before     BIGINT NOT NULL DEFAULT 0,
    cached         BIGINT NOT NULL DEFAULT 0,
    cancel_asked   BIGINT NOT NULL DEFAULT 0,
    send_intent    BIGINT NOT NULL DEFAULT 0,
    forgotten      BIGINT NOT NULL DEFAULT 0,
    status_message BIGINT,
    parcel         TEXT,
    reason         TEXT,
    created        BIGINT NOT NULL,
    ended          BIGINT,
    batch          BIGINT,
    batch_key      TEXT,
    place          TEXT NOT NULL DEFAULT '',
    codec          TEXT NOT NULL DEFAULT '',
    owed           BIGINT
);
CREATE INDEX jobs_waiting ON jobs (cached, turn, id) WHERE status = 'queued';
CREATE INDEX jobs_line ON jobs (turn, id) WHERE status = 'queued' AND cached = 0 AND phase != 'deliver';
CREATE INDEX jobs_converted ON jobs (turn, id) WHERE status = 'queued' AND cached = 0 AND phase = 'deliver';
CREATE INDEX jobs_suspect ON jobs (status) WHERE crashes > 0 AND status IN ('queued', 'running');
CREATE INDEX jobs_claimed ON jobs (turn) WHERE claims > 0;
CREATE INDEX jobs_running ON jobs (person) WHERE status = 'running';
CREATE INDEX jobs_of_person ON jobs (person, chat, id);
CREATE INDEX jobs_over ON jobs (ended) WHERE ended IS NOT NULL;
CREATE INDEX jobs_kept ON jobs (ended) WHERE unique_id != '';
CREATE INDEX jobs_of_batch ON jobs (batch) WHERE batch IS NOT NULL;
CREATE INDEX jobs_of_key ON jobs (batch_key) WHERE batch_key IS NOT NULL;
CREATE INDEX jobs_owed ON jobs (owed) WHERE owed IS NOT NULL;
CREATE INDEX jobs_same ON jobs (unique_id, person, chat) WHERE status IN ('queued', 'running');

-- A view and no counter: a row that every job changes would make all hosts wait for each other.
CREATE VIEW waiting AS SELECT COUNT(*) AS count FROM jobs WHERE status = 'queued';

CREATE TABLE results (
    unique_id TEXT NOT NULL,
    wish      TEXT NOT NULL,
    engine    TEXT NOT NULL,
    parcel    TEXT NOT NULL,
    at        BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (unique_id, wish, engine)
);
CREATE TABLE quarantine (unique_id TEXT PRIMARY KEY, until BIGINT NOT NULL);
CREATE TABLE suspects (unique_id TEXT PRIMARY KEY, blame BIGINT NOT NULL, until BIGINT NOT NULL);
CREATE TABLE dialogues (chat BIGINT NOT NULL, person BIGINT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (chat, person));
CREATE TABLE settings (person BIGINT PRIMARY KEY, settings TEXT NOT NULL);
CREATE TABLE days (person BIGINT NOT NULL, day BIGINT NOT NULL, files BIGINT NOT NULL, PRIMARY KEY (person, day));
CREATE INDEX days_past ON days (day);
CREATE TABLE people (person BIGINT PRIMARY KEY, banned BIGINT NOT NULL);
-- Until it is lifted: a process that starts lifts it in SQLite alone.
CREATE TABLE drain (since BIGINT NOT NULL);
CREATE TABLE questions (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person BIGINT NOT NULL, question TEXT NOT NULL);
CREATE TABLE handed (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person   BIGINT NOT NULL,
    question TEXT NOT NULL,
    seen     TEXT NOT NULL
);
CREATE TABLE looks (unique_id TEXT PRIMARY KEY, engine TEXT NOT NULL, seen TEXT NOT NULL, at BIGINT NOT NULL);

-- As SQLite has it, for paths of names alone.
CREATE FUNCTION json_set(document TEXT, path TEXT, value TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE
    AS $$ SELECT jsonb_set(document::jsonb, string_to_array(substr(path, 3), '.'), to_jsonb(value))::text $$;
