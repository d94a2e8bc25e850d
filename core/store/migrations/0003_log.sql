-- The site's log. Read newest first, so every index ends in the id.

CREATE TABLE core_log (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  time       DATETIME NOT NULL,
  severity   INTEGER  NOT NULL,            -- as in log/slog: -4 debug, 0 info, 4 warning, 8 error
  source     TEXT     NOT NULL,            -- "host" or a module's id
  message    TEXT     NOT NULL,
  attrs      TEXT     NOT NULL DEFAULT '', -- a JSON object, or '' when there are none
  request_id TEXT     NOT NULL DEFAULT ''
);
CREATE INDEX core_log_time ON core_log (time);
CREATE INDEX core_log_source ON core_log (source, id);
CREATE INDEX core_log_severe ON core_log (id, severity) WHERE severity >= 4;
CREATE INDEX core_log_request ON core_log (request_id, id) WHERE request_id <> '';
