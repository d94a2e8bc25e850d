-- People, what they may do, and who is signed in. Times are UTC. Ids of people are never given out twice, because modules keep
-- them: hence AUTOINCREMENT.

CREATE TABLE core_users (
  id                  INTEGER PRIMARY KEY AUTOINCREMENT,
  name                TEXT     NOT NULL,
  name_key            TEXT     NOT NULL,            -- lower case, for search and order
  email               TEXT     NOT NULL UNIQUE,     -- normalised
  password            TEXT     NOT NULL DEFAULT '', -- argon2id in PHC form; '' when none was chosen yet
  locale              TEXT     NOT NULL DEFAULT 'en',
  time_zone           TEXT     NOT NULL DEFAULT 'UTC',
  blocked             BOOLEAN  NOT NULL DEFAULT FALSE,
  created_at          DATETIME NOT NULL,
  last_seen_at        DATETIME,
  password_changed_at DATETIME
);
CREATE INDEX core_users_name ON core_users (name_key, id);
CREATE INDEX core_users_created ON core_users (created_at, id);
CREATE INDEX core_users_seen ON core_users (last_seen_at, id);

CREATE TABLE core_roles (
  id          TEXT     PRIMARY KEY,
  title       TEXT     NOT NULL,
  description TEXT     NOT NULL DEFAULT '',
  built_in    BOOLEAN  NOT NULL DEFAULT FALSE,
  created_at  DATETIME NOT NULL
);
INSERT INTO core_roles (id, title, description, built_in, created_at) VALUES
  ('administrator', 'Administrator', 'May do everything.', TRUE, '2020-01-01 00:00:00+00:00'),
  ('customer', 'Customer', 'Everybody who registers.', TRUE, '2020-01-01 00:00:00+00:00');

CREATE TABLE core_user_roles (
  user_id INTEGER NOT NULL REFERENCES core_users (id) ON DELETE CASCADE,
  role    TEXT    NOT NULL REFERENCES core_roles (id) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role)
);
CREATE INDEX core_user_roles_role ON core_user_roles (role, user_id);

-- The administrator role has no rows here: it may do everything.
CREATE TABLE core_role_permissions (
  role       TEXT NOT NULL REFERENCES core_roles (id) ON DELETE CASCADE,
  permission TEXT NOT NULL,
  PRIMARY KEY (role, permission)
);

-- id is the SHA-256 of the token in the cookie, in hexadecimal.
CREATE TABLE core_sessions (
  id           TEXT     PRIMARY KEY,
  user_id      INTEGER  NOT NULL REFERENCES core_users (id) ON DELETE CASCADE,
  created_at   DATETIME NOT NULL,
  last_seen_at DATETIME NOT NULL,
  confirmed_at DATETIME NOT NULL, -- when the password (or a one-time link) was last given
  address      TEXT     NOT NULL DEFAULT '',
  agent        TEXT     NOT NULL DEFAULT ''
);
CREATE INDEX core_sessions_user ON core_sessions (user_id);

-- One-time links: set-up, password reset, invitation, sign-in. A used link is deleted. id is the SHA-256 of the token.
CREATE TABLE core_one_time_links (
  id         TEXT     PRIMARY KEY,
  purpose    TEXT     NOT NULL,
  user_id    INTEGER  REFERENCES core_users (id) ON DELETE CASCADE,
  created_at DATETIME NOT NULL,
  expires_at DATETIME NOT NULL
);
CREATE INDEX core_one_time_links_user ON core_one_time_links (user_id, purpose);
CREATE INDEX core_one_time_links_expiry ON core_one_time_links (expires_at);
