package store_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mortise/core/sdk"
	"mortise/core/store"
	"mortise/core/tunnel"
)

// hostDir, in the environment, makes this test program a host in a process of its own: it serves a store with the module blog on a socket
// in that folder until its standard input ends.
const hostDir = "MORTISE_TEST_HOST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hostDir); dir != "" {
		if err := serveHost(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveHost(dir string) error {
	// No test is around, so nothing of testing.T is at hand.
	background := contextOfProcess()
	s, err := store.Open(background, store.Options{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		return err
	}
	defer s.Close()
	tun := s.Tunnel(store.TunnelOptions{Module: "blog", Tables: []string{"blog_posts"}, Bearer: bearer, MigrateBearer: migrateBearer})
	defer tun.Close()
	l, err := net.Listen("unix", filepath.Join(dir, "store.sock"))
	if err != nil {
		return err
	}
	go func() { _ = tun.Serve(l) }() // ends with the process
	if err := serveTransports(dir); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startHost starts a host process and gives its folder and the process.
func startHost(t testing.TB) (dir string, host *exec.Cmd) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tun")
	if err != nil {
		t.Fatal(err)
	}
	host = exec.Command(os.Args[0], "-test.run=^$") //nolint:noctx // ended below, by its standard input
	host.Env = append(os.Environ(), hostDir+"="+dir)
	host.Stderr = os.Stderr
	in, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = host.Wait() // a test may have killed it
		_ = os.RemoveAll(dir)
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	return dir, host
}

func migrateBlog(t testing.TB, socket string) {
	t.Helper()
	_, err := tunnel.Migrate(t.Context(), tunnel.Options{Socket: socket, Bearer: migrateBearer}, nil, []sdk.Migration{
		sqlStep(1, `CREATE TABLE blog_posts (id INTEGER PRIMARY KEY, title TEXT, rating REAL, live BOOLEAN, at DATETIME)`)})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStore_LosesNothingWhenTheHostIsKilledInATransaction(t *testing.T) {
	t.Parallel()
	dir, host := startHost(t)
	socket := filepath.Join(dir, "store.sock")
	migrateBlog(t, socket)
	db := sql.OpenDB(tunnel.NewConnector(tunnel.Options{Socket: socket, Bearer: bearer}))
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO blog_posts (title) VALUES ('kept')`); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`INSERT INTO blog_posts (title) VALUES ('lost')`); err != nil {
		t.Fatal(err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err == nil {
		t.Fatal("the commit claims success")
	}
	again, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var titles []string
	if err := again.Read(t.Context()).Raw(`SELECT title FROM blog_posts`).Scan(&titles).Error; err != nil || len(titles) != 1 || titles[0] != "kept" {
		t.Fatalf("%v %v", titles, err)
	}
}

func TestStore_SurvivesAStatementThatWantsGigabytes(t *testing.T) {
	t.Parallel()
	dir, _ := startHost(t) // in a process of its own, because SQLite's memory is limited by process
	db := sql.OpenDB(tunnel.NewConnector(tunnel.Options{Socket: filepath.Join(dir, "store.sock"), Bearer: bearer}))
	defer db.Close()
	for range 3 {
		if _, err := db.Exec(`SELECT ` + strings.Repeat(`zeroblob(16000000), `, 400) + `1`); err == nil {
			t.Fatal("a row of 6 GB went through")
		}
		var n int
		if err := db.QueryRow(`SELECT 7`).Scan(&n); err != nil || n != 7 {
			t.Fatalf("%d %v", n, err)
		}
	}
}

// BenchmarkProcess is BenchmarkQuery with host and module in two processes, as on a site.
//
//	go test ./core/store -run '^$' -bench Process -benchtime 2s
func BenchmarkProcess(b *testing.B) {
	dir, _ := startHost(b)
	socket := filepath.Join(dir, "store.sock")
	migrateBlog(b, socket)
	db := sql.OpenDB(tunnel.NewConnector(tunnel.Options{Socket: socket, Bearer: bearer}))
	defer db.Close()
	db.SetMaxIdleConns(8)
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		if _, err := tx.Exec(`INSERT INTO blog_posts (title, rating, live, at) VALUES (?, ?, ?, '2026-01-02 03:04:05')`,
			fmt.Sprintf("The title of post %d", i), float64(i)/3, i%2 == 0); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 50, 1000} {
		b.Run(fmt.Sprintf("%drows", n), func(b *testing.B) {
			for b.Loop() {
				queryPosts(b, db, n)
			}
		})
	}
	b.Run("insert", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Exec(`INSERT INTO blog_posts (title) VALUES ('x')`); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("transaction", func(b *testing.B) {
		for b.Loop() {
			tx, err := db.Begin()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := tx.Exec(`INSERT INTO blog_posts (title) VALUES ('x')`); err != nil {
				b.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
