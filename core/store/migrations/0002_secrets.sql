-- Sealed values, and the site's own settings. Nothing here is readable without the key, which lives outside the store.

CREATE TABLE core_secrets (
  owner      TEXT     NOT NULL, -- a module's id, or "host"
  name       TEXT     NOT NULL,
  key        TEXT     NOT NULL,
  sealed     TEXT     NOT NULL, -- see core/secret
  updated_at DATETIME NOT NULL,
  PRIMARY KEY (owner, name, key)
);

CREATE TABLE core_site_settings (
  key        TEXT     PRIMARY KEY,
  value      TEXT     NOT NULL,
  updated_at DATETIME NOT NULL
);
