package main_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // looks into the store beside the host
)

// hostileProgram builds the program of testdata/hostile beside the host's.
var hostileProgram = sync.OnceValues(func() (string, error) {
	host, err := program()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(host), "hostile")
	build := exec.Command("go", "build", "-o", path, "./testdata/hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the hostile module: %w\n%s", err, out)
	}
	return path, nil
})

// hostileFolder makes a plugins folder with some of the modules of testdata/hostile.
func hostileFolder(t testing.TB, ids ...string) string {
	t.Helper()
	built, err := hostileProgram()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, id := range ids {
		if err := os.CopyFS(filepath.Join(folder, id), os.DirFS(filepath.Join("testdata", "hostile", id))); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(built, filepath.Join(folder, id, id)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// hostileWorld is a demo with the named modules enabled beside linking and devices.
func hostileWorld(t testing.TB, ids ...string) *world {
	t.Helper()
	own, err := filepath.Abs("../../plugins")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "--plugins", hostileFolder(t, ids...)+string(filepath.ListSeparator)+own)
	for _, id := range ids {
		if id == "migrant" {
			continue // what it is about is that it cannot be enabled
		}
		if out, err := w.command("module", "enable", id); err != nil {
			t.Fatalf("enable %s: %v\n%s", id, err, out)
		}
	}
	return w
}

// on is the same world for a part of a test: what fails there, fails there.
func (w *world) on(t testing.TB) *world {
	part := *w
	part.t = t
	return &part
}

// try is do for answers that may break off.
func (v *visitor) try(method, path string, header http.Header) (answer, error) {
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, nil)
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := v.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return answer{status: response.StatusCode, header: response.Header, body: string(body), location: response.Header.Get("Location")}, err
}

// patiently opens a page of a module, again and again while too many of its pages are open: other parts of the test do their worst at
// the same time.
func (v *visitor) patiently(path string, header http.Header) (a answer, err error) {
	v.t.Helper()
	eventually(v.t, 30*time.Second, "there is room for "+path, func() bool {
		a, err = v.try(http.MethodGet, path, header)
		return err != nil || a.status != http.StatusTooManyRequests
	})
	return a, err
}

// order has a module run a command of the test and gives its answer.
func (v *visitor) order(path string, fields ...string) (out struct {
	Error  string           `json:"error"`
	Claim  string           `json:"claim"`
	Value  string           `json:"value"`
	Status int              `json:"status"`
	OK     int              `json:"ok"`
	Failed int              `json:"failed"`
	Last   string           `json:"last"`
	Out    map[string]any   `json:"out"`
	Heard  []map[string]any `json:"heard"`
	Rows   []map[string]any `json:"batches"`
}) {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	reads := path == "/hostile/do/sql" || path == "/neighbour/do/heard" || path == "/neighbour/do/batches"
	if query := path + "?" + form.Encode(); reads && len(query) < 8000 {
		a := v.do(http.MethodGet, query, nil, http.Header{"Accept": {"*/*"}}) // changes are counted for each address, reading is not
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
			v.t.Fatalf("%s %v answered %v", path, fields, a)
		}
		return out
	}
	form.Set("_csrf", v.csrf)
	a := v.do(http.MethodPost, path, strings.NewReader(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"*/*"}})
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		v.t.Fatalf("%s %v answered %v", path, fields, a)
	}
	return out
}

// healthy fails the test unless the host answers, its other modules do, and people can sign in.
func (w *world) healthy(after string) {
	w.t.Helper()
	select {
	case <-w.exited:
		w.t.Fatalf("after %s: the host is dead", after)
	default:
	}
	v := w.visit()
	if a, err := v.try("GET", "/healthz", nil); err != nil || a.status != http.StatusOK || a.body != "ok\n" {
		w.t.Fatalf("after %s: /healthz answered %v, %v", after, a, err)
	}
	if a, err := v.try("GET", "/neighbour", nil); err != nil || a.status != http.StatusOK || !strings.Contains(a.body, " event") {
		w.t.Errorf("after %s: the neighbour answered %v, %v", after, a, err)
	}
}

// signsIn fails the test unless a customer can sign in and use a page of another module.
func (w *world) signsIn(after string) {
	w.t.Helper()
	w.healthy(after)
	if a := w.customer().get("/linking"); a.status != http.StatusOK {
		w.t.Errorf("after %s: /linking answered %v", after, a)
	}
}

// vitals are what a host must not lose control of.
type vitals struct {
	rss, peak  int64 // bytes
	files      int
	goroutines int
}

func (w *world) vitals() (now vitals) {
	w.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	scanner := bufio.NewScanner(bytes.NewReader(status))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now.rss = kib << 10
		case "VmHWM:":
			now.peak = kib << 10
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	now.files = len(open)
	metrics, err := w.visit().try("GET", "/metrics", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.SplitSeq(metrics.body, "\n") {
		if text, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			now.goroutines, _ = strconv.Atoi(text)
		}
	}
	if now.rss == 0 || now.peak == 0 || now.goroutines == 0 {
		w.t.Fatalf("vitals are missing: %+v", now)
	}
	return now
}

// grownLittle fails unless the host came back to what it was before, with its memory never above a bound.
func (w *world) grownLittle(before vitals, peak int64) {
	w.t.Helper()
	var after vitals
	deadline := time.Now().Add(20 * time.Second)
	for {
		after = w.vitals()
		if after.files <= before.files+40 && after.goroutines <= before.goroutines+60 {
			break
		}
		if time.Now().After(deadline) {
			w.t.Errorf("the host has grown from %+v to %+v", before, after)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if after.peak > peak {
		w.t.Errorf("the host took %d MiB at most, want at most %d", after.peak>>20, peak>>20)
	}
	w.t.Logf("vitals before %+v, after %+v", before, after)
}

// sqlite asks the store's file itself, beside the host or after its end: one line a row, values with | between them.
func sqlite(t testing.TB, w *world, queries string) (string, error) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(w.data, "site.db")+"?mode=ro&_busy_timeout=10000")
	if err != nil {
		return "", err
	}
	defer db.Close()
	var out strings.Builder
	for query := range strings.SplitSeq(queries, ";") {
		if strings.TrimSpace(query) == "" {
			continue
		}
		if err := dump(t, db, query, &out); err != nil {
			return "", fmt.Errorf("%s: %w", query, err)
		}
	}
	return out.String(), nil
}

func dump(t testing.TB, db *sql.DB, query string, out *strings.Builder) error {
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, value := range values {
			if i > 0 {
				out.WriteByte('|')
			}
			if text, ok := value.([]byte); ok {
				value = string(text)
			}
			fmt.Fprint(out, value)
		}
		out.WriteByte('\n')
	}
	return rows.Err()
}
