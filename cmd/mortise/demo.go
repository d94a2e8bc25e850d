package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mortise/core"
	"mortise/plugins"
)

// Who can sign in to a demonstration. The passwords are no secret: a demo listens on this machine alone.
const (
	demoAdminEmail       = "admin@demo.example"
	demoAdminPassword    = "plane-and-chisel"
	demoCustomerEmail    = "ann@demo.example"
	demoCustomerPassword = "porch-lamp-please"
)

// demoData is where a demonstration keeps its site when --data does not say otherwise.
const demoData = "data/demo"

type demoAccount struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type demoCloud struct {
	URL          string `json:"url"`
	Email        string `json:"email"`
	Password     string `json:"password"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// demoReady is the line that --json prints once everything runs.
type demoReady struct {
	URL      string      `json:"url"`
	Admin    demoAccount `json:"admin"`
	Customer demoAccount `json:"customer"`
	Particle demoCloud   `json:"particle"`
}

func runDemo(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("demo", t)
	if err != nil {
		return err
	}
	simListen := fs.String("sim-listen", "127.0.0.1:8090", "address and port of the simulated Particle cloud; port 0 picks a free one")
	bare := fs.Bool("bare", false, "enable no module and configure nothing")
	if _, err := parse(fs, t, args); err != nil {
		return err
	}
	if err := os.MkdirAll(site.config.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	cloud, err := startCloud(*simListen, filepath.Join(site.config.Data, "particle-cloud.json"))
	if err != nil {
		return err
	}
	defer cloud.stop()
	host, listener, err := openHost(ctx, t, site.config, core.Options{Stderr: t.err, Demo: true})
	if err != nil {
		return err
	}
	cloud.server.AddRedirectURI(plugins.ParticleDemoClientID, host.URL()+"/linking/particle/callback")
	if err := furnish(ctx, host, cloud.url, *bare); err != nil {
		_ = listener.Close()
		_ = host.Close()
		return err
	}
	told := demoReady{
		URL: host.URL(), Admin: demoAccount{demoAdminEmail, demoAdminPassword}, Customer: demoAccount{demoCustomerEmail, demoCustomerPassword},
		Particle: demoCloud{cloud.url, plugins.ParticleDemoEmail, plugins.ParticleDemoPassword, plugins.ParticleDemoClientID, plugins.ParticleDemoClientSecret},
	}
	return serve(ctx, host, listener, func() {
		if !*bare {
			if err := fillDemo(ctx, host, cloud); err != nil { // the site runs; what is missing can be done by hand
				fmt.Fprintln(t.err, "mortise demo:", err)
			}
		}
		announceDemo(t, site.json, *bare, told)
	})
}

// simulated is the cloud beside the demo.
type simulated struct {
	server *plugins.ParticleCloud
	url    string
	stop   func()
}

func startCloud(listen, state string) (*simulated, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the simulated cloud: %w (choose another address with --sim-listen)", listen, err)
	}
	server := &plugins.ParticleCloud{StateFile: state}
	web := &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(listener) }() // ends with stop
	stop := func() {
		server.Close()
		_ = web.Close()
	}
	return &simulated{server: server, url: "http://" + listener.Addr().String(), stop: stop}, nil
}

// furnish makes the demo's accounts and, unless it is bare, enables and configures the modules. What is there already stays.
func furnish(ctx context.Context, host *core.Host, cloud string, bare bool) error {
	if err := demoAccounts(ctx, host, demoAdmin, demoAnn); err != nil || bare {
		return err
	}
	if err := demoAccounts(ctx, host, demoBen); err != nil {
		return err
	}
	values := map[string]any{
		"base_url": cloud, "client_id": plugins.ParticleDemoClientID, "client_secret": plugins.ParticleDemoClientSecret,
	}
	if err := host.Configure(ctx, "linking", values); err != nil {
		return fmt.Errorf("configure linking: %w", err)
	}
	if err := host.Want(ctx, "linking", "devices", "organizations", "customers"); err != nil {
		return fmt.Errorf("enable the modules: %w", err)
	}
	return nil
}

func announceDemo(t *terminal, asJSON, bare bool, d demoReady) {
	if asJSON {
		_ = json.NewEncoder(t.out).Encode(d)
		return
	}
	try := []string{
		"sign in as Ben, open Devices: his lamps belong to the maker's product, and he needs no account at Particle",
		"sign in as Ann, open Linked accounts, press Link Particle account; sign in there with the account above, and allow the access",
		"open Devices, then the lamp, and call led with on",
		"sign in as the administrator in another browser: Customers, Workspaces and Device records show what a maker sees",
		"print a label under Device records, open its address on a phone, and the device is Ann's",
		"open Modules, pause devices, resume it",
		"break the cloud at " + d.Particle.URL + "/__sim and see how the pages explain it",
	}
	if bare {
		try = []string{
			"sign in as the administrator, open Modules, enable linking, then devices, organizations and customers",
			"add a workspace: address " + d.Particle.URL + ", token " + plugins.ParticleDemoAPIToken,
			"open the settings of linking: base URL " + d.Particle.URL + ", client id " + d.Particle.ClientID + ", secret " + d.Particle.ClientSecret,
			"press Test, save, and sign in as the customer to link an account",
		}
	}
	customers := fmt.Sprintf("  Customer         %s   %s", d.Customer.Email, d.Customer.Password)
	if !bare {
		customers += fmt.Sprintf("\n  Customer         %s   %s\n  Installer        %s   %s", demoBen.email, demoBen.password, demoInstaller.email, demoInstaller.password)
	}
	fmt.Fprintf(t.out, `
  The site         %s
  Administrator    %s   %s
%s
  Particle cloud   %s (simulated)
  Particle account %s   %s

  Try:
    %s

  Ctrl-C stops everything. The data stays in its folder for the next start.
`, d.URL, d.Admin.Email, d.Admin.Password, customers, d.Particle.URL, d.Particle.Email, d.Particle.Password,
		strings.Join(numbered(try), "\n    "))
}

func numbered(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = fmt.Sprintf("%d. %s", i+1, l)
	}
	return out
}
