package wire

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

// Process is one running program of a module. Its methods may be called at the same time; what the module answers is cut to
// bounds, and its errors are faults.
type Process struct {
	module, who string
	runDir      string
	record      string
	startedAt   time.Time
	log         *slog.Logger
	sink        *lineSink
	services    HostServices
	runner      *processRunner
	client      *plugin.Client
	control     modulepb.ModuleClient
	broker      *plugin.GRPCBroker
	description Description
	pagesToken  string

	mu         sync.Mutex
	hostServer *grpc.Server
	killOnce   sync.Once
}

// Bounds of Stop.
const (
	stopTime     = 3 * time.Second // for the module's own Stop
	shutdownTime = time.Second     // for the process to end by itself afterwards
)

// Connection is what Connect hands over.
type Connection struct {
	StoreSocket string // a path inside RunDir; "": no store
	StoreBearer string
	Settings    map[string]any
	Site        sdk.Site
}

// Step is one migration step.
type Step struct {
	Number int
	Name   string
}

// Checked is the answer of a check.
type Checked struct {
	Findings   []sdk.Finding
	PSS        int64 // bytes, as the process reads it of itself; 0 when it cannot
	Goroutines int
}

// Description is what the program said of itself.
func (p *Process) Description() Description { return p.description }

// PID is the process's id.
func (p *Process) PID() int { return p.runner.processID() }

// StartedAt is when the process was started.
func (p *Process) StartedAt() time.Time { return p.startedAt }

// RunDir is the process's run folder, 0700; it is removed when the process has ended.
func (p *Process) RunDir() string { return p.runDir }

// PagesSocket is the path of the socket on which the module answers page requests after Connect.
func (p *Process) PagesSocket() string { return filepath.Join(p.runDir, "pages.sock") }

// PagesToken is the bearer of page requests.
func (p *Process) PagesToken() string { return p.pagesToken }

// Exited is closed when the process has ended and its last words are in the log.
func (p *Process) Exited() <-chan struct{} { return p.runner.exited }

// Exit tells how the process ended. It is zero before Exited is closed.
func (p *Process) Exit() Exit {
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	return p.runner.exit
}

// NewToken gives a random bearer for one start.
func NewToken() string { return rand.Text() + rand.Text() }

// Connect hands over sockets, bearers, settings and site, and opens the host's services to the module.
func (p *Process) Connect(ctx context.Context, c Connection) error {
	settings, err := encodeSettings(c.Settings)
	if err != nil {
		return err
	}
	if len(settings) > maxSettings {
		return fault.New(fault.TooLarge, "The settings have %d bytes, at most %d are allowed.", len(settings), maxSettings)
	}
	p.pagesToken = NewToken()
	id := p.broker.NextId()
	go p.broker.AcceptAndServe(id, func(options []grpc.ServerOption) *grpc.Server {
		s := newHostServer(p.module, p.services, p.log, options)
		p.mu.Lock()
		p.hostServer = s
		p.mu.Unlock()
		return s
	})
	_, err = p.control.Connect(ctx, &modulepb.ConnectRequest{
		BrokerId: id, PagesSocket: p.PagesSocket(), PagesToken: p.pagesToken, StoreSocket: c.StoreSocket, StoreBearer: c.StoreBearer,
		SettingsJson: settings, Site: &modulepb.Site{Name: validUTF8(c.Site.Name), PublicUrl: validUTF8(c.Site.PublicURL)},
	})
	return fromStatus(err, p.who)
}

// Migrate has the module run the steps of its tables that are not in applied, and gives those that ran. socket takes the bearer
// and should be closed afterwards; it is "" when there is no store.
func (p *Process) Migrate(ctx context.Context, socket, bearer string, applied map[int]string) ([]Step, error) {
	request := &modulepb.MigrateRequest{StoreSocket: socket, Bearer: bearer}
	for number, name := range applied {
		request.Applied = append(request.Applied, &modulepb.Migration{Number: int32(number), Name: name})
	}
	reply, err := p.control.Migrate(ctx, request)
	if err != nil {
		return nil, fromStatus(err, p.who)
	}
	var ran []Step
	for _, m := range reply.GetRan() {
		ran = append(ran, Step{Number: int(m.GetNumber()), Name: clean(m.GetName(), 256)})
	}
	return ran, nil
}

// Start starts the module's own work.
func (p *Process) Start(ctx context.Context) error {
	_, err := p.control.Start(ctx, &modulepb.StartRequest{})
	return fromStatus(err, p.who)
}

// Configure hands over changed settings. It is false when the module has to be restarted to take them.
func (p *Process) Configure(ctx context.Context, settings map[string]any) (bool, error) {
	text, err := encodeSettings(settings)
	if err != nil {
		return false, err
	}
	reply, err := p.control.Configure(ctx, &modulepb.ConfigureRequest{SettingsJson: text})
	return reply.GetApplied(), fromStatus(err, p.who)
}

// TestSettings tries settings that are not saved.
func (p *Process) TestSettings(ctx context.Context, settings map[string]any) ([]sdk.Problem, error) {
	text, err := encodeSettings(settings)
	if err != nil {
		return nil, err
	}
	reply, err := p.control.TestSettings(ctx, &modulepb.TestSettingsRequest{SettingsJson: text})
	if err != nil {
		return nil, fromStatus(err, p.who)
	}
	var problems []sdk.Problem
	for _, one := range reply.GetProblems()[:min(len(reply.GetProblems()), maxAnswers)] {
		problems = append(problems, sdk.Problem{Key: clean(one.GetKey(), 128), Message: clean(one.GetMessage(), maxFaultText)})
	}
	return problems, nil
}

// maxAnswers bounds the findings and problems of one answer.
const maxAnswers = 50

// Check asks how the module is.
func (p *Process) Check(ctx context.Context) (Checked, error) {
	reply, err := p.control.Check(ctx, &modulepb.CheckRequest{})
	if err != nil {
		return Checked{}, fromStatus(err, p.who)
	}
	checked := Checked{PSS: int64(min(reply.GetPssBytes(), 1<<50)), Goroutines: int(reply.GetGoroutines())}
	for _, f := range reply.GetFindings()[:min(len(reply.GetFindings()), maxAnswers)] {
		checked.Findings = append(checked.Findings, sdk.Finding{
			Level: level(f.GetLevel()), Title: clean(f.GetTitle(), maxFaultText), Remedy: clean(f.GetRemedy(), maxFaultText),
			Link: clean(f.GetLink(), 1<<10),
		})
	}
	return checked, nil
}

func level(text string) sdk.Level {
	switch l := sdk.Level(text); l {
	case sdk.LevelInfo, sdk.LevelWarning, sdk.LevelError:
		return l
	}
	return sdk.LevelWarning
}

// Deliver hands over one event. A *sdk.RefuseError refuses what the event announced; any other error means that it was not
// taken.
func (p *Process) Deliver(ctx context.Context, e sdk.Event) error {
	reply, err := p.control.Deliver(ctx, &modulepb.DeliverRequest{
		Name: e.Name, Subject: validUTF8(e.Subject), Key: e.Key, TimeUnixNano: e.Time.UnixNano(), Source: e.Source, Payload: e.Payload,
	})
	if err != nil {
		return fromStatus(err, p.who)
	}
	if reply.GetRefused() {
		return &sdk.RefuseError{Reason: clean(reply.GetReason(), maxFaultText)}
	}
	return nil
}

// RunJob runs one job until it is done or ctx ends.
func (p *Process) RunJob(ctx context.Context, job string) error {
	_, err := p.control.RunJob(ctx, &modulepb.RunJobRequest{Job: job})
	return fromStatus(err, p.who)
}

// Call calls a service that the module provides. claim is the host's proof of call.User for this module. The id of the
// visitor's request comes from WithRequestID.
func (p *Process) Call(ctx context.Context, call sdk.Call, claim string) ([]byte, error) {
	reply, err := p.control.Call(ctx, &modulepb.CallRequest{
		Service: call.Service, Method: call.Method, Input: call.Input, Caller: call.Caller,
		User: identityTo(call.User), Claim: claim, RequestId: RequestID(ctx),
	})
	if err != nil {
		return nil, fromStatus(err, p.who)
	}
	if len(reply.GetOutput()) > MaxCallData {
		return nil, fault.New(fault.TooLarge, "%s answered with %d bytes, at most %d are allowed.", p.who, len(reply.GetOutput()), MaxCallData)
	}
	return reply.GetOutput(), nil
}

// Drain tells the module that no new work will come: jobs are cancelled and event streams end.
func (p *Process) Drain(ctx context.Context) error {
	_, err := p.control.Drain(ctx, &modulepb.DrainRequest{})
	return fromStatus(err, p.who)
}

// Stop ends the module: its own Stop, then the process. It is bounded, whatever the module does, and leaves nothing behind. The
// error is the module's own; the process is gone either way.
func (p *Process) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	_, err := p.control.Stop(ctx, &modulepb.StopRequest{})
	if err == nil {
		p.shutdown()
	}
	p.Kill()
	return fromStatus(err, p.who)
}

// shutdown lets the process end by itself, for a while.
func (p *Process) shutdown() {
	go p.client.Kill() // ends at the latest when Kill has ended the process
	select {
	case <-p.runner.exited:
	case <-time.After(shutdownTime):
	}
}

// Kill ends the process group and removes what belongs to it. It is bounded and may be called several times, also for a
// process that has ended.
func (p *Process) Kill() {
	p.killOnce.Do(func() {
		if err := p.runner.Kill(context.Background()); err != nil {
			p.log.Error("a module's process does not end", "module", p.module, "pid", p.PID(), "error", err)
		}
		p.mu.Lock()
		if p.hostServer != nil {
			p.hostServer.Stop()
		}
		p.mu.Unlock()
		closed := make(chan struct{})
		go func() { p.client.Kill(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(killTime):
			p.log.Error("the connection of a module's process does not close", "module", p.module, "pid", p.PID())
		}
		if err := os.RemoveAll(p.runDir); err != nil {
			p.log.Error("a run folder stays", "module", p.module, "error", err)
		}
		if p.runner.processID() == 0 || !p.runner.alive() {
			_ = os.Remove(p.record) // missing when the start failed early
		}
	})
}

type noServices struct{}

func noService() error {
	return fault.New(fault.Unavailable, "The site offers no services to this start.")
}

func (noServices) Publish(context.Context, string, string, string, []byte) error { return noService() }
func (noServices) Call(context.Context, string, string, string, string, []byte) ([]byte, error) {
	return nil, noService()
}
func (noServices) SecretGet(context.Context, string, string, string) (string, error) {
	return "", noService()
}
func (noServices) SecretSet(context.Context, string, string, string, string) error {
	return noService()
}
func (noServices) SecretDelete(context.Context, string, string, string) error { return noService() }
func (noServices) UserGet(context.Context, string, int64) (sdk.User, error) {
	return sdk.User{}, noService()
}
func (noServices) UserList(context.Context, string, []int64) ([]sdk.User, error) {
	return nil, noService()
}
func (noServices) SendMail(context.Context, string, sdk.Mail) error { return noService() }

// makeRunDir makes a folder that is short enough for the sockets in it: a unix socket's path has at most about 104 bytes, and
// go-plugin adds up to 40. The path is absolute, because the module works in another folder than the host.
func makeRunDir(root, module string) (string, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("make the run folder: %w", err)
	}
	const room = 104 - 40 - 12
	for _, parent := range []string{root, os.TempDir()} {
		parent, err := filepath.Abs(parent)
		if err != nil {
			return "", fmt.Errorf("make the run folder: %w", err)
		}
		if len(parent)+1+len(runPrefix)+len(module) > room {
			continue
		}
		dir, err := os.MkdirTemp(parent, runPrefix+module+"-")
		if err != nil {
			return "", fmt.Errorf("make the run folder: %w", err)
		}
		return dir, nil
	}
	return "", fmt.Errorf("make the run folder: the paths %s and %s are too long for unix sockets", root, os.TempDir())
}
