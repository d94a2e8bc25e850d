package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"

	"mortise/core/tunnel"
)

// sqliteRecursive is an authorizer code that go-sqlite3 does not name. Source: https://sqlite.org/c3ref/c_alter_table.html.
const sqliteRecursive = 33

// authorizer decides, for one connection of one module, what each statement may touch. SQLite asks it while it prepares a statement. It
// denies whatever it does not know. What it lets through although it should not is listed, and closed, in schema.go.
//
// A module can read sqlite_master, because GORM does, and so learn the names and columns of all tables, but not a row of them.
//
// It also notes which tables the statement touches: tunnel.Facts.
type authorizer struct {
	module  string
	owns    func(table string) bool
	indexOf func(index string) (table string) // of the connection's own schema; only in migrate mode
	exists  func(name string) bool            // whether the store has anything of that name
	migrate bool

	host   bool          // the host itself uses the connection: everything is allowed
	facts  *tunnel.Facts // of the statement being prepared; nil when SQLite prepares again by itself
	denied string        // the first thing that was denied, for the message
}

// allowedPragmas only read, and only what is about tables. foreign_keys can be asked for; setting it does nothing.
var allowedPragmas = []string{"table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_keys"}

// check is the callback. The order of arguments differs from code to code: see the table at
// https://sqlite.org/c3ref/c_alter_table.html; ALTER_TABLE alone has the database first.
func (a *authorizer) check(op int, arg1, arg2, arg3 string) int {
	if a.host {
		return sqlite3.SQLITE_OK
	}
	verdict := a.verdict(op, arg1, arg2, arg3)
	if verdict == sqlite3.SQLITE_DENY && a.denied == "" {
		a.denied = describe(op, arg1, arg2)
	}
	return verdict
}

func (a *authorizer) verdict(op int, arg1, arg2, arg3 string) int {
	switch op {
	case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_SAVEPOINT, sqliteRecursive:
		return sqlite3.SQLITE_OK
	case sqlite3.SQLITE_READ:
		return a.read(arg1, arg2)
	case sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE:
		return a.write(op, arg1)
	case sqlite3.SQLITE_FUNCTION:
		return a.function(arg2)
	case sqlite3.SQLITE_PRAGMA:
		return a.pragma(arg1, arg2)
	}
	if a.migrate {
		return a.define(op, arg1, arg2, arg3)
	}
	return sqlite3.SQLITE_DENY
}

// define is about making and changing tables, in migrate mode.
func (a *authorizer) define(op int, arg1, arg2, arg3 string) int {
	switch op {
	case sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE:
		return allow(a.owns(arg1) && arg3 == "main")
	case sqlite3.SQLITE_ALTER_TABLE:
		return allow(a.owns(arg2) && arg1 == "main")
	case sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_DROP_INDEX:
		return allow(a.owns(arg2) && arg3 == "main")
	case sqlite3.SQLITE_REINDEX:
		// By the table it is on, not by its name: a module can name an index as it likes. An index that this very statement makes is
		// not in the schema yet; its own CREATE_INDEX has been asked about.
		table := a.indexOf(arg1)
		return allow(table == "" || a.owns(table))
	}
	return sqlite3.SQLITE_DENY
}

// read decides on a column of a table. The column is empty when none is used, as in count(*): then the table may also be the name of a
// common table expression, which SQLite does not tell apart from a real one.
func (a *authorizer) read(table, column string) int {
	switch {
	case a.owns(table), table == "sqlite_master":
		a.noteRead(table)
		return sqlite3.SQLITE_OK
	case table == "json_each", table == "json_tree": // functions of their arguments alone
		return sqlite3.SQLITE_OK
	case a.migrate && (table == "sqlite_temp_master" || table == "sqlite_sequence"):
		return sqlite3.SQLITE_OK
	case column == "" && !a.exists(table):
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

func (a *authorizer) write(op int, table string) int {
	switch {
	case a.owns(table):
		a.noteWrite(table)
		return sqlite3.SQLITE_OK
	case a.migrate && (table == "sqlite_master" || table == "sqlite_sequence"):
		// CREATE and ALTER do this by themselves. Of the module's own statements SQLite refuses the first without writable_schema, and
		// schema.go finds the second.
		return sqlite3.SQLITE_OK
	case a.migrate && op == sqlite3.SQLITE_UPDATE && table == "sqlite_temp_master":
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

func (a *authorizer) function(name string) int {
	name = strings.ToLower(name)
	switch {
	case allowedFunctions[name]:
		return sqlite3.SQLITE_OK
	case unsteadyFunctions[name]:
		a.unsteady()
		return sqlite3.SQLITE_OK
	case a.migrate && strings.HasPrefix(name, "sqlite_rename_"), a.migrate && name == "sqlite_drop_column":
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

func (a *authorizer) pragma(name, value string) int {
	a.unsteady()
	switch {
	case !slices.Contains(allowedPragmas, name):
		return sqlite3.SQLITE_DENY
	case name == "foreign_keys" && value != "":
		return sqlite3.SQLITE_IGNORE // they stay on
	}
	return sqlite3.SQLITE_OK
}

func allow(ok bool) int {
	if ok {
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

// describe says in words what was denied.
func describe(op int, arg1, arg2 string) string {
	switch op {
	case sqlite3.SQLITE_READ:
		return "read table " + arg1
	case sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE:
		return "write table " + arg1
	case sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE:
		return "create or drop table " + arg1 + " here"
	case sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_DROP_INDEX:
		return "change table " + arg2 + " here"
	case sqlite3.SQLITE_FUNCTION:
		return "use function " + arg2
	case sqlite3.SQLITE_PRAGMA:
		return "use pragma " + arg1
	case sqlite3.SQLITE_TRANSACTION:
		return "begin or end a transaction by a statement"
	case sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH:
		return "use other files"
	case sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_CREATE_TEMP_TRIGGER:
		return "use triggers"
	case sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TEMP_VIEW:
		return "use views"
	case sqlite3.SQLITE_CREATE_VTABLE:
		return "use virtual tables"
	case sqlite3.SQLITE_REINDEX:
		return "rebuild index " + arg1
	case sqlite3.SQLITE_ANALYZE:
		return "analyze tables"
	}
	return fmt.Sprintf("do this (SQLite action %d)", op)
}
