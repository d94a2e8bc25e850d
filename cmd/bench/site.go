package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mortise/core/build"
	"mortise/core/control"
)

// site is a running host with its modules, in a temporary folder.
type site struct {
	options options
	layout  layout
	root    string // of the source tree
	folder  string // everything temporary
	program string // of the host
	cmd     *exec.Cmd
	exited  chan struct{}
	log     lockedBuffer
	url     string
	address string // host:port
	control control.Operations
	cloud   *cloud
	admin   *visitor
	visitor *visitor // a customer
	ann     int64    // the number of the customer's account

	// Of the office.
	product  string   // "workspace/product"
	imported bool     // the customers are there; see importCustomers
	attached []string // ids of the customer's devices; see attachDevices
	friend   *visitor // another customer, of a few devices; see befriend
	friendID int64
}

// person is somebody with an account.
type person struct {
	name, email, password string
	roles                 []string
}

func administrator() person {
	return person{"Ada", "ada@bench.example", "plane-and-chisel", []string{"administrator"}}
}

func customer(n int) person {
	return person{fmt.Sprintf("Ann %d", n), fmt.Sprintf("ann%d@bench.example", n), "porch-lamp-please", []string{"customer"}}
}

// openSite builds and starts everything. Close it, also after an error.
func openSite(ctx context.Context, o options, p place, progress func(string)) (s *site, err error) {
	root, ok := build.Tree()
	if !ok {
		return nil, errors.New("there is no source tree here; run it inside a checkout")
	}
	folder, err := os.MkdirTemp("", "mortise-bench-")
	if err != nil {
		return nil, err
	}
	s = &site{options: o, layout: p.layout(), root: root, folder: folder}
	for _, step := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"building " + s.layout.says, s.build},
		{"starting the site", s.start},
		{"making accounts", s.people},
		{"enabling the modules", func(ctx context.Context) error { return s.layout.furnish(s, ctx) }},
	} {
		progress(step.says)
		if err := step.do(ctx); err != nil {
			return s, fmt.Errorf("%s: %w", step.says, err)
		}
	}
	return s, nil
}

func (s *site) path(parts ...string) string {
	return filepath.Join(append([]string{s.folder}, parts...)...)
}

func (s *site) build(ctx context.Context) error {
	s.program = s.path("mortise")
	if s.options.profile != "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		s.program = self // the same host, with a profiler; see profile.go
	} else if err := build.Program(ctx, s.root, "./cmd/mortise", s.program, true); err != nil {
		return err
	}
	for _, id := range s.layout.modules {
		if err := s.install(ctx, id, filepath.Join("plugins", id)); err != nil {
			return err
		}
	}
	if s.layout.spares == 0 {
		return nil
	}
	if err := s.install(ctx, "bench", filepath.Join("cmd", "bench", "internal", "module")); err != nil {
		return err
	}
	manifest, err := os.ReadFile(s.path("plugins", "bench", "module.yaml"))
	if err != nil {
		return err
	}
	for n := range s.layout.spares {
		if err := s.spare(fmt.Sprintf("spare%02d", n+1), string(manifest)); err != nil {
			return err
		}
	}
	return nil
}

// install makes the folder of a module: manifest, program and templates.
func (s *site) install(ctx context.Context, id, source string) error {
	target := s.path("plugins", id)
	if err := build.Program(ctx, s.root, "./"+filepath.ToSlash(source), filepath.Join(target, id), false); err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(s.root, source, "module.yaml"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(target, "module.yaml"), manifest, 0o644); err != nil {
		return err
	}
	templates := filepath.Join(s.root, source, "templates")
	if _, err := os.Stat(templates); err != nil {
		return nil // it has no pages
	}
	return os.CopyFS(filepath.Join(target, "templates"), os.DirFS(templates))
}

// spare makes a copy of the bench module under another id.
func (s *site) spare(id, manifest string) error {
	target := s.path("plugins", id)
	if err := os.CopyFS(filepath.Join(target, "templates"), os.DirFS(s.path("plugins", "bench", "templates"))); err != nil {
		return err
	}
	manifest = strings.NewReplacer("bench", id, "name: Bench", "name: Spare "+id[len(id)-2:]).Replace(manifest)
	if err := os.WriteFile(filepath.Join(target, "module.yaml"), []byte(manifest), 0o644); err != nil {
		return err
	}
	return os.Link(s.path("plugins", "bench", "bench"), filepath.Join(target, id))
}

func (s *site) start(ctx context.Context) error {
	s.cmd = exec.Command(s.program, "serve", "--data", s.path("data"), "--listen", "127.0.0.1:0", "--plugins", s.path("plugins"), "--log-level", "warn", "--json")
	s.cmd.Env = append(os.Environ(), childVariable+"=host", profileVariable+"="+s.hostProfile())
	s.cmd.Dir = s.folder
	s.cmd.Stderr = &s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	lines := make(chan string, 1)
	s.exited = make(chan struct{})
	go func() { // ends with the process
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			default:
			}
		}
		_ = s.cmd.Wait() // how it ended does not matter: it is stopped or killed
		close(s.exited)
	}()
	select {
	case line := <-lines:
		var ready struct {
			URL string `json:"url"`
		}
		if err := json.Unmarshal([]byte(line), &ready); err != nil {
			return fmt.Errorf("the host printed %q: %w", line, err)
		}
		s.url, s.address = ready.URL, strings.TrimPrefix(ready.URL, "http://")
	case <-s.exited:
		return fmt.Errorf("the host ended before it was ready:\n%s", s.log.String())
	case <-time.After(time.Minute):
		return fmt.Errorf("the host was not ready within a minute:\n%s", s.log.String())
	case <-ctx.Done():
		return ctx.Err()
	}
	s.control, err = control.Dial(ctx, s.path("data"))
	return err
}

func (s *site) people(ctx context.Context) error {
	if _, err := s.account(ctx, administrator()); err != nil {
		return err
	}
	ann, err := s.account(ctx, customer(0))
	if err != nil {
		return err
	}
	s.ann = ann.ID
	s.admin, s.visitor = newVisitor(s.url, 0), newVisitor(s.url, 1)
	if err := s.admin.signIn(ctx, administrator()); err != nil {
		return err
	}
	return s.visitor.signIn(ctx, customer(0))
}

func (s *site) account(ctx context.Context, p person) (control.User, error) {
	return s.control.CreateUser(ctx, control.NewUser{Name: p.name, Email: p.email, Password: p.password, Roles: p.roles})
}

// pids gives the processes of the host and of some modules.
func (s *site) pids(ctx context.Context, modules ...string) ([]int, error) {
	pids := []int{s.cmd.Process.Pid}
	for _, id := range modules {
		m, err := s.control.Module(ctx, id)
		if err != nil {
			return nil, err
		}
		if m.PID == 0 {
			return nil, fmt.Errorf("%s does not run: %s %s", id, m.State, m.Reason)
		}
		pids = append(pids, m.PID)
	}
	return pids, nil
}

// close stops everything and removes the folder.
func (s *site) close() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(os.Interrupt) // it may be gone already
		select {
		case <-s.exited:
		case <-time.After(30 * time.Second):
			_ = s.cmd.Process.Kill()
		}
	}
	if s.cloud != nil {
		s.cloud.stop()
	}
	_ = os.RemoveAll(s.folder) // what stays lies in the temporary folder
}

// lockedBuffer keeps the last of what a process writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const keptLog = 64 << 10 // bytes

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > keptLog {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
