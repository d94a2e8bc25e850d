package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"mortise/cmd/bench/internal/items"
	"mortise/core/theme"
	"mortise/themes"
)

// single is the page that the module's is compared with: the same queries, theme, template and session check in one process that opens
// the file itself. It has no process boundary, no tunnel, no encoding of views, no route table and no limits.
type single struct {
	db       *gorm.DB
	theme    *theme.Renderer
	key      []byte
	mu       sync.RWMutex
	sessions map[string]theme.Visitor // by the hash of the cookie
	n        atomic.Uint64
}

const singleToken = "bench-session-000000000000000000000000000000"

// runBaseline serves until its standard input ends. args: the folder of its file, the folder of the module's templates.
func runBaseline(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("expected two folders")
	}
	s, err := newSingle(args[0], os.DirFS(args[1]))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, DisableDefaultContentType: true})
	app.Get("/bench/items", s.page)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent closes it or is gone
		_ = app.Shutdown()
	}()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": "http://" + listener.Addr().String()}); err != nil {
		return err
	}
	return app.Listener(listener)
}

func newSingle(folder string, templates fs.FS) (*single, error) {
	db, err := gorm.Open(sqlite.Open("file:"+filepath.Join(folder, "single.db")+"?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=5000"), &gorm.Config{
		NamingStrategy: schema.NamingStrategy{TablePrefix: "bench_", IdentifierMaxLength: 64}, SkipDefaultTransaction: true, PrepareStmt: true,
		Logger: logger.Discard,
	})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(8)
	pool.SetMaxIdleConns(8)
	if err := db.AutoMigrate(&items.Item{}); err != nil {
		return nil, err
	}
	if err := items.Fill(db, items.Rows); err != nil {
		return nil, err
	}
	r, err := theme.New(theme.Options{Themes: []fs.FS{themes.FS}, Config: theme.Config{Modules: []theme.Module{{ID: "bench", Templates: templates}}}})
	if err != nil {
		return nil, err
	}
	can := func(p string) bool { return p == "bench.view" || p == "linking.link" || p == "devices.view" }
	return &single{db: db, theme: r, key: []byte("thirty-two bytes that nobody has"), sessions: map[string]theme.Visitor{
		hashed(singleToken): {UserID: 2, Name: "Ann 0", Location: time.UTC, Can: can},
	}}, nil
}

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (s *single) page(c *fiber.Ctx) error {
	s.mu.RLock()
	who, ok := s.sessions[hashed(c.Cookies("session"))]
	s.mu.RUnlock()
	if !ok || !who.Can("bench.view") {
		return c.SendStatus(fiber.StatusForbidden)
	}
	queries, err := strconv.Atoi(c.Query("queries", "1"))
	if err != nil {
		return c.SendStatus(fiber.StatusBadRequest)
	}
	list, looked, err := items.Page(context.Background(), s.db, queries, s.n.Add(1))
	if err != nil {
		return err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(c.Cookies("session")))
	nonce := base64.RawURLEncoding.EncodeToString(random[:])
	page := theme.Page{
		Surface: theme.SurfaceSite, Module: "bench", Template: "list", Title: "Sensors", Path: "/bench/items", Now: time.Now(), Nonce: nonce,
		CSRF: base64.RawURLEncoding.EncodeToString(mac.Sum(random[:])), RequestID: hex.EncodeToString(random[:8]), Visitor: who,
		Data:  map[string]any{"items": plainItems(list), "looked": plainItems(looked)},
		Site:  theme.Site{Name: "Mortise", PublicURL: "http://127.0.0.1", Registration: true},
		Menus: singleMenus(),
	}
	c.Response().Header.SetContentType(fiber.MIMETextHTMLCharsetUTF8)
	c.Response().Header.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'self'; img-src 'self' data:")
	c.Response().Header.Set(fiber.HeaderCacheControl, "private, no-cache")
	c.Response().Header.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return s.theme.Render(c.Response().BodyWriter(), &page)
}

// plainItems gives rows in the shape that templates take without a way through JSON.
func plainItems(list []items.Item) []any {
	out := make([]any, len(list))
	for i := range list {
		v := items.ViewOf(&list[i])
		out[i] = map[string]any{
			"id": v.ID, "title": v.Title, "note": v.Note, "owner": v.Owner, "state": v.State, "tone": v.Tone, "value": v.Value,
			"updated_at": v.UpdatedAt.Format(time.RFC3339Nano),
		}
	}
	return out
}

func singleMenus() map[string][]theme.MenuItem {
	return map[string][]theme.MenuItem{
		"main": {
			{Title: "Devices", Path: "/devices", Icon: "device"}, {Title: "Sensors", Path: "/bench/items", Icon: "gauge", Active: true},
			{Title: "Sensors", Path: "/spare01/items", Icon: "gauge"},
		},
		"account": {{Title: "Linked accounts", Path: "/linking", Icon: "link"}},
	}
}
