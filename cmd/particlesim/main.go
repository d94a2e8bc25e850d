// Command particlesim serves the simulated Particle cloud for trying things by hand and for programs in other languages.
//
//	particlesim                                          the demo account, client and devices on 127.0.0.1:8989
//	particlesim --fault slow=3s@/v1/devices --fault 500@/oauth/token
//	particlesim --redirect-uri http://localhost:8080/linking/particle/callback --json
//
// Its page /__sim switches faults while it runs, without any protection: keep it on local addresses.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mortise/plugins"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "particlesim:", err)
		os.Exit(1)
	}
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("particlesim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var faults, redirects list
	listen := flags.String("listen", "127.0.0.1:8989", "address to serve on; port 0 picks a free one")
	email := flags.String("email", plugins.ParticleDemoEmail, "account")
	password := flags.String("password", plugins.ParticleDemoPassword, "its password")
	asJSON := flags.Bool("json", false, "print what to use as one line of JSON")
	state := flags.String("state", "", "file that keeps tokens and devices over a restart")
	spares := flags.Int("spares", 10, "how many devices are in no product, to be imported; at most 10000")
	wait := flags.Duration("device-wait", 30*time.Second, "how long a call waits for a silent device")
	flags.Var(&redirects, "redirect-uri", "address that the OAuth client may redirect to; may be given several times")
	flags.Var(&faults, "fault", "what goes wrong, such as offline, slow=3s@/v1/devices, 500@/oauth/token; may be given several times.\nThere are "+strings.Join(plugins.ParticleFaultNames(), ", "))
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *spares < 0 || *spares > 10000 {
		return fmt.Errorf("%d spare devices: want 0 to 10000", *spares)
	}
	cloud := &plugins.ParticleCloud{StateFile: *state, DeviceWait: *wait, Log: slog.New(slog.NewTextHandler(stderr, nil))}
	for _, f := range faults {
		change, err := plugins.ParseParticleFault(f)
		if err != nil {
			return err
		}
		cloud.Faults.Update(change)
	}
	cloud.SeedDemo(*email, *password)
	cloud.AddSpares(*spares)
	for _, uri := range redirects {
		cloud.AddRedirectURI(plugins.ParticleDemoClientID, uri)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	announce(stdout, *asJSON, "http://"+listener.Addr().String(), *email, *password, redirects)
	return cloud.Serve(ctx, listener)
}

func announce(out io.Writer, asJSON bool, url, email, password string, redirects []string) {
	if asJSON {
		if redirects == nil {
			redirects = []string{}
		}
		_ = json.NewEncoder(out).Encode(map[string]any{"url": url, "email": email, "password": password,
			"client_id": plugins.ParticleDemoClientID, "client_secret": plugins.ParticleDemoClientSecret, "redirect_uris": redirects, "control": url + "/__sim",
			"api_token": plugins.ParticleDemoAPIToken, "product": plugins.ParticleDemoProduct, "first_spare": plugins.ParticleSpareID(1)})
		return
	}
	fmt.Fprintf(out, `Simulated Particle cloud on %s

  account        %s / %s
  client id      %s
  client secret  %s
  product        %s, organization %s
  API user token %s
  to import      %s and the following
  faults         %s/__sim

Stop it with Ctrl-C.
`, url, email, password, plugins.ParticleDemoClientID, plugins.ParticleDemoClientSecret,
		plugins.ParticleDemoProduct, plugins.ParticleDemoOrganization, plugins.ParticleDemoAPIToken, plugins.ParticleSpareID(1), url)
}
