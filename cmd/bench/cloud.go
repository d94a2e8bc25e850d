package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"mortise/plugins"
)

// cloud is the simulated Particle cloud, in this process: an event's time is taken when it is emitted.
type cloud struct {
	server *plugins.ParticleCloud
	url    string
	http   *http.Server
}

func startCloud(siteURL string) (*cloud, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &cloud{server: &plugins.ParticleCloud{Beat: -1}, url: "http://" + listener.Addr().String()} // sensors stay silent
	c.http = &http.Server{Handler: c.server, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.http.Serve(listener) }() // ends with stop
	c.server.AddRedirectURI(plugins.ParticleDemoClientID, siteURL+"/linking/particle/callback")
	return c, nil
}

// settings are those of linking.
func (c *cloud) settings() []string {
	return []string{"base_url", c.url, "client_id", plugins.ParticleDemoClientID, "client_secret", plugins.ParticleDemoClientSecret}
}

// link links the demo account to a signed-in visitor, with a code that the cloud gives without its pages.
func (c *cloud) link(ctx context.Context, v *visitor) error {
	if _, err := v.get(ctx, "/linking"); err != nil {
		return err
	}
	a, err := v.post(ctx, "/linking/particle/start")
	if err != nil {
		return err
	}
	to, err := url.Parse(a.location)
	if err != nil {
		return fmt.Errorf("the way to the cloud: %w", err)
	}
	code := c.server.IssueCode(plugins.ParticleDemoEmail, plugins.ParticleDemoClientID)
	back := url.Values{"state": {to.Query().Get("state")}, "code": {code}}
	a, err = v.get(ctx, "/linking/particle/callback?"+back.Encode())
	if err == nil && a.status != http.StatusSeeOther {
		err = fmt.Errorf("%w: the callback: %d\n%.1500s", errWrongAnswer, a.status, mainOf(a.body))
	}
	return err
}

// grow adds n devices to the product, with the names name-0001 and on.
func (c *cloud) grow(name string, id func(int) string, n int) {
	for i := 1; i <= n; i++ {
		c.server.AddDevice(plugins.ParticleDevice{ID: id(i), Name: fmt.Sprintf("%s-%04d", name, i), Product: plugins.ParticleDemoProduct})
	}
}

func (c *cloud) stop() {
	c.server.Close()
	_ = c.http.Close()
}
