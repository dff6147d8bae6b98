-- Version 7; `to_2.sql` to `to_7.sql` come to it from those before. Times are Unix seconds.
-- A boot that ended as planned is clean; after another one the database is checked.
CREATE TABLE boots (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    began INTEGER NOT NULL,
    clean INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0, -- but for this one's all are
    place TEXT NOT NULL DEFAULT '',   -- where its files lie; one file has one place
    host TEXT NOT NULL DEFAULT '',    -- this and what follows is for those who watch
    role TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    device TEXT NOT NULL DEFAULT '',
    encodes TEXT NOT NULL DEFAULT '', -- codecs that its GPUs encode, each between commas
    slots INTEGER NOT NULL DEFAULT 0,
    stand TEXT NOT NULL DEFAULT ''    -- how far its jobs are
) STRICT;

-- Rows stay after handling, without payload: their numbers refuse a second delivery.
CREATE TABLE inbox (
    update_id INTEGER PRIMARY KEY,
    payload   TEXT,
    received  INTEGER NOT NULL
) STRICT;
CREATE INDEX inbox_unhandled ON inbox (update_id) WHERE payload IS NOT NULL;

CREATE TABLE jobs (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    update_id      INTEGER NOT NULL UNIQUE,    -- 16 times the update's, for one may ask for a batch, see `asked_by`
    chat           INTEGER NOT NULL,
    person         INTEGER NOT NULL,
    unique_id      TEXT NOT NULL,
    wish           TEXT NOT NULL,
    request        TEXT NOT NULL,
    status         TEXT NOT NULL,
    phase          TEXT NOT NULL,
    claims         INTEGER NOT NULL DEFAULT 0, -- the fence: never goes down
    turn           INTEGER NOT NULL,           -- round robin over users: lower comes first, see `turn_of`
    attempt        INTEGER NOT NULL DEFAULT 0, -- counted against the limit: a shutdown gives it back
    crashes        INTEGER NOT NULL DEFAULT 0, -- weighed: `Job::blame`
    boot           INTEGER,
    not_before     INTEGER NOT NULL DEFAULT 0,
    cached         INTEGER NOT NULL DEFAULT 0,
    cancel_asked   INTEGER NOT NULL DEFAULT 0,
    send_intent    INTEGER NOT NULL DEFAULT 0,
    forgotten      INTEGER NOT NULL DEFAULT 0, -- its requester wants nothing kept: the row goes with its end
    status_message INTEGER,
    parcel         TEXT,
    reason         TEXT,
    created        INTEGER NOT NULL,
    ended          INTEGER,
    batch          INTEGER, -- the first job of its batch
    batch_key      TEXT,
    place          TEXT NOT NULL DEFAULT '', -- whose disk has its files
    codec          TEXT NOT NULL DEFAULT '', -- of a wish that costs a CPU many times as much, see `codec_of`
    owed           INTEGER -- the boot that must say its end in the chat; 0 where an operator ended it; none once it was said
) STRICT;
CREATE INDEX jobs_waiting ON jobs (cached, turn, id) WHERE status = 'queued';
CREATE INDEX jobs_line ON jobs (turn, id) WHERE status = 'queued' AND cached = 0 AND phase != 'deliver';
CREATE INDEX jobs_converted ON jobs (turn, id) WHERE status = 'queued' AND cached = 0 AND phase = 'deliver';
CREATE INDEX jobs_suspect ON jobs (status) WHERE crashes > 0 AND status IN ('queued', 'running');
CREATE INDEX jobs_claimed ON jobs (turn) WHERE claims > 0;
CREATE INDEX jobs_waiting_of_user ON jobs (person, id) WHERE status = 'queued';
CREATE INDEX jobs_running ON jobs (person) WHERE status = 'running';
CREATE INDEX jobs_of_person ON jobs (person, chat, id);
CREATE INDEX jobs_over ON jobs (ended) WHERE ended IS NOT NULL;
-- Sources that are kept for a day after the end, for another wish.
CREATE INDEX jobs_kept ON jobs (ended) WHERE unique_id != '';
CREATE INDEX jobs_of_batch ON jobs (batch) WHERE batch IS NOT NULL;
CREATE INDEX jobs_of_key ON jobs (batch_key) WHERE batch_key IS NOT NULL;
CREATE INDEX jobs_owed ON jobs (owed) WHERE owed IS NOT NULL;
CREATE INDEX jobs_same ON jobs (unique_id, person, chat) WHERE status IN ('queued', 'running');

-- One row: how many jobs wait.
CREATE TABLE waiting (count INTEGER NOT NULL) STRICT;
CREATE TRIGGER waiting_came AFTER INSERT ON jobs WHEN NEW.status = 'queued'
    BEGIN UPDATE waiting SET count = count + 1; END;
CREATE TRIGGER waiting_changed AFTER UPDATE OF status ON jobs WHEN (OLD.status = 'queued') != (NEW.status = 'queued')
    BEGIN UPDATE waiting SET count = count + (NEW.status = 'queued') - (OLD.status = 'queued'); END;
CREATE TRIGGER waiting_went AFTER DELETE ON jobs WHEN OLD.status = 'queued'
    BEGIN UPDATE waiting SET count = count - 1; END;
INSERT INTO waiting VALUES (0);

CREATE TABLE results (
    unique_id TEXT NOT NULL,
    wish      TEXT NOT NULL,
    engine    TEXT NOT NULL,
    parcel    TEXT NOT NULL,
    at        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (unique_id, wish, engine)
) STRICT;
CREATE TABLE quarantine (unique_id TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;
-- What speaks against files beside their jobs: engines that died while they looked at one.
CREATE TABLE suspects (unique_id TEXT PRIMARY KEY, blame INTEGER NOT NULL, until INTEGER NOT NULL) STRICT;
CREATE TABLE dialogues (chat INTEGER NOT NULL, person INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (chat, person)) STRICT;
CREATE TABLE settings (person INTEGER PRIMARY KEY, settings TEXT NOT NULL) STRICT;
-- Files that a person asked for on one day (UTC, days since 1970).
CREATE TABLE days (person INTEGER NOT NULL, day INTEGER NOT NULL, files INTEGER NOT NULL, PRIMARY KEY (person, day)) STRICT;
CREATE INDEX days_past ON days (day);
-- What an operator decided of people, in chat; beside it stands what the configuration says.
CREATE TABLE people (person INTEGER PRIMARY KEY, banned INTEGER NOT NULL) STRICT;
-- One row: whether no further job is started, until the next start of the process.
CREATE TABLE drain (since INTEGER NOT NULL) STRICT;
-- Questions whose file somebody should look at; gone at the next start.
CREATE TABLE questions (id INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER NOT NULL, question TEXT NOT NULL) STRICT;
-- What looks came to, for the process that answers the chats where another one looked.
CREATE TABLE handed (id INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER NOT NULL, question TEXT NOT NULL, seen TEXT NOT NULL) STRICT;
-- What was seen of files, for a day.
CREATE TABLE looks (unique_id TEXT PRIMARY KEY, engine TEXT NOT NULL, seen TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
