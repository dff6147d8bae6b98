-- From version 3: an end that nobody said in the chat is owed.
ALTER TABLE jobs ADD COLUMN owed INTEGER;
CREATE INDEX jobs_owed ON jobs (owed) WHERE owed IS NOT NULL;
-- A boot that ended as planned is clean.
ALTER TABLE boots ADD COLUMN clean INTEGER NOT NULL DEFAULT 0;
