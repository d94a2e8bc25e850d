// Package sdk is what the author of a module imports. It needs the standard library alone.
//
// A module is a program of its own. It says what it is and what it asks for in module.yaml; the host checks that before
// any code runs. The program implements Module and whichever capability it declared:
//
//	http.Handler    pages, under the paths the manifest claims
//	Migrator        tables, made and changed in numbered steps
//	Listener        events of the host and of other modules
//	Worker          jobs
//	Checker         findings for the status page
//	Provider        services to other modules
//	Configurable    hears of changed settings
//	SettingsTester  the Test button of the settings form
//
// A whole module:
//
//	//go:embed module.yaml
//	var manifest []byte
//
//	type Guestbook struct{ host sdk.Host; db *gorm.DB }
//
//	func (g *Guestbook) Start(ctx context.Context, host sdk.Host) (err error) {
//		g.host = host
//		g.db, err = sdkdb.Open(host) // *gorm.DB over the site's store, confined to tables guestbook_*
//		return err
//	}
//
//	func (g *Guestbook) Stop(context.Context) error { return nil }
//
//	func (g *Guestbook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
//		sdk.Render(w, r, sdk.View{Template: "list", Title: "Guestbook", Data: map[string]any{"entries": entries}})
//	}
//
//	func main() { wire.Serve(&Guestbook{}, manifest) }
//
// A program may send a JSON object where a browser sends a form: its texts, numbers and booleans are form values for the handler
// (r.PostFormValue), so one handler serves both.
//
// Stability: within contract version 1 this package only grows. What was added, and since which host, stands in CHANGES.md.
package sdk
