package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"mortise/core"
	"mortise/core/config"
)

func runServe(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("serve", t)
	if err != nil {
		return err
	}
	if _, err := parse(fs, t, args); err != nil {
		return err
	}
	host, listener, err := openHost(ctx, t, site.config, core.Options{Stderr: t.err})
	if err != nil {
		return err
	}
	link, err := host.SetupLink(ctx)
	if err != nil {
		_ = host.Close()
		return err
	}
	ready := func() { announceSite(t, site.json, host.URL(), link) }
	return serve(ctx, host, listener, ready)
}

// openHost takes the port first, because the public URL may be made of it, then builds the modules and wires the host.
func openHost(ctx context.Context, t *terminal, c config.Config, o core.Options) (*core.Host, net.Listener, error) {
	locateModules(&c)
	if err := buildModules(ctx, t.err, c); err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen on %s: %w (choose another address with --listen)", c.Listen, err)
	}
	c.Listen = listener.Addr().String()
	host, err := core.New(ctx, c, o)
	if err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	return host, listener, nil
}

// serve runs the host until ctx ends, and closes it.
func serve(ctx context.Context, host *core.Host, listener net.Listener, ready func()) error {
	err := host.Serve(ctx, listener, ready)
	if closeErr := host.Close(); err == nil {
		err = closeErr
	}
	return err
}

func announceSite(t *terminal, asJSON bool, url, setup string) {
	if asJSON {
		line := map[string]string{"url": url}
		if setup != "" {
			line["setup"] = setup
		}
		_ = json.NewEncoder(t.out).Encode(line)
		return
	}
	fmt.Fprintf(t.out, "The site runs at %s\n", url)
	if setup != "" {
		fmt.Fprintf(t.out, "Nobody is set up yet. Open this link once to make the first administrator:\n  %s\n", setup)
	}
	fmt.Fprintln(t.out, "Ctrl-C stops it.")
}
