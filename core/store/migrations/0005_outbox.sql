-- Facts that were published, and who still has to hear of them. A delivery's row goes away when its subscriber took it.

CREATE TABLE core_outbox (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  key     TEXT     NOT NULL UNIQUE,                -- the same at each delivery, for the subscriber to notice repetitions
  name    TEXT     NOT NULL,
  subject TEXT     NOT NULL,
  source  TEXT     NOT NULL,                       -- the publishing module, or 'host'
  time    DATETIME NOT NULL,
  payload BLOB     NOT NULL
);
CREATE INDEX core_outbox_time ON core_outbox (time);

-- AUTOINCREMENT, because the order of the ids is the order of delivery.
CREATE TABLE core_deliveries (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id      INTEGER  NOT NULL REFERENCES core_outbox (id) ON DELETE CASCADE,
  module        TEXT     NOT NULL,                    -- the subscriber
  subject       TEXT     NOT NULL,                    -- the event's, here for the order per subject
  state         TEXT     NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead')),
  created_at    DATETIME NOT NULL,
  attempts      INTEGER  NOT NULL DEFAULT 0,          -- that failed
  failing_since DATETIME,                             -- of the first of them: waiting for a paused module is not failing
  next_attempt  DATETIME NOT NULL,
  last_error    TEXT     NOT NULL DEFAULT '',
  UNIQUE (event_id, module)
);
CREATE INDEX core_deliveries_queue ON core_deliveries (module, state, id);
CREATE INDEX core_deliveries_held ON core_deliveries (module, subject, next_attempt) WHERE state = 'waiting' AND attempts > 0;
