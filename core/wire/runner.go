package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Exit tells how a process ended.
type Exit struct {
	At     time.Time
	Code   int    // the exit code; -1 when a signal ended it
	Signal string // such as "killed"; "" when it ended by itself
}

// String says it in words for an administrator.
func (e Exit) String() string {
	if e.Signal != "" {
		return "ended by signal " + e.Signal
	}
	return "ended with code " + strconv.Itoa(e.Code)
}

// Bounds of ending a process.
const (
	termTime  = 500 * time.Millisecond // after SIGTERM, before SIGKILL
	killTime  = 2 * time.Second        // after SIGKILL; only a process stuck in the kernel needs longer
	drainTime = 250 * time.Millisecond // for the last log lines, when something else still holds the pipes
)

// processRunner is go-plugin's runner.Runner for one process. It owns what go-plugin would get wrong: see the package's doc.
type processRunner struct {
	program *os.File // verified, executed through its descriptor
	path    string
	dir     string
	env     []string
	sink    *lineSink
	onStart func() // called once when the process has its id; may be nil

	handshakeOut *io.PipeReader // what go-plugin reads as stdout: at most one line
	silence      *io.PipeReader // what go-plugin reads as stderr: nothing
	silenceIn    *io.PipeWriter
	lifeline     *os.File

	mu       sync.Mutex
	pid      int
	reaped   bool
	doomed   bool // Kill was called before there was a process
	exit     Exit
	protocol int // of the handshake line; 0 before it
	exited   chan struct{}
	killOnce sync.Once
}

func newRunner(program *os.File, path, dir string, env []string, sink *lineSink) *processRunner {
	return &processRunner{program: program, path: path, dir: dir, env: env, sink: sink, exited: make(chan struct{})}
}

// pipes are the ends that belong to one start.
type pipes struct{ outR, outW, errR, errW, lifeR, lifeW, null *os.File }

func openPipes() (p pipes, err error) {
	defer func() {
		if err != nil {
			p.close(p.outR, p.outW, p.errR, p.errW, p.lifeR, p.lifeW, p.null)
		}
	}()
	if p.outR, p.outW, err = os.Pipe(); err != nil {
		return p, err
	}
	if p.errR, p.errW, err = os.Pipe(); err != nil {
		return p, err
	}
	if p.lifeR, p.lifeW, err = os.Pipe(); err != nil {
		return p, err
	}
	p.null, err = os.Open(os.DevNull)
	return p, err
}

func (pipes) close(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Start starts the process. It is for go-plugin.
func (r *processRunner) Start(ctx context.Context) error {
	p, err := openPipes()
	if err != nil {
		return fmt.Errorf("open the pipes: %w", err)
	}
	started := make(chan error, 1)
	var handshakeIn *io.PipeWriter
	r.handshakeOut, handshakeIn = io.Pipe()
	r.silence, r.silenceIn = io.Pipe()
	r.lifeline = p.lifeW
	go r.run(p, handshakeIn, started)
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
		return ctx.Err() // fork and exec do not wait for anything; go-plugin calls Kill
	}
}

// run starts the process and waits for it on one thread: Pdeathsig is sent when the thread that forked ends, so this thread
// must live as long as the process.
func (r *processRunner) run(p pipes, handshakeIn *io.PipeWriter, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := r.startProcess(p)
	p.close(p.outW, p.errW, p.lifeR, p.null)
	if err != nil {
		p.close(p.outR, p.errR, p.lifeW)
		_ = handshakeIn.Close()
		_ = r.silenceIn.Close()
		started <- err
		close(r.exited)
		return
	}
	r.mu.Lock()
	r.pid = cmd.Process.Pid
	if r.doomed {
		killGroup(r.pid, syscall.SIGKILL)
	}
	r.mu.Unlock()

	if r.onStart != nil {
		r.onStart()
	}
	var readers sync.WaitGroup
	readers.Go(func() { copyStdout(p.outR, handshakeIn, r.sink, r.noteProtocol) })
	readers.Go(func() { copyLines(p.errR, "stderr", r.sink) })
	started <- nil

	r.waitAndReap(cmd)
	read := make(chan struct{})
	go func() { readers.Wait(); close(read) }()
	select {
	case <-read:
	case <-time.After(drainTime): // a grandchild that left the group holds the pipes
	}
	p.close(p.outR, p.errR, p.lifeW)
	<-read
	_ = r.silenceIn.Close()
	r.mu.Lock()
	r.exit = exitOf(cmd.ProcessState)
	r.mu.Unlock()
	close(r.exited)
}

// waitAndReap waits for the process's end, and ends what it left behind in its group. The group is ended while the process is
// a zombie still: its number cannot belong to anybody else then.
func (r *processRunner) waitAndReap(cmd *exec.Cmd) {
	waitWithoutReaping(cmd)
	r.mu.Lock()
	defer r.mu.Unlock()
	killGroup(cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait() // how it ended stands in ProcessState
	r.reaped = true
}

// signal reaches the process group as long as its number is ours.
func (r *processRunner) signal(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reaped && r.pid != 0 {
		killGroup(r.pid, s)
	}
}

func (r *processRunner) noteProtocol(version int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.protocol = version
}

func (r *processRunner) startProcess(p pipes) (*exec.Cmd, error) {
	for attempt := 0; ; attempt++ {
		cmd := &exec.Cmd{
			Path: executablePath(r.program, r.path), Args: []string{r.path}, Dir: r.dir,
			Env:   append(r.env[:len(r.env):len(r.env)], lifelineVariable+"=3"),
			Stdin: p.null, Stdout: p.outW, Stderr: p.errW, ExtraFiles: []*os.File{p.lifeR},
			SysProcAttr: processAttributes(),
		}
		err := cmd.Start()
		// A program that was written a moment ago may still be open for writing in a child that was just forked
		// (https://go.dev/issue/22315).
		if errors.Is(err, syscall.ETXTBSY) && attempt < 20 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", r.path, err)
		}
		return cmd, nil
	}
}

func exitOf(state *os.ProcessState) Exit {
	exit := Exit{At: time.Now(), Code: -1}
	if state == nil {
		return exit
	}
	exit.Code = state.ExitCode()
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Signal = ws.Signal().String()
	}
	return exit
}

// Kill ends the process group: SIGTERM, a moment, SIGKILL. It returns within termTime and killTime, whatever the process does.
func (r *processRunner) Kill(context.Context) error {
	r.mu.Lock()
	pid := r.pid
	r.doomed = true
	r.mu.Unlock()
	if pid == 0 {
		return nil
	}
	r.killOnce.Do(func() {
		r.signal(syscall.SIGTERM)
		select {
		case <-r.exited:
			return
		case <-time.After(termTime):
		}
		r.signal(syscall.SIGKILL)
	})
	select {
	case <-r.exited:
		return nil
	case <-time.After(killTime):
		return fmt.Errorf("process %d does not end", pid)
	}
}

func (r *processRunner) alive() bool {
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

func (r *processRunner) processID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pid
}

// Wait waits for the end of the process. It is for go-plugin.
func (r *processRunner) Wait(ctx context.Context) error {
	select {
	case <-r.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The rest is what go-plugin's interface asks for.

func (r *processRunner) Stdout() io.ReadCloser           { return r.handshakeOut }
func (r *processRunner) Stderr() io.ReadCloser           { return r.silence }
func (r *processRunner) Name() string                    { return r.path }
func (r *processRunner) Diagnose(context.Context) string { return "" }

func (r *processRunner) ID() string {
	if pid := r.processID(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
