package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests of this folder start the same program as the operator does and talk to it as people and programs do: over HTTP, by
// signals, with the command line.

var program = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "mortise-test-program-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "mortise")
	if err := watchModules(); err != nil {
		return "", err
	}
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// watchModules looks at every file of the modules and themes: the test cache notices what a test looks at, and these tests run
// programs that the compiler does not see in this package.
func watchModules() error {
	for _, root := range []string{"../../plugins", "../../themes"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if err == nil && d.Name() == "bin" {
					return filepath.SkipDir
				}
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			return fmt.Errorf("look at the modules: %w", err)
		}
	}
	return nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// ready is the line of JSON that demo prints.
type ready struct {
	URL   string `json:"url"`
	Admin struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	} `json:"admin"`
	Customer struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	} `json:"customer"`
	Particle struct {
		URL          string `json:"url"`
		Email        string `json:"email"`
		Password     string `json:"password"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	} `json:"particle"`
}

// world is one running demo site.
type world struct {
	ready
	t       testing.TB
	data    string
	cmd     *exec.Cmd
	exited  chan struct{}
	logs    *lockedBuffer
	program string
	setup   string // the set-up link, of a site that was started by serve
}

// newWorld starts a demo in a fresh folder.
func newWorld(t testing.TB, flags ...string) *world {
	t.Helper()
	return startWorld(t, t.TempDir(), flags...)
}

func startWorld(t testing.TB, data string, flags ...string) *world {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: data, exited: make(chan struct{}), logs: &lockedBuffer{}, program: path}
	line := w.start(append([]string{"demo", "--data", data, "--listen", "127.0.0.1:0", "--sim-listen", "127.0.0.1:0", "--json"}, flags...))
	if err := json.Unmarshal(line, &w.ready); err != nil {
		t.Fatalf("demo printed %q: %v", line, err)
	}
	return w
}

// serveSite starts an empty site as an operator does, without modules.
func serveSite(t testing.TB, flags ...string) *world {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: t.TempDir(), exited: make(chan struct{}), logs: &lockedBuffer{}, program: path}
	line := w.start(append([]string{"serve", "--data", w.data, "--listen", "127.0.0.1:0", "--plugins", t.TempDir(), "--json"}, flags...))
	var told struct {
		URL   string `json:"url"`
		Setup string `json:"setup"`
	}
	if err := json.Unmarshal(line, &told); err != nil {
		t.Fatalf("serve printed %q: %v", line, err)
	}
	w.URL, w.setup = told.URL, told.Setup
	return w
}

// start runs the program and gives the line that it prints once it is ready. It ends with the test.
func (w *world) start(args []string) []byte {
	t := w.t
	t.Helper()
	w.cmd = exec.Command(w.program, args...)
	w.cmd.Stderr = w.logs
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() { // ends with the process
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			default:
			}
		}
		_ = w.cmd.Wait()
		close(w.exited)
	}()
	t.Cleanup(w.stop)
	select {
	case line := <-lines:
		return []byte(line)
	case <-w.exited:
		t.Fatalf("%s ended before it was ready:\n%s", args[0], w.logs)
	case <-time.After(6 * time.Minute): // the first start builds the modules
		t.Fatalf("%s was not ready in time:\n%s", args[0], w.logs)
	}
	return nil
}

// stop ends the site as Ctrl-C does.
func (w *world) stop() {
	_ = w.cmd.Process.Signal(os.Interrupt)
	select {
	case <-w.exited:
	case <-time.After(30 * time.Second):
		w.t.Errorf("demo did not stop within 30 s of Ctrl-C:\n%s", w.logs)
		_ = w.cmd.Process.Kill()
	}
	if w.t.Failed() {
		w.t.Logf("the site's log:\n%s", w.logs)
	}
}

// kill ends the host as a power cut does.
func (w *world) kill() {
	_ = w.cmd.Process.Signal(syscall.SIGKILL)
	<-w.exited
}

// command runs the command line on this site's data folder.
func (w *world) command(args ...string) (stdout string, err error) {
	w.t.Helper()
	return w.run(append(args, "--data", w.data)...)
}

// run starts the program with args and waits for its end.
func (w *world) run(args ...string) (stdout string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.Command(w.program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), err
}

// visitor is one browser: it keeps cookies and the CSRF token.
type visitor struct {
	t    testing.TB
	base string
	http *http.Client
	csrf string
}

// visit opens a fresh browser that does not follow redirects by itself: each step of a journey is looked at.
func (w *world) visit() *visitor {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &visitor{t: w.t, base: w.URL, http: &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came back.
type answer struct {
	status   int
	header   http.Header
	body     string
	location string
}

func (a answer) String() string { return fmt.Sprintf("%d %s\n%s", a.status, a.location, a.body) }

var csrfField = regexp.MustCompile(`name="_csrf" value="([^"]+)"`)

func (v *visitor) do(method, path string, body io.Reader, header http.Header) answer {
	v.t.Helper()
	address := path
	if !strings.HasPrefix(path, "http") {
		address = v.base + path
	}
	request, err := http.NewRequestWithContext(v.t.Context(), method, address, body)
	if err != nil {
		v.t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := v.http.Do(request)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	if m := csrfField.FindSubmatch(text); m != nil {
		v.csrf = string(m[1])
	} else if token := response.Header.Get("X-CSRF-Token"); token != "" {
		v.csrf = token
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(text), location: response.Header.Get("Location")}
}

// get opens a page as a browser does.
func (v *visitor) get(path string) answer {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil, http.Header{"Accept": {"text/html"}})
}

// follow opens a page and goes where it redirects to.
func (v *visitor) follow(a answer) answer {
	v.t.Helper()
	for range 10 {
		if a.location == "" {
			return a
		}
		a = v.get(a.location)
	}
	v.t.Fatalf("too many redirects, last to %s", a.location)
	return a
}

// post sends a form with the CSRF token of the page that was seen last.
func (v *visitor) post(path string, fields ...string) answer {
	v.t.Helper()
	form := url.Values{"_csrf": {v.csrf}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"}})
}

// json asks as a program does.
func (v *visitor) json(method, path string, in, out any) answer {
	v.t.Helper()
	var body io.Reader
	header := http.Header{"Accept": {"application/json"}, "X-CSRF-Token": {v.csrf}}
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			v.t.Fatal(err)
		}
		body = bytes.NewReader(text)
		header.Set("Content-Type", "application/json")
	}
	a := v.do(method, path, body, header)
	if out != nil {
		if err := json.Unmarshal([]byte(a.body), out); err != nil {
			v.t.Fatalf("%s %s answered %d, not JSON: %v\n%s", method, path, a.status, err, a.body)
		}
	}
	return a
}

// signIn signs in with the form.
func (v *visitor) signIn(email, password string) *visitor {
	v.t.Helper()
	v.get("/login")
	if a := v.post("/login", "email", email, "password", password); a.status != http.StatusSeeOther {
		v.t.Fatalf("sign in as %s answered %v", email, a)
	}
	v.get("/account") // the token of the new session
	return v
}

func (w *world) admin() *visitor {
	w.t.Helper()
	return w.visit().signIn(w.Admin.Email, w.Admin.Password)
}

func (w *world) customer() *visitor {
	w.t.Helper()
	return w.visit().signIn(w.Customer.Email, w.Customer.Password)
}

var formAction = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
var hidden = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)
var attribute = regexp.MustCompile(`(name|value)="([^"]*)"`)

// link goes through Particle's login and consent pages as a person would, and gives the page that the journey ends on.
func (v *visitor) link(w *world, decision string) answer {
	v.t.Helper()
	if a := v.get("/linking"); a.status != http.StatusOK {
		v.t.Fatalf("/linking answered %v", a)
	}
	a := v.post("/linking/particle/start")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, w.Particle.URL) {
		v.t.Fatalf("start answered %v, want a redirect to %s", a, w.Particle.URL)
	}
	return v.atParticle(w, v.get(a.location), decision)
}

// atParticle fills in the provider's forms until it sends the browser back.
func (v *visitor) atParticle(w *world, a answer, decision string) answer {
	v.t.Helper()
	for range 6 {
		if a.location != "" {
			if strings.HasPrefix(a.location, w.URL) {
				return v.follow(a)
			}
			target := a.location
			if strings.HasPrefix(target, "/") {
				target = w.Particle.URL + target
			}
			a = v.get(target)
			continue
		}
		a = v.submitParticleForm(w, a, decision)
	}
	v.t.Fatalf("the provider did not send the browser back; the last page was %v", a)
	return a
}

func (v *visitor) submitParticleForm(w *world, a answer, decision string) answer {
	v.t.Helper()
	form := formAction.FindStringSubmatch(a.body)
	if form == nil {
		v.t.Fatalf("the provider's page has no form: %v", a)
	}
	values := url.Values{}
	for _, input := range hidden.FindAllString(form[2], -1) {
		var name, value string
		for _, m := range attribute.FindAllStringSubmatch(input, -1) {
			if m[1] == "name" {
				name = m[2]
			} else {
				value = htmlUnescape(m[2])
			}
		}
		values.Set(name, value)
	}
	if strings.Contains(form[2], `type="password"`) {
		values.Set("username", w.Particle.Email)
		values.Set("password", w.Particle.Password)
	} else {
		values.Set("decision", decision)
		values.Set(decision, decision)
	}
	target := htmlUnescape(form[1])
	if !strings.HasPrefix(target, "http") {
		target = w.Particle.URL + target
	}
	return v.do(http.MethodPost, target, strings.NewReader(values.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"}})
}

func htmlUnescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(s)
}

// eventually waits until ok holds, asking every few milliseconds.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// alive tells whether a process exists and is no zombie.
func alive(pid int) bool {
	if pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// lockedBuffer collects what a process writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
