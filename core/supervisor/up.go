package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/wire"
)

// What an administrator can do about a step that failed.
var remedies = map[string]string{
	"verify":    "Accept what it asks for now, enable what it requires, or put its folder and its module.yaml right.",
	"start":     "The module's log says what its program wrote; ask its author if that does not help.",
	"describe":  "Build the module again, so that its program and its module.yaml belong together.",
	"connect":   "The module's log says more. Try again; if it stays so, ask its author.",
	"migrate":   "Its tables are as they were before. Ask its author, with the reason and the module's version.",
	"configure": "Look at its settings and its log, and try again.",
	"check":     "Look at its settings and its log, and try again.",
	"swap":      "Its pages meet those of another module. Disable one of the two.",
}

const (
	remedyQuarantine = "Its log says why. Resume it when the cause is gone."
	remedyBackoff    = "It is started again by itself. Its log says why it ended."
)

// progress writes a report step by step.
type progress struct {
	report Report
	begun  time.Time
	tell   func(Step)
	cause  error // of the failed step
}

func newProgress(module, action string, tell func(Step)) *progress {
	if tell == nil {
		tell = func(Step) {}
	}
	return &progress{report: Report{Module: module, Action: action}, begun: time.Now(), tell: tell}
}

// step does one step. It is false when it failed.
func (p *progress) step(name string, do func() (detail string, err error)) bool {
	p.tell(Step{Name: name, State: StepRunning})
	begin := time.Now()
	detail, err := do()
	s := Step{Name: name, State: StepDone, Detail: detail, Took: time.Since(begin)}
	if err != nil {
		s.State, s.Detail = StepFailed, reasonOf(err)
		p.report.Failed, p.report.Reason, p.report.Remedy, p.cause = name, s.Detail, remedies[name], err
	}
	p.report.Steps = append(p.report.Steps, s)
	p.tell(s)
	return err == nil
}

// reasonOf is an error in words for an administrator, who may read causes too.
func reasonOf(err error) string {
	text := strings.TrimSpace(err.Error())
	if len(text) > 2000 {
		text = text[:2000] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// finish completes the report.
func (p *progress) finish(state State, changed bool) Report {
	p.report.State, p.report.Changed, p.report.Took = state, changed, time.Since(p.begun)
	return p.report
}

// failure is the error that goes with a failed report.
func (p *progress) failure(id string) error {
	var f *fault.Error
	if errors.As(p.cause, &f) && f.Kind != fault.Internal {
		return fmt.Errorf("%s %s: %s: %w", p.report.Action, id, p.report.Failed, p.cause)
	}
	return fault.Wrap(fault.Unavailable, p.cause, "%s could not be started: %s", id, p.report.Reason)
}

// bringUp brings a new process up to the point where it could answer. On a failure it is ended and nothing has changed.
func (u *unit) bringUp(ctx context.Context, p *progress) (*instance, bool) {
	ctx, cancel := context.WithTimeout(ctx, u.s.o.OperationTime)
	defer cancel()
	var spec Spec
	if !p.step("verify", func() (string, error) {
		var err error
		if spec, err = u.s.o.Catalogue.Spec(ctx, u.id); err != nil {
			return "", err
		}
		u.know(spec.Manifest)
		return spec.Manifest.Version, u.checkRequired(ctx, spec.Manifest)
	}) {
		return nil, false
	}
	var i *instance
	if !p.step("start", func() (string, error) {
		process, err := wire.Launch(ctx, u.launchOptions(spec))
		if err != nil {
			return "", err
		}
		i = newInstance(spec.Manifest, process)
		return "process " + strconv.Itoa(process.PID()), nil
	}) {
		return nil, false
	}
	steps := []struct {
		name string
		do   func() (string, error)
	}{
		{"describe", func() (string, error) { return "", compare(spec.Manifest, i.process.Description()) }},
		{"connect", func() (string, error) { return "", u.connect(ctx, i) }},
		{"migrate", func() (string, error) { return u.migrate(ctx, i) }},
		{"configure", func() (string, error) { return "", i.process.Start(ctx) }},
		{"check", func() (string, error) { return u.firstCheck(ctx, i) }},
	}
	for _, s := range steps {
		if !p.step(s.name, s.do) {
			_ = i.end(ctx, false) // the reason is reported already
			return nil, false
		}
	}
	i.ready = u.s.o.Now()
	return i, true
}

func (u *unit) launchOptions(spec Spec) wire.LaunchOptions {
	u.startedAnew()
	version := spec.Manifest.Version
	return wire.LaunchOptions{
		ModuleID: u.id, Program: spec.Program, Digest: spec.Digest, Dir: spec.Dir, RunRoot: u.s.o.RunDir,
		Env:     []string{"GOMEMLIMIT=" + strconv.FormatInt(spec.Manifest.Resources.MemoryBytes(), 10)},
		Log:     func(l wire.Line) { u.line(version, l) },
		HostLog: u.s.o.Log, Services: u.s.o.Services, StartTime: u.s.o.StartTime,
	}
}

// checkRequired refuses a module while one that it requires is not enabled.
func (u *unit) checkRequired(ctx context.Context, m *manifest.Manifest) error {
	if len(m.Requires) == 0 || u.desired == DesiredEnabled {
		return nil // what was enabled once runs on without what it requires; its calls fail
	}
	rows, err := u.s.o.Catalogue.Rows(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for id := range m.Requires {
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.ID == id && r.Desired == DesiredEnabled }) {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		return fault.New(fault.Conflict, "%s requires %s. Enable that first.", m.Name, strings.Join(missing, " and "))
	}
	return nil
}

// compare refuses a program that is not what its manifest says.
func compare(m *manifest.Manifest, d wire.Description) error {
	if d.Contract != sdk.ContractVersion {
		return fault.Wrap(fault.Conflict, wire.ErrIncompatible, "The program was built for version %d of the module contract, this host speaks %d.",
			d.Contract, sdk.ContractVersion)
	}
	if d.ID != m.ID || d.Version != m.Version {
		return fault.New(fault.Conflict, "The program is %s %s, the manifest is of %s %s.", d.ID, d.Version, m.ID, m.Version)
	}
	if d.ManifestDigest != m.Digest() {
		return fault.New(fault.Conflict, "The program was built with another module.yaml than the one in its folder.")
	}
	for _, need := range []struct {
		claimed    bool
		capability string
		words      string
	}{
		{len(m.Pages) > 0, "pages", "pages, but the program has no ServeHTTP"},
		{len(m.Events.Subscribes) > 0, "events", "events to listen to, but the program has no Deliver"},
		{len(m.Jobs) > 0, "jobs", "jobs, but the program has no Run"},
		{len(m.Provides) > 0, "services", "services, but the program has no Call"},
		{len(m.Tables) > 0, "migrations", "tables, but the program has no Migrations"},
	} {
		if need.claimed && !d.Has(need.capability) {
			return fault.New(fault.Conflict, "The manifest claims %s.", need.words)
		}
	}
	return nil
}

// connect opens the doors between the two and hands over the settings.
func (u *unit) connect(ctx context.Context, i *instance) error {
	settings, err := u.s.o.Catalogue.Settings(ctx, u.id)
	if err != nil {
		return err
	}
	c := wire.Connection{Settings: settings, Site: u.s.o.Site()}
	if u.s.o.Tunnel != nil {
		c.StoreBearer = wire.NewToken()
		if i.tunnel, c.StoreSocket, err = i.openStore(u.s.o.Tunnel, TunnelRequest{Bearer: c.StoreBearer}, "store.sock"); err != nil {
			return err
		}
	}
	return i.process.Connect(ctx, c)
}

// migrate has the module bring its tables up to date, over a socket that is closed afterwards.
func (u *unit) migrate(ctx context.Context, i *instance) (detail string, err error) {
	if !i.process.Description().Has("migrations") {
		return "no tables", nil
	}
	applied, err := u.s.o.Applied(ctx, u.id)
	if err != nil {
		return "", err
	}
	socket, bearer := "", wire.NewToken()
	if u.s.o.Tunnel != nil {
		var tunnel Tunnel
		if tunnel, socket, err = i.openStore(u.s.o.Tunnel, TunnelRequest{MigrateBearer: bearer}, "migrate.sock"); err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, tunnel.Close()) }()
	}
	ran, err := i.process.Migrate(ctx, socket, bearer, applied)
	if err != nil {
		return "", err
	}
	names := make([]string, len(ran))
	for n, step := range ran {
		names[n] = step.Name
	}
	if len(names) == 0 {
		return "up to date", nil
	}
	return strings.Join(names, ", "), nil
}

// How long the first check may fail, and how often it is tried.
const (
	firstCheckTime  = 3 * time.Second
	firstCheckPause = 200 * time.Millisecond
)

// firstCheck waits until the module says that it is well.
func (u *unit) firstCheck(ctx context.Context, i *instance) (string, error) {
	deadline := time.Now().Add(firstCheckTime)
	for {
		bounded, cancel := context.WithTimeout(ctx, u.s.o.CheckTime)
		c, err := i.process.Check(bounded)
		cancel()
		if err == nil {
			u.keepCheck(i, c, nil)
			return fmt.Sprintf("%d findings", len(c.Findings)), nil
		}
		if time.Now().After(deadline) {
			return "", err
		}
		select {
		case <-time.After(firstCheckPause):
		case <-i.process.Exited():
			return "", fault.Wrap(fault.Unavailable, err, "The program %s.", i.process.Exit())
		case <-ctx.Done():
			return "", err
		}
	}
}

// serve makes the instance the one that answers.
func (u *unit) serve(i *instance) {
	u.misses = 0
	u.instance.Store(i)
	u.mu.Lock()
	u.status.PID, u.status.Started = i.process.PID(), i.process.StartedAt()
	u.mu.Unlock()
}

// takeDown drains and stops the instance that answers. It is bounded.
func (u *unit) takeDown(ctx context.Context, p *progress) {
	i := u.instance.Load()
	if i == nil {
		return
	}
	i.close()
	_ = p.step("drain", func() (string, error) { return u.drain(ctx, i), nil })
	_ = p.step("stop", func() (string, error) {
		if err := i.end(ctx, true); err != nil {
			return "the module reported: " + reasonOf(err), nil // the process is gone either way
		}
		return i.process.Exit().String(), nil
	})
	u.instance.Store(nil)
	u.forgetProcess()
}

func (u *unit) drain(ctx context.Context, i *instance) string {
	bounded, cancel := context.WithTimeout(ctx, u.s.o.DrainTime)
	defer cancel()
	told, cancelTold := context.WithTimeout(bounded, time.Second)
	defer cancelTold()
	if err := i.process.Drain(told); err != nil {
		u.s.o.Log.Warn("a module does not answer to drain", "module", u.id, "error", err)
	}
	if err := i.drain(bounded); err != nil {
		return fmt.Sprintf("%d requests were cut off", i.inflight.Load())
	}
	return "nothing was cut off"
}

func (u *unit) forgetProcess() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.PID, u.status.Started = 0, time.Time{}
	u.status.RSS, u.status.PSS, u.status.Threads, u.status.CPU = 0, 0, 0, 0
}
