package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"syscall"

	hclog "github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

// Serve is a module's main function: it answers the host until the host says stop, or is gone, and then ends the process.
// manifestYAML is the module.yaml that the host reads too, embedded into the program. Started by hand, the program says what it
// is and what to do.
//
// From here on log/slog, log and everything that is printed to standard output go to the site's log.
func Serve(module sdk.Module, manifestYAML []byte) {
	m, err := manifest.Parse(manifestYAML)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		explain(os.Stderr, m)
		os.Exit(2)
	}
	stdout, stderr := os.Stdout, os.Stderr
	log := slog.New(newLogHandler(stderr))
	slog.SetDefault(log)
	if err := protectProcess(m.ID); err != nil {
		log.Warn("the process's memory can be read by other processes of this user", "error", err)
	}
	if err := holdLifeline(); err != nil {
		log.Error("the host did not give a lifeline", "error", err)
		os.Exit(2)
	}
	server := newModuleServer(module, m, log)
	// go-plugin puts pipes of its own in the place of os.Stdout and os.Stderr, read by the host over gRPC: a module would block
	// when nobody reads, and lose what is in them when it dies. The runner reads the real ones.
	server.restoreOutput = func() { os.Stdout, os.Stderr = stdout, stderr }
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: versioned(&modulePlugin{server: server}),
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderr, JSONFormat: true}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options,
				grpc.MaxRecvMsgSize(maxMessage), grpc.UnaryInterceptor(recoverPanics(log)))...)
		},
	})
	os.Exit(0)
}

func explain(w io.Writer, m *manifest.Manifest) {
	_, _ = fmt.Fprintf(w, `%s (%s) %s is a module of a Mortise site. It does not run by itself.

To use it, put its folder into the site's modules folder and enable it:

    mortise module enable %s

or open /admin/modules on the site.
`, m.Name, m.ID, m.Version, m.ID)
}

// modulePlugin is the module's end of go-plugin.
type modulePlugin struct {
	plugin.NetRPCUnsupportedPlugin
	server *moduleServer
}

func (p *modulePlugin) GRPCServer(broker *plugin.GRPCBroker, s *grpc.Server) error {
	p.server.broker = broker
	modulepb.RegisterModuleServer(s, p.server)
	return nil
}

func (p *modulePlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a module has no client of itself")
}

// holdLifeline ends the process when the host is gone, however it went: the host alone holds the other end of the pipe.
func holdLifeline() error {
	fd, err := strconv.Atoi(os.Getenv(lifelineVariable))
	if err != nil || fd < 3 {
		return fmt.Errorf("%s is not a file descriptor", lifelineVariable)
	}
	closeOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil { // lets the runtime's poller wait, which saves a thread
		return fmt.Errorf("prepare the lifeline: %w", err)
	}
	pipe := os.NewFile(uintptr(fd), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		os.Exit(0)
	}()
	return nil
}

// capabilities lists the optional interfaces that a module implements, by the names of DescribeReply.
func capabilities(module sdk.Module) []string {
	var names []string
	add := func(name string, has bool) {
		if has {
			names = append(names, name)
		}
	}
	_, pages := module.(http.Handler)
	_, migrations := module.(sdk.Migrator)
	_, events := module.(sdk.Listener)
	_, jobs := module.(sdk.Worker)
	_, check := module.(sdk.Checker)
	_, services := module.(sdk.Provider)
	_, configure := module.(sdk.Configurable)
	_, test := module.(sdk.SettingsTester)
	add("pages", pages)
	add("migrations", migrations)
	add("events", events)
	add("jobs", jobs)
	add("check", check)
	add("services", services)
	add("configure", configure)
	add("test_settings", test)
	return names
}
