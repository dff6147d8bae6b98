-- From version 5: a long queue is counted and its head found without walking it.
CREATE INDEX jobs_line ON jobs (turn, id) WHERE status = 'queued' AND cached = 0 AND phase != 'deliver';
CREATE INDEX jobs_converted ON jobs (turn, id) WHERE status = 'queued' AND cached = 0 AND phase = 'deliver';
CREATE INDEX jobs_suspect ON jobs (status) WHERE crashes > 0 AND status IN ('queued', 'running');
-- One row: how many jobs wait.
CREATE TABLE waiting (count INTEGER NOT NULL) STRICT;
CREATE TRIGGER waiting_came AFTER INSERT ON jobs WHEN NEW.status = 'queued'
    BEGIN UPDATE waiting SET count = count + 1; END;
CREATE TRIGGER waiting_changed AFTER UPDATE OF status ON jobs WHEN (OLD.status = 'queued') != (NEW.status = 'queued')
    BEGIN UPDATE waiting SET count = count + (NEW.status = 'queued') - (OLD.status = 'queued'); END;
CREATE TRIGGER waiting_went AFTER DELETE ON jobs WHEN OLD.status = 'queued'
    BEGIN UPDATE waiting SET count = count - 1; END;
INSERT INTO waiting SELECT COUNT(*) FROM jobs WHERE status = 'queued';
CREATE INDEX days_past ON days (day);
