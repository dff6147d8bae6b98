-- From version 2: files that came together are a batch.
ALTER TABLE jobs ADD COLUMN batch INTEGER;
ALTER TABLE jobs ADD COLUMN batch_key TEXT;
CREATE INDEX jobs_of_batch ON jobs (batch) WHERE batch IS NOT NULL;
CREATE INDEX jobs_of_key ON jobs (batch_key) WHERE batch_key IS NOT NULL;
UPDATE jobs SET update_id = update_id * 16;
-- A chat's default for all of its files has a name of its own.
UPDATE settings SET settings = json_set(settings, '$.auto', json_extract(settings, '$.default'), '$.default', NULL) WHERE user < 0;
-- Open questions are about several files now; those that were asked before do not read any more.
DELETE FROM dialogues;
-- Questions whose file somebody should look at; gone at the next start.
CREATE TABLE questions (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL, question TEXT NOT NULL) STRICT;
-- What was seen of files, for a day.
CREATE TABLE looks (unique_id TEXT PRIMARY KEY, engine TEXT NOT NULL, seen TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
