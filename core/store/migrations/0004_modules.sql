-- What the administrator decided about modules. What lies in the plugin folders only proposes; a row here decides.

CREATE TABLE core_modules (
  id                TEXT     NOT NULL PRIMARY KEY,
  version           TEXT     NOT NULL,             -- of the accepted manifest
  digest            TEXT     NOT NULL,             -- of the accepted manifest
  manifest          TEXT     NOT NULL,             -- the accepted manifest as JSON: removal works when the folder is gone
  desired           TEXT     NOT NULL CHECK (desired IN ('enabled', 'paused', 'none')),
  enabled_at        DATETIME,
  enabled_by        TEXT     NOT NULL DEFAULT '',
  changed_at        DATETIME NOT NULL,
  changed_by        TEXT     NOT NULL DEFAULT '',
  quarantined_at    DATETIME,
  quarantine_reason TEXT     NOT NULL DEFAULT ''
);

CREATE TABLE core_module_settings (
  module     TEXT     NOT NULL,
  key        TEXT     NOT NULL,
  value      TEXT     NOT NULL,                    -- JSON, or a sealed text
  sealed     BOOLEAN  NOT NULL DEFAULT FALSE,
  changed_at DATETIME NOT NULL,
  changed_by TEXT     NOT NULL DEFAULT '',
  PRIMARY KEY (module, key)
) WITHOUT ROWID;

-- Written by the tunnel in the transaction that migrates, so that a step and its mark are there together or not at all.
CREATE TABLE core_module_migrations (
  module     TEXT     NOT NULL,
  number     INTEGER  NOT NULL,
  name       TEXT     NOT NULL,
  applied_at DATETIME NOT NULL,
  PRIMARY KEY (module, number)
) WITHOUT ROWID;
