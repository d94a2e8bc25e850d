package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stolen are statements by which a running module could reach beyond its own tables. core/store's tests have more of them; here they go
// through the real process, its real connection and the real store.
var stolen = []string{
	`SELECT * FROM core_users`, `SELECT count(*) FROM core_sessions`, `SELECT * FROM main.core_users`, `SELECT (SELECT email FROM core_users)`,
	`SELECT * FROM CORE_USERS`, `WITH x AS (SELECT * FROM core_users) SELECT * FROM x`, `EXPLAIN SELECT * FROM core_users`, `SELECT * FROM neighbour_rows`,
	`INSERT INTO hostile_rows (text) SELECT email FROM core_users`, `UPDATE hostile_rows SET text = (SELECT email FROM core_users)`,
	`INSERT INTO hostile_rows (text) VALUES ('x') RETURNING (SELECT email FROM core_users)`,
	`INSERT INTO core_user_roles VALUES (2, 'administrator')`, `UPDATE core_users SET email = 'x'`, `DELETE FROM core_sessions`, `DELETE FROM neighbour_rows`,
	`REPLACE INTO core_site_settings VALUES ('site.name', 'x')`, `CREATE TABLE hostile_more (id)`, `CREATE TABLE core_more (id)`, `CREATE TABLE hostile_copy AS SELECT * FROM core_users`,
	`CREATE TEMP TABLE core_users (id)`, `CREATE TEMP TABLE hostile_rows (id)`, `CREATE VIEW hostile_view AS SELECT * FROM core_users`, `CREATE TEMP VIEW hostile_view AS SELECT 1`,
	`CREATE TRIGGER hostile_t AFTER INSERT ON hostile_rows BEGIN DELETE FROM core_users; END`, `CREATE TRIGGER hostile_t AFTER INSERT ON core_log BEGIN DELETE FROM core_users; END`,
	`CREATE TEMP TRIGGER hostile_t AFTER INSERT ON core_log BEGIN DELETE FROM hostile_rows; END`, `CREATE VIRTUAL TABLE hostile_v USING fts5(x)`,
	`CREATE INDEX hostile_i ON core_users (email)`, `DROP TABLE core_users`, `DROP TABLE hostile_rows`, `ALTER TABLE hostile_rows RENAME TO core_stolen`,
	`ALTER TABLE core_users RENAME TO hostile_users`, `ALTER TABLE hostile_rows ADD COLUMN x REFERENCES core_users(id)`, `ATTACH DATABASE 'other.db' AS other`,
	`ATTACH 'file:site.db?mode=rw' AS other`, `DETACH DATABASE main`, `VACUUM`, `VACUUM INTO 'stolen.db'`, `VACUUM main INTO '/tmp/stolen.db'`, `REINDEX`, `ANALYZE`,
	`PRAGMA writable_schema = 1`, `PRAGMA journal_mode = DELETE`, `PRAGMA query_only = 0`, `PRAGMA foreign_keys`, `PRAGMA database_list`, `PRAGMA wal_checkpoint(TRUNCATE)`, `PRAGMA user_version = 5`,
	`PRAGMA key = 'x'`, `PRAGMA temp_store_directory = '/tmp'`, `PRAGMA trusted_schema = 1`, `PRAGMA mmap_size = 99999999999`, `PRAGMA cache_size = 99999999`, `PRAGMA busy_timeout = 0`,
	`PRAGMA locking_mode = EXCLUSIVE`, `PRAGMA recursive_triggers = 1`, `SELECT * FROM pragma_database_list`, `SELECT * FROM pragma_table_info('core_users')`,
	`SELECT load_extension('x')`, `SELECT fts3_tokenizer('simple')`, `SELECT readfile('/etc/passwd')`, `SELECT writefile('/tmp/x', 'y')`, `SELECT edit('x')`, `SELECT * FROM dbstat`, `SELECT * FROM sqlite_dbpage`,
	`UPDATE sqlite_master SET sql = ''`, `DELETE FROM sqlite_sequence`, `SELECT * FROM sqlite_sequence`, `SELECT * FROM sqlite_stat1`,
	`BEGIN`, `BEGIN IMMEDIATE`, `BEGIN EXCLUSIVE`, `COMMIT`, `END`, `ROLLBACK`, `; COMMIT`, `/* */ COMMIT`, `INSERT INTO hostile_rows (text) VALUES ('x'); COMMIT; DELETE FROM core_users`,
	`INSERT INTO hostile_rows (text) VALUES ('x'); ATTACH DATABASE 'other.db' AS other`, `RELEASE SAVEPOINT x`, "-- tunnel: applied", "SELECT 1\x00; DELETE FROM core_users", "",
	strings.Repeat("(", 5000), `SELECT ` + strings.Repeat("1+", 5000) + `1`,
}

// harmless are those of stolen that may go through in some way, because they change and show nothing.
var harmless = map[string]bool{`PRAGMA foreign_keys`: true, "": true}

func TestHostile_NoStatementReachesBeyondTheModulesTables(t *testing.T) {
	t.Parallel()
	w := hostileWorld(t, "neighbour", "hostile")
	v := w.customer()
	if got := v.order("/hostile/do/sql", "mode", "exec", "arg", `INSERT INTO hostile_rows (text) VALUES ('mine')`); got.Error != "" {
		t.Fatal(got.Error)
	}
	before := w.vitals()
	for _, statement := range stolen {
		for _, mode := range []string{"exec", "query", "exec_tx", "query_tx"} {
			got := v.order("/hostile/do/sql", "mode", mode, "arg", statement)
			if got.Error == "" && !harmless[statement] {
				t.Errorf("%s: %.100q went through", mode, statement)
			}
			if strings.HasPrefix(got.Error, "cannot begin") {
				t.Fatalf("%s: %q: %s", mode, statement, got.Error)
			}
			for _, secret := range []string{w.Admin.Email, w.Customer.Email} {
				if strings.Contains(got.Error, secret) {
					t.Errorf("%s: %q answered %q", mode, statement, got.Error)
				}
			}
		}
	}
	w.signsIn("all statements")
	for _, name := range []string{"stolen.db", "other.db"} {
		if found, _ := filepath.Glob(filepath.Join(w.data, "*", "*", name)); len(found) > 0 {
			t.Errorf("made: %v", found)
		}
		if _, err := os.Stat(filepath.Join(w.data, name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	endlessStatements(t, w)
	w.grownLittle(before, peakMemory())
	w.stop()
	if out, err := sqlite(t, w, `PRAGMA integrity_check; PRAGMA foreign_key_check;`); err != nil || strings.TrimSpace(out) != "ok" {
		t.Errorf("integrity: %q, %v", out, err)
	}
}

// endlessStatements has the module keep readers and the writer for as long as the host lets it.
func endlessStatements(t *testing.T, w *world) {
	cross := `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n`
	var group sync.WaitGroup
	for name, order := range map[string][]string{
		"a cross join":                    {"/hostile/do/sql", "mode", "query", "arg", cross},
		"an endless insert":               {"/hostile/do/sql", "mode", "exec", "arg", `INSERT INTO hostile_rows (text) ` + strings.Replace(cross, "count(*)", "max(x)", 1)},
		"a transaction that does no work": {"/hostile/do/hold", "arg", "12s"},
		"a row of a gigabyte":             {"/hostile/do/sql", "mode", "query", "arg", `SELECT zeroblob(1000000000)`},
		"a text of a gigabyte":            {"/hostile/do/sql", "mode", "exec", "arg", `INSERT INTO hostile_rows (text) SELECT replace(hex(zeroblob(300000000)), '00', 'abcdefgh')`},
		"rows without end":                {"/hostile/do/sql", "mode", "query", "arg", strings.Replace(cross, "count(*)", "x, hex(randomblob(1000))", 1)},
	} {
		v := w.customer()
		group.Go(func() {
			begun := time.Now()
			got := v.order(order[0], order[1:]...)
			if got.Error == "" {
				t.Errorf("%s: it went through", name)
			}
			if took := time.Since(begun); took > 45*time.Second {
				t.Errorf("%s took %s", name, took)
			}
			t.Logf("%s, after %s: %s", name, time.Since(begun).Round(time.Millisecond), got.Error)
		})
	}
	v := w.customer()
	for n := range 10 {
		begun := time.Now()
		got := v.order("/neighbour/do/batch", "batch", "1", "size", "3")
		if got.Error != "" && time.Since(begun) < 9*time.Second {
			t.Errorf("write %d of the neighbour: %s", n, got.Error)
		}
		if took := time.Since(begun); took > 25*time.Second {
			t.Errorf("write %d of the neighbour took %s", n, took)
		}
		w.healthy("a write of the neighbour")
	}
	group.Wait()
}

// reaching are migrations of the module migrant that must leave no trace.
var reaching = map[string]string{
	"makes a table that is not listed":  `CREATE TABLE migrant_other (id INTEGER)`,
	"makes a table of the host":         `CREATE TABLE core_extra (id INTEGER)`,
	"makes a table of another module":   `CREATE TABLE linking_extra (id INTEGER)`,
	"renames its table out of reach":    `CREATE TABLE migrant_rows (id INTEGER); ALTER TABLE migrant_rows RENAME TO core_stolen`,
	"renames a table of the host":       `ALTER TABLE core_users RENAME TO migrant_rows`,
	"refers to the people":              `CREATE TABLE migrant_rows (id INTEGER REFERENCES core_users(id))`,
	"refers to them by ON DELETE":       `CREATE TABLE migrant_rows (id INTEGER, u INTEGER, FOREIGN KEY (u) REFERENCES core_users (id) ON DELETE CASCADE)`,
	"copies the people":                 `CREATE TABLE migrant_rows AS SELECT * FROM core_users`,
	"has a trigger":                     `CREATE TABLE migrant_rows (id INTEGER); CREATE TRIGGER migrant_t AFTER INSERT ON migrant_rows BEGIN DELETE FROM migrant_rows; END`,
	"has a trigger on the host's table": `CREATE TRIGGER migrant_t AFTER INSERT ON core_users BEGIN DELETE FROM core_sessions; END`,
	"has a view":                        `CREATE VIEW migrant_rows AS SELECT 1 AS id`,
	"computes with the people":          `CREATE TABLE migrant_rows (id INTEGER CHECK (id IN (SELECT id FROM core_users)))`,
	"indexes the people":                `CREATE INDEX migrant_i ON core_users (name)`,
	"drops a table of the host":         `DROP TABLE core_log`,
	"drops a table of another module":   `DROP TABLE linking_accounts`,
	"attaches":                          `ATTACH DATABASE 'x.db' AS x`,
	"commits by itself":                 `CREATE TABLE migrant_other (id INTEGER); COMMIT`,
	"records what it did not do":        `INSERT INTO core_module_migrations VALUES ('migrant', 1, 'x', '')`,
	"writes the schema":                 `PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = ''`,
	"makes nothing that it lists":       `SELECT load_extension('x')`,
	"ends in the middle":                `exit`,
	"panics":                            `panic`,
}

const neverEnding = `CREATE TABLE migrant_rows (id INTEGER); INSERT INTO migrant_rows WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n`

func TestHostile_AMigrationThatReachesBeyondItsModuleChangesNothing(t *testing.T) {
	t.Parallel()
	folder := hostileFolder(t, "neighbour", "migrant")
	own, err := filepath.Abs("../../plugins")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "--plugins", folder+string(filepath.ListSeparator)+own)
	if out, err := w.command("module", "enable", "neighbour"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	schema := func() string {
		out, err := sqlite(t, w, `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name; SELECT * FROM core_module_migrations; SELECT id, desired FROM core_modules`)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	admin, before := w.admin(), schema()
	for name, migration := range reaching {
		if err := os.WriteFile(filepath.Join(folder, "migrant", "migration"), []byte(migration), 0o644); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		a := admin.post("/admin/modules/migrant/enable")
		if a.status < 400 || a.status == 500 || !strings.Contains(a.body, "migrat") {
			t.Errorf("%s: enabling answered %d\n%.2000s", name, a.status, a.body)
		}
		if after := schema(); after != before {
			t.Errorf("%s: the schema changed from\n%s\nto\n%s", name, before, after)
			before = after
		}
		if m := w.module("migrant"); m.State == "running" || m.PID != 0 {
			t.Errorf("%s: migrant is %+v", name, m)
		}
		w.healthy("a migration that " + name)
		t.Logf("%s: %s, %s", name, time.Since(begun).Round(time.Millisecond), w.module("migrant").Reason)
	}
	if err := os.WriteFile(filepath.Join(folder, "migrant", "migration"), []byte(`CREATE TABLE migrant_rows (id INTEGER PRIMARY KEY)`), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := admin.post("/admin/modules/migrant/enable"); a.status != http.StatusSeeOther {
		t.Errorf("with an honest migration enabling answered %v", a)
	}
	w.signsIn("all migrations")
}
