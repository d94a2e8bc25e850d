package core_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rule says what the files of one folder may import: of ours (folders below the module's root), and which libraries nobody
// else may import. Tests may import more; what they must not is checked by the compiler.
type rule struct {
	ours []string // "core/fault"; a name that ends in "/..." takes everything below
	only []string // outside packages (prefixes) that this folder may import although they are guarded
}

// guarded libraries belong to the folders that name them: everywhere else they are refused.
var guarded = []string{
	"github.com/hashicorp/go-plugin", "google.golang.org/grpc", "google.golang.org/protobuf", "github.com/hashicorp/go-hclog",
	"github.com/mattn/go-sqlite3", "gorm.io/driver/sqlite", "gorm.io/gorm",
	"github.com/gofiber/fiber", "github.com/gofiber/template", "github.com/valyala/fasthttp",
	"github.com/prometheus/client_golang", "github.com/wneessen/go-mail", "golang.org/x/oauth2",
}

var gorm = []string{"gorm.io/gorm"}

// rules is who may import whom. A folder without a line fails: say what it may know when you add it.
var rules = map[string]rule{
	"core/fault":                             {},
	"core/sdk":                               {ours: []string{"core/fault"}},
	"core/sdk/sdkdb":                         {ours: []string{"core/sdk", "core/fault", "core/tunnel"}, only: []string{"gorm.io/gorm", "gorm.io/driver/sqlite"}},
	"core/manifest":                          {ours: []string{"core/fault"}},
	"core/tunnel":                            {ours: []string{"core/sdk", "core/fault"}},
	"core/store":                             {ours: []string{"core/fault", "core/tunnel"}, only: []string{"gorm.io/gorm", "gorm.io/driver/sqlite", "github.com/mattn/go-sqlite3"}},
	"core/wire":                              {ours: []string{"core/sdk", "core/fault", "core/manifest", "core/tunnel", "core/wire/modulepb"}, only: []string{"github.com/hashicorp", "google.golang.org"}},
	"core/wire/modulepb":                     {only: []string{"google.golang.org"}},
	"core/wire/modulepb/gen":                 {only: []string{"google.golang.org"}},
	"core/supervisor":                        {ours: []string{"core/sdk", "core/fault", "core/manifest", "core/wire"}, only: []string{"github.com/valyala/fasthttp"}},
	"core/secret":                            {ours: []string{"core/store", "core/fault"}, only: gorm},
	"core/identity":                          {ours: []string{"core/store", "core/fault", "core/sdk"}, only: gorm},
	"core/mail":                              {ours: []string{"core/fault"}, only: []string{"github.com/wneessen/go-mail"}},
	"core/logbook":                           {ours: []string{"core/store", "core/fault", "core/sdk"}, only: gorm},
	"core/config":                            {ours: []string{"core/fault", "core/store"}, only: gorm},
	"core/build":                             {ours: []string{"core/fault"}},
	"core/catalogue":                         {ours: []string{"core/store", "core/fault", "core/manifest", "core/sdk"}, only: gorm},
	"core/router":                            {ours: []string{"core/fault", "core/manifest"}},
	"core/outbox":                            {ours: []string{"core/store", "core/fault", "core/sdk", "core/manifest"}, only: gorm},
	"core/jobs":                              {ours: []string{"core/store", "core/fault", "core/manifest"}, only: gorm},
	"core/services":                          {ours: []string{"core/fault", "core/manifest", "core/sdk"}},
	"core/hostapi":                           {ours: []string{"core/fault", "core/manifest", "core/identity", "core/services", "core/store"}},
	"core/theme":                             {ours: []string{"core/fault", "core/sdk", "core/manifest"}, only: []string{"github.com/gofiber/template", "github.com/gofiber/fiber"}},
	"core/help":                              {ours: []string{"core/fault"}},
	"core/help/gen":                          {ours: []string{"core/manifest", "core/theme"}},
	"core/status":                            {},
	"core/control":                           {ours: []string{"core/fault", "core/status"}},
	"core/modules":                           {ours: []string{"core/fault", "core/manifest", "core/sdk", "core/catalogue", "core/router", "core/services", "core/supervisor", "core/theme"}},
	"core/web":                               {ours: []string{"core/fault", "core/sdk", "core/manifest", "core/config", "core/identity", "core/mail", "core/logbook", "core/catalogue", "core/router", "core/outbox", "core/jobs", "core/services", "core/supervisor", "core/theme", "core/help", "core/status", "core/secret", "core/modules", "core/web/upstream"}, only: []string{"github.com/gofiber/fiber", "github.com/valyala/fasthttp", "github.com/prometheus/client_golang"}},
	"core/web/upstream":                      {only: []string{"github.com/valyala/fasthttp"}},
	"core":                                   {ours: []string{"core/...", "themes"}, only: gorm},
	"themes":                                 {},
	"plugins/internal/particle":              {ours: []string{"core/fault"}, only: []string{"golang.org/x/oauth2"}},
	"plugins":                                {ours: []string{"plugins/internal/particle/particletest"}},
	"plugins/internal/tokenapi":              {},
	"plugins/internal/attachapi":             {},
	"plugins/internal/productapi":            {ours: []string{"plugins/internal/particle"}},
	"plugins/internal/moduletest":            {ours: []string{"core/sdk", "core/fault", "core/manifest", "core/router", "core/store", "core/tunnel", "core/identity", "core/services", "core/hostapi"}, only: gorm},
	"plugins/internal/particle/particletest": {},
	"plugins/customers/site":                 {ours: []string{"core/sdk", "core/fault", "plugins/internal/..."}, only: gorm},
	"plugins/customers/history":              {ours: []string{"core/sdk"}, only: gorm},
	"plugins/customers/people":               {ours: []string{"core/sdk", "core/sdk/sdkdb", "core/fault", "plugins/internal/...", "plugins/customers/site", "plugins/customers/history"}, only: gorm},
	"plugins/customers/ownership":            {ours: []string{"core/sdk", "core/sdk/sdkdb", "core/fault", "plugins/internal/...", "plugins/customers/site", "plugins/customers/history", "plugins/customers/people"}, only: gorm},
	"plugins/customers/handover":             {ours: []string{"core/sdk", "core/sdk/sdkdb", "core/fault", "plugins/internal/...", "plugins/customers/site", "plugins/customers/history", "plugins/customers/people", "plugins/customers/ownership"}, only: gorm},
	"plugins/customers/privacy":              {ours: []string{"core/sdk", "core/sdk/sdkdb", "core/fault", "plugins/internal/...", "plugins/customers/site", "plugins/customers/history", "plugins/customers/people", "plugins/customers/ownership"}, only: gorm},
	"cmd/particlesim":                        {ours: []string{"plugins"}},
	"cmd/mortise":                            {ours: []string{"core", "core/help", "core/manifest", "core/build", "core/config", "core/control", "core/fault", "core/status", "plugins"}},
	"cmd/bench/internal/items":               {ours: []string{"core/sdk", "core/sdk/sdkdb"}, only: gorm},
	"cmd/bench/internal/module":              {ours: []string{"core/sdk", "core/sdk/sdkdb", "core/wire", "core/fault", "cmd/bench/internal/items"}, only: gorm},
	"cmd/bench":                              {ours: []string{"core", "core/...", "plugins", "themes", "cmd/bench/internal/items"}, only: guarded},
}

// moduleRule holds for every folder right below plugins/: a module knows the SDK and its own subfolders, never the host and never
// another module.
var moduleRule = rule{ours: []string{"core/sdk", "core/sdk/sdkdb", "core/wire", "core/fault", "plugins/internal/..."}, only: []string{"gorm.io/gorm", "golang.org/x/oauth2"}}

func TestArchitecture_EveryFolderImportsOnlyWhatItsLineAllows(t *testing.T) {
	t.Parallel()
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "data") {
			return filepath.SkipDir
		}
		folder, _ := filepath.Rel(root, path)
		checkFolder(t, path, filepath.ToSlash(folder))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFolder(t *testing.T, path, folder string) {
	t.Helper()
	imports := importsOf(t, path)
	if len(imports) == 0 {
		return
	}
	r, ok := rules[folder]
	if !ok && strings.HasPrefix(folder, "plugins/") && strings.Count(folder, "/") == 1 {
		r, ok = moduleRule, true
	}
	if !ok {
		t.Errorf("%s has no line in the table of this test: say there what it may import", folder)
		return
	}
	for file, list := range imports {
		for _, imported := range list {
			if !r.allows(folder, imported) {
				t.Errorf("%s/%s imports %s, which the line of %s does not allow", folder, file, imported, folder)
			}
		}
	}
}

func (r rule) allows(folder, imported string) bool {
	if inside, ours := strings.CutPrefix(imported, "mortise/"); ours {
		return slices.ContainsFunc(r.ours, func(a string) bool {
			below, tree := strings.CutSuffix(a, "/...")
			return inside == a || tree && strings.HasPrefix(inside, below+"/")
		}) || strings.HasPrefix(inside, folder+"/") && strings.HasPrefix(folder, "plugins/")
	}
	if folder == "core/sdk" || folder == "core/fault" {
		return !strings.Contains(imported, ".") // the standard library alone
	}
	under := func(prefix string) bool { return imported == prefix || strings.HasPrefix(imported, prefix+"/") }
	return !slices.ContainsFunc(guarded, under) || slices.ContainsFunc(r.only, under)
}

// importsOf reads the files itself: a form that asks "go list" in a subprocess is answered from the test cache after a forbidden
// import was added.
func importsOf(t *testing.T, path string) map[string][]string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(path, e.Name()), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = nil
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value) // the parser has read it
			found[e.Name()] = append(found[e.Name()], imported)
		}
	}
	return found
}
