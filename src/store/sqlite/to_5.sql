-- From version 4: a look that crashes is counted.
-- What speaks against files beside their jobs: engines that died while they looked at one.
CREATE TABLE suspects (unique_id TEXT PRIMARY KEY, blame INTEGER NOT NULL, until INTEGER NOT NULL) STRICT;
