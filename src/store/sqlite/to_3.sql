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
