// Package sdkdb gives a module GORM over the site's store. It is plain Go: modules compile with CGO_ENABLED=0.
//
//	db, err := sdkdb.Open(host)
//
//	func (g *Guestbook) Migrations() []sdk.Migration {
//		return []sdk.Migration{
//			sdkdb.Migration(1, "create entries", func(tx *gorm.DB) error { return tx.AutoMigrate(&Entry{}) }),
//		}
//	}
//
// Tables carry the module's id as a prefix: type Entry of module guestbook lives in guestbook_entries. A type of its own TableName must
// write the prefix itself. All tables, also those that GORM makes for many2many, are listed under tables in the manifest.
//
// A single statement is a transaction of its own, so GORM's default transaction around it is off: it would cost another trip to the
// host. Where several statements belong together, use db.Transaction. Keep transactions short: only one module of the site writes at
// a time, and the host rolls back a transaction that idles for 5 seconds or lasts for 30. For reading a consistent picture without
// keeping anybody waiting, use db.Transaction(fn, &sql.TxOptions{ReadOnly: true}).
//
// A step of a migration should make its tables from types that are declared inside it, not from the module's current ones: those change
// later, and the step must not.
package sdkdb
