package wire

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	hclog "github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

// DefaultStartTime is how long a program may take until it answers.
const DefaultStartTime = 10 * time.Second

// ErrIncompatible says that a program speaks another version of the contract.
var ErrIncompatible = errors.New("the program speaks another version of the module contract")

// LaunchOptions say what to start and how.
type LaunchOptions struct {
	ModuleID  string
	Program   string        // absolute path of the executable
	Digest    string        // SHA-256 of the executable in hex, checked on this very file at each start; "": not checked
	Dir       string        // working directory; "": the program's own
	RunRoot   string        // folder for run folders and records, made when missing; see Sweep
	Env       []string      // further variables, "NAME=value": limits, never secrets
	Log       func(Line)    // called for one line at a time; must not block for long
	HostLog   *slog.Logger  // for what the host itself has to say
	Services  HostServices  // nil: every service answers that it is unavailable
	StartTime time.Duration // DefaultStartTime when 0
}

// inherited are the variables of the host that a module gets: where programs and certificates are, how the network is reached,
// which language and time zone the machine has. Nothing else, because an environment holds secrets.
var inherited = []string{
	"PATH", "TZ", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

func environment(runDir string, extra []string) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	env = append(env, "TMPDIR="+runDir, "HOME="+runDir)
	return append(env, extra...)
}

// Launch starts a module's program and returns once it has answered Describe. The process ends with Stop or Kill, by itself,
// or with the host. When Launch fails nothing is left behind.
func Launch(ctx context.Context, o LaunchOptions) (*Process, error) {
	if o.HostLog == nil {
		o.HostLog = slog.New(slog.DiscardHandler)
	}
	if o.StartTime == 0 {
		o.StartTime = DefaultStartTime
	}
	if o.Dir == "" {
		o.Dir = filepath.Dir(o.Program)
	}
	ctx, cancel := context.WithTimeout(ctx, o.StartTime)
	defer cancel()
	program, err := openProgram(o.Program, o.Digest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = program.Close() }()
	runDir, err := makeRunDir(o.RunRoot, o.ModuleID)
	if err != nil {
		return nil, err
	}
	p := &Process{
		module: o.ModuleID, who: "The module " + o.ModuleID, runDir: runDir, startedAt: time.Now(), log: o.HostLog,
		sink: newLineSink(o.Log, time.Now), services: o.Services, record: filepath.Join(o.RunRoot, filepath.Base(runDir)+".json"),
	}
	if p.services == nil {
		p.services = noServices{}
	}
	p.runner = newRunner(program, o.Program, o.Dir, environment(runDir, o.Env), p.sink)
	p.runner.onStart = func() {
		if err := writeRecord(p.record, p.runner, p.runDir, p.module); err != nil {
			p.log.Error("a process has no record for the sweep", "module", p.module, "error", err)
		}
	}
	p.client = plugin.NewClient(p.clientConfig(o.StartTime))
	if err := p.begin(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

func (p *Process) clientConfig(startTime time.Duration) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: versioned(&hostPlugin{}),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			p.runner.env = append(p.runner.env, cmd.Env...)
			return p.runner, nil
		},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     startTime,
		Logger:           hclog.NewNullLogger(), // the runner and this package say what there is to say
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.runDir},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		},
	}
}

// begin starts the process and asks it to describe itself. go-plugin's calls have no context; when ours ends, the process is
// ended, and with it the call.
func (p *Process) begin(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- p.dial() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		_ = p.runner.Kill(ctx) // bounded; a process that survives it is reported by Kill of Process
		select {
		case <-done:
		case <-time.After(killTime):
		}
		err = ctx.Err()
	}
	if err != nil {
		return p.explainStart(ctx, err)
	}
	reply, err := p.control.Describe(ctx, &modulepb.DescribeRequest{})
	if err != nil {
		return p.explainStart(ctx, fromStatus(err, p.who))
	}
	p.description = Description{
		ID: clean(reply.GetId(), 64), Version: clean(reply.GetVersion(), 64), Contract: int(reply.GetContract()),
		ManifestDigest: clean(reply.GetManifestDigest(), 128), Capabilities: reply.GetCapabilities(),
	}
	return nil
}

func (p *Process) dial() error {
	client, err := p.client.Client()
	if err != nil {
		return err
	}
	raw, err := client.Dispense(pluginName)
	if err != nil {
		return err
	}
	c, ok := raw.(*moduleClient)
	if !ok {
		return fmt.Errorf("go-plugin gave a %T", raw)
	}
	p.control, p.broker = c.control, c.broker
	return nil
}

// explainStart says why a start failed, by what the runner saw rather than by go-plugin's words.
func (p *Process) explainStart(ctx context.Context, err error) error {
	p.runner.mu.Lock()
	protocol := p.runner.protocol
	p.runner.mu.Unlock()
	switch {
	case protocol != 0 && protocol != sdk.ContractVersion:
		return fault.Wrap(fault.Conflict, errors.Join(ErrIncompatible, err),
			"The program was built for version %d of the module contract, this host speaks %d.", protocol, sdk.ContractVersion)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "The program did not answer in time.")
	case ctx.Err() != nil:
		return fault.Wrap(fault.Unavailable, ctx.Err(), "The start was interrupted.")
	}
	select {
	case <-p.runner.exited:
	case <-time.After(100 * time.Millisecond): // go-plugin may notice closed pipes before the runner has reaped
	}
	if !p.runner.alive() && p.runner.processID() != 0 {
		return fault.Wrap(fault.Unavailable, err, "The program %s before it answered; its log may say why.", p.runner.exit)
	}
	return fault.Wrap(fault.Unavailable, err, "The program could not be started.")
}

// openProgram opens the executable and checks the very file that is going to be executed.
func openProgram(path, digest string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "The module's program is missing.")
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err == nil && info.Mode().Perm()&0o111 == 0 {
		err = fmt.Errorf("%s is not executable", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, fault.Wrap(fault.Invalid, err, "The module's program cannot be executed.")
	}
	if digest != "" {
		if err := checkDigest(f, digest); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	return moveUp(f)
}

func checkDigest(f *os.File, digest string) error {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read %s: %w", f.Name(), err)
	}
	got := hex.EncodeToString(h.Sum(nil))
	if subtle.ConstantTimeCompare([]byte(got), []byte(strings.ToLower(digest))) != 1 {
		return fault.New(fault.Conflict, "The module's program is not the one that was accepted: its checksum is %s…, expected %s….",
			got[:12], digest[:min(12, len(digest))])
	}
	return nil
}

// hostPlugin is the host's end of go-plugin.
type hostPlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

type moduleClient struct {
	control modulepb.ModuleClient
	broker  *plugin.GRPCBroker
}

func (*hostPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the host serves no module")
}

func (*hostPlugin) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &moduleClient{control: modulepb.NewModuleClient(conn), broker: broker}, nil
}

// Description is what a program says of itself.
type Description struct {
	ID, Version    string
	Contract       int
	ManifestDigest string
	Capabilities   []string // of modulepb.DescribeReply
}

// Has tells whether the program implements an optional interface.
func (d Description) Has(capability string) bool { return slices.Contains(d.Capabilities, capability) }
