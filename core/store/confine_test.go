package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"gorm.io/gorm"

	"mortise/core/store"
	"mortise/core/tunnel"
)

// coreTables makes what a module must not get at.
func coreTables(t testing.TB, s *store.Store) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TABLE core_secret (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE)`,
		`INSERT INTO core_secret (email) VALUES ('ada@example.com')`,
		`CREATE VIEW core_view AS SELECT email FROM core_secret`,
		`CREATE TABLE blogger_posts (id INTEGER PRIMARY KEY)`,
		`CREATE INDEX core_secret_email ON core_secret (email)`,
	} {
		mustWrite(t, s, sql)
	}
}

// denied are statements that a running module must not get through.
var denied = []string{
	`SELECT email FROM core_secret`,
	`SELECT count(*) FROM core_secret`,
	`SELECT (SELECT email FROM core_secret)`,
	`SELECT * FROM main.core_secret`,
	`SELECT * FROM blog_posts WHERE title IN (SELECT email FROM core_secret)`,
	`WITH x AS (SELECT email FROM core_secret) SELECT * FROM x`,
	`EXPLAIN SELECT email FROM core_secret`,
	`EXPLAIN QUERY PLAN SELECT email FROM core_secret`,
	`SELECT * FROM core_view`,
	`SELECT * FROM blogger_posts`,
	`SELECT * FROM CORE_SECRET`,
	`SELECT * FROM pragma_table_info('core_secret')`,
	`SELECT * FROM dbstat`,
	`SELECT count(*) FROM pragma_database_list`,
	`SELECT 1 FROM core_view`,
	`SELECT count(*) FROM sqlite_sequence`,
	`SELECT 1 FROM blogger_posts`,
	`INSERT INTO blog_posts (title) SELECT email FROM core_secret`,
	`INSERT INTO core_secret (email) VALUES ('x')`,
	`UPDATE core_secret SET email = 'x'`,
	`DELETE FROM core_secret`,
	`REPLACE INTO core_secret (id, email) VALUES (1, 'x')`,
	`UPDATE blog_posts SET title = (SELECT email FROM core_secret)`,
	`INSERT INTO blog_posts (title) VALUES ('x') RETURNING (SELECT email FROM core_secret)`,
	`CREATE TABLE blog_copy AS SELECT * FROM core_secret`,
	`CREATE TABLE blog_new (id INTEGER)`,
	`CREATE TABLE core_new (id INTEGER)`,
	`CREATE TEMP TABLE blog_posts (id INTEGER)`,
	`CREATE TEMP TABLE core_secret (id INTEGER)`,
	`CREATE VIRTUAL TABLE blog_v USING fts4(x)`,
	`CREATE VIEW blog_view AS SELECT 1`,
	`CREATE TEMP VIEW blog_view AS SELECT 1`,
	`CREATE TRIGGER blog_t AFTER INSERT ON blog_posts BEGIN SELECT 1; END`,
	`CREATE TEMP TRIGGER blog_t AFTER INSERT ON blog_posts BEGIN SELECT 1; END`,
	`CREATE INDEX blog_i ON core_secret (email)`,
	`CREATE INDEX blog_i ON blog_posts (title)`,
	`DROP TABLE core_secret`,
	`DROP TABLE blog_posts`,
	`DROP INDEX core_secret_email`,
	`ALTER TABLE core_secret ADD COLUMN x`,
	`ALTER TABLE blog_posts ADD COLUMN x`,
	`ALTER TABLE core_secret RENAME TO blog_secret`,
	`ATTACH DATABASE 'other.db' AS other`,
	`DETACH DATABASE main`,
	`VACUUM`,
	`VACUUM INTO 'stolen.db'`,
	`REINDEX core_secret_email`,
	`REINDEX`,
	`ANALYZE`,
	`PRAGMA writable_schema = 1`,
	`PRAGMA journal_mode = DELETE`,
	`PRAGMA query_only = 0`,
	`PRAGMA database_list`,
	`SELECT * FROM pragma_database_list`,
	`PRAGMA wal_checkpoint`,
	`PRAGMA user_version = 5`,
	`PRAGMA temp_store_directory = '/tmp'`,
	`SELECT load_extension('x')`,
	`SELECT fts3_tokenizer('simple')`,
	`SELECT readfile('/etc/passwd')`,
	`UPDATE sqlite_sequence SET seq = 0`,
	`DELETE FROM sqlite_sequence`,
	`SELECT * FROM sqlite_sequence`,
	`UPDATE sqlite_master SET sql = ''`,
	`DELETE FROM sqlite_master`,
	`BEGIN`,
	`BEGIN IMMEDIATE`,
	`COMMIT`,
	`ROLLBACK`,
	`SAVEPOINT s`,
}

func TestTunnel_DeniesARunningModuleEverythingButItsTables(t *testing.T) {
	t.Parallel()
	s := blog(t)
	coreTables(t, s.store)
	db := s.open(t)
	for _, text := range denied {
		if _, err := db.Exec(text); err == nil {
			t.Errorf("outside a transaction: %s: went through", text)
		}
		if rows, err := db.Query(text); err == nil {
			t.Errorf("as a query: %s: went through", text)
			_ = rows.Close()
		}
		if strings.HasPrefix(text, "SAVEPOINT") {
			continue // fine inside a transaction
		}
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(text); err == nil {
			t.Errorf("in a transaction: %s: went through", text)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM blog_posts`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if n := count(t, s.store, "core_secret"); n != 1 {
		t.Fatalf("core_secret has %d rows", n)
	}
	var objects []string
	s.store.Read(t.Context()).Raw(`SELECT name FROM sqlite_master WHERE name LIKE 'blog!_%' ESCAPE '!' AND type != 'index'`).Scan(&objects)
	if len(objects) != 2 {
		t.Fatalf("objects: %v", objects)
	}
	if s.tunnel.Stats().Denied == 0 {
		t.Fatal("the denials were not counted")
	}
}

// refusedMigrations are migrations of module blog that must leave nothing behind.
var refusedMigrations = map[string][]string{
	"reads core":                     {`CREATE TABLE blog_new (id INTEGER)`, `INSERT INTO blog_new SELECT id FROM core_secret`},
	"copies core":                    {`CREATE TABLE blog_new AS SELECT * FROM core_secret`},
	"creates core":                   {`CREATE TABLE core_new (id INTEGER)`},
	"creates another module's":       {`CREATE TABLE blogger_new (id INTEGER)`},
	"creates by another case":        {`CREATE TABLE Blog_new (id INTEGER)`},
	"creates what is not listed":     {`CREATE TABLE blog_unlisted (id INTEGER)`},
	"drops core":                     {`DROP TABLE core_secret`},
	"drops a core index":             {`DROP INDEX core_secret_email`},
	"drops the migrations' table":    {`DROP TABLE core_module_migrations`},
	"records itself":                 {`INSERT INTO core_module_migrations VALUES ('blog', 9, 'x', '')`},
	"alters core":                    {`ALTER TABLE core_secret ADD COLUMN x`},
	"renames core":                   {`ALTER TABLE core_secret RENAME TO blog_new`},
	"renames its own out of reach":   {`CREATE TABLE blog_new (id INTEGER)`, `ALTER TABLE blog_new RENAME TO core_stolen`},
	"renames to another module":      {`CREATE TABLE blog_new (id INTEGER)`, `ALTER TABLE blog_new RENAME TO blogger_new`},
	"refers to core":                 {`CREATE TABLE blog_new (id INTEGER REFERENCES core_secret(id))`},
	"refers to core by another case": {`CREATE TABLE blog_new (id INTEGER REFERENCES "CORE_Secret"(id))`},
	"indexes core":                   {`CREATE INDEX blog_i ON core_secret (email)`},
	"index with a foreign name":      {`CREATE TABLE blog_new (id INTEGER)`, `CREATE INDEX core_i ON blog_new (id)`},
	"reindexes core":                 {`REINDEX core_secret_email`},
	"reindexes all":                  {`REINDEX`},
	"view":                           {`CREATE VIEW blog_new AS SELECT 1`},
	"trigger":                        {`CREATE TABLE blog_new (id INTEGER)`, `CREATE TRIGGER blog_t AFTER INSERT ON blog_new BEGIN DELETE FROM blog_new; END`},
	"trigger on core":                {`CREATE TRIGGER blog_t AFTER INSERT ON core_secret BEGIN DELETE FROM core_secret; END`},
	"temp table":                     {`CREATE TEMP TABLE blog_new (id INTEGER)`},
	"virtual table":                  {`CREATE VIRTUAL TABLE blog_new USING fts4(x)`},
	"writes the schema":              {`UPDATE sqlite_master SET sql = '' WHERE name = 'core_secret'`},
	"writable schema":                {`PRAGMA writable_schema = 1`},
	"tampers with sequences":         {`UPDATE sqlite_sequence SET seq = 0 WHERE name = 'core_secret'`},
	"removes sequences":              {`DELETE FROM sqlite_sequence WHERE name = 'core_secret'`},
	"attaches":                       {`ATTACH DATABASE 'x.db' AS x`},
	"commits early":                  {`CREATE TABLE blog_unlisted (id INTEGER)`, `COMMIT`},
	"commits early, hidden":          {`CREATE TABLE blog_unlisted (id INTEGER); COMMIT`},
	"loads":                          {`SELECT load_extension('x')`},
	"analyzes":                       {`ANALYZE`},
}

func TestTunnel_RollsBackAMigrationThatReachesBeyondTheModule(t *testing.T) {
	t.Parallel()
	for name, statements := range refusedMigrations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openTunnel(t, openStore(t), "blog", []string{"blog_new"})
			coreTables(t, s.store)
			before := schemaOf(t, s.store)
			err := s.migrate(t, statements...)
			if err == nil {
				t.Error("went through")
			}
			t.Log(err)
			if after := schemaOf(t, s.store); after != before {
				t.Errorf("the schema changed:\n%s\nto\n%s", before, after)
			}
			if n := count(t, s.store, "core_module_migrations"); n != 0 {
				t.Errorf("%d migrations recorded", n)
			}
			mustWrite(t, s.store, `INSERT INTO core_secret (email) VALUES ('bob@example.com')`)
		})
	}
}

func schemaOf(t testing.TB, s *store.Store) string {
	t.Helper()
	var lines []string
	if err := s.Read(t.Context()).Raw(`SELECT name || ': ' || coalesce(sql, '') FROM sqlite_master WHERE name != 'sqlite_sequence' ORDER BY name`).Scan(&lines).Error; err != nil {
		t.Fatal(err)
	}
	var seq []string
	if err := s.Read(t.Context()).Raw(`SELECT name || ' ' || seq FROM sqlite_sequence ORDER BY name`).Scan(&seq).Error; err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(lines, seq...), "\n")
}

func TestTunnel_RefusesForeignKeysSwitchedOff(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`PRAGMA foreign_keys = OFF`); err != nil {
		t.Fatal(err)
	}
	_, err := db.Exec(`INSERT INTO blog_tags (post_id) VALUES (99)`)
	var e *tunnel.Error
	if !errors.As(err, &e) || e.ExtendedCode != 787 {
		t.Fatalf("got %v", err)
	}
}

func TestTunnel_TellsWhenAStatementEndedTheTransaction(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`INSERT INTO blog_posts (id, title) VALUES (1, 'a')`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`INSERT OR ROLLBACK INTO blog_posts (id, title) VALUES (1, 'b')`); err == nil {
		t.Fatal("expected a violated key")
	}
	if s.store.HoldsWriter("blog") {
		t.Fatal("the turn to write was not given back")
	}
	if _, err := tx.Exec(`INSERT INTO blog_posts (id, title) VALUES (2, 'c')`); err == nil {
		t.Fatal("a statement ran outside the transaction")
	}
	if err := tx.Commit(); err == nil {
		t.Fatal("the commit claims success")
	}
	if n := count(t, s.store, "blog_posts"); n != 0 {
		t.Fatalf("%d rows", n)
	}
}

func TestTunnel_KeepsModulesApartWhoseIDsBeginAlike(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	extra := openTunnel(t, st, "blog_extra", []string{"blog_extra_pages"})
	if err := extra.migrate(t, `CREATE TABLE blog_extra_pages (id INTEGER)`); err != nil {
		t.Fatal(err)
	}
	s := openTunnel(t, st, "blog", []string{"blog_posts"})
	for _, sql := range []string{`DROP TABLE blog_extra_pages`, `INSERT INTO blog_extra_pages VALUES (1)`, `SELECT * FROM blog_extra_pages`} {
		if err := s.migrate(t, sql); err == nil {
			t.Errorf("%s: went through", sql)
		}
	}
	if err := s.migrate(t, `CREATE TABLE blog_posts (id INTEGER)`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(t).Exec(`SELECT * FROM blog_extra_pages`); err == nil {
		t.Error("a running module reads another's table")
	}
	rows, err := st.TableRows(t.Context(), "blog")
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v %v", rows, err)
	}
}

func TestTunnel_LetsOnlyThoseInWhoKnowTheBearer(t *testing.T) {
	t.Parallel()
	s := blog(t, func(o *store.TunnelOptions) { o.MigrateBearer = migrateBearer })
	for _, wrong := range []string{"", "x", bearer + "x", bearer[1:]} {
		db := sql.OpenDB(tunnel.NewConnector(tunnel.Options{Socket: s.socket, Bearer: wrong}))
		if err := db.Ping(); err == nil {
			t.Errorf("bearer %q was let in", wrong)
		}
		_ = db.Close()
	}
	if _, err := tunnel.Migrate(t.Context(), s.options(), nil, nil); err != nil {
		t.Error(err) // nothing to do needs no session
	}
	stranger := openTunnel(t, s.store, "shop", nil, func(o *store.TunnelOptions) { o.AllowPID = func(int) bool { return false } })
	if err := stranger.open(t).Ping(); err == nil {
		t.Error("a foreign process was let in")
	}
	// The bearer for running does not migrate, and the one for migrating does nothing else.
	if _, err := tunnel.Migrate(t.Context(), s.options(), nil, stepsOf(`SELECT 1`)); err == nil {
		t.Error("the bearer for running migrates")
	}
	db := sql.OpenDB(tunnel.NewConnector(tunnel.Options{Socket: s.socket, Bearer: migrateBearer}))
	defer db.Close()
	if _, err := db.Exec(`SELECT 1`); err == nil {
		t.Error("the bearer for migrating runs statements outside the migration")
	}
}

func TestTunnel_PublishesInTheModulesTransactionWithTheHostsRights(t *testing.T) {
	t.Parallel()
	woken := make(chan struct{}, 10)
	s := blog(t, func(o *store.TunnelOptions) {
		o.Publish = func(_ context.Context, tx *gorm.DB, module, name, subject string, payload []byte) error {
			return tx.Transaction(func(tx *gorm.DB) error {
				return tx.Exec(`INSERT INTO core_events VALUES (?, ?, ?, ?)`, module, name, subject, string(payload)).Error
			})
		}
		o.OnCommit = func() { woken <- struct{}{} }
	})
	mustWrite(t, s.store, `CREATE TABLE core_events (module TEXT, name TEXT, subject TEXT, payload TEXT)`)
	publishes(t, s, woken)
}
