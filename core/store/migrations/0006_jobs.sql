-- When each job is due next, and what its last runs did.

CREATE TABLE core_jobs (
  module   TEXT    NOT NULL,
  job      TEXT    NOT NULL,
  schedule TEXT    NOT NULL,                       -- as of due_at; another one in the manifest has it computed anew
  due_at   DATETIME,                               -- NULL for manual jobs
  retry_at DATETIME,                               -- after a failure, until it succeeds or gives up
  failures INTEGER NOT NULL DEFAULT 0,             -- in a row
  PRIMARY KEY (module, job)
) WITHOUT ROWID;

CREATE TABLE core_job_runs (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  module      TEXT     NOT NULL,
  job         TEXT     NOT NULL,
  cause       TEXT     NOT NULL CHECK (cause IN ('schedule', 'retry', 'manual')),
  started_by  TEXT     NOT NULL DEFAULT '',        -- who pressed Run now
  started_at  DATETIME NOT NULL,
  ended_at    DATETIME,
  duration_ms INTEGER  NOT NULL DEFAULT 0,
  result      TEXT     NOT NULL CHECK (result IN ('running', 'done', 'failed', 'timeout', 'interrupted')),
  error       TEXT     NOT NULL DEFAULT ''
);
CREATE INDEX core_job_runs_job ON core_job_runs (module, job, id);
