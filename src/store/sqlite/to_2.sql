-- From version 1: a request holds a wish instead of a preset, sources are kept for a day, people and days are known.
ALTER TABLE jobs RENAME COLUMN preset TO wish;
ALTER TABLE jobs ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET request = json_remove(json_set(request, '$.wish', json_extract(request, '$.preset')), '$.preset');
ALTER TABLE results RENAME COLUMN preset TO wish;
DROP INDEX IF EXISTS jobs_same;
CREATE INDEX jobs_of_person ON jobs (user, chat, id);
CREATE INDEX jobs_kept ON jobs (ended) WHERE unique_id != '';
CREATE INDEX jobs_same ON jobs (unique_id, user, chat) WHERE status IN ('queued', 'running');
CREATE TABLE days (user INTEGER NOT NULL, day INTEGER NOT NULL, files INTEGER NOT NULL, PRIMARY KEY (user, day)) STRICT;
CREATE TABLE people (user INTEGER PRIMARY KEY, banned INTEGER NOT NULL) STRICT;
CREATE TABLE drain (since INTEGER NOT NULL) STRICT;
-- What a dialogue or a setting said of presets does not read any more, and is asked for again.
DELETE FROM dialogues;
