package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/tokenapi"
	"mortise/themes"
)

const (
	annParticle = "ann@particle.example"
	bobParticle = "bob@particle.example"

	lamp     = "0a10aced202194944a000001" // ann's
	sensor   = "0a10aced202194944a000002" // ann's
	cellar   = "0a10aced202194944a000003" // ann's, offline
	slow     = "0a10aced202194944a000004" // ann's, answers after the cloud has given up
	bobsLamp = "0a10aced202194944a0000b1"
)

var (
	ann     = sdk.Identity{UserID: 2, Name: "Ann", Roles: []string{"customer"}, Permissions: []string{"devices.view", "devices.control"}}
	bob     = sdk.Identity{UserID: 3, Name: "Bob", Roles: []string{"customer"}, Permissions: []string{"devices.view", "devices.control"}}
	looker  = sdk.Identity{UserID: 2, Name: "Ann", Roles: []string{"viewer"}, Permissions: []string{"devices.view"}}
	carl    = sdk.Identity{UserID: 4, Name: "Carl", Roles: []string{"customer"}, Permissions: []string{"devices.view", "devices.control"}}
	nobody  = sdk.Identity{}
	persons = []sdk.Identity{ann, bob, carl, looker, nobody}
)

// linked stands for the module linking: it knows accounts by person, and kills those that are reported.
type linked struct {
	mu       sync.Mutex
	accounts map[int64][]tokenapi.Account
	reports  int
	away     bool
	renew    func(tokenapi.Account) string // gives a new token for a reported one; nil or "": it is dead
}

func (l *linked) call(ctx context.Context, _, method string, input []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, fault.New(fault.Unavailable, "no enabled module provides the service particle.token")
	}
	user := sdk.RequestFrom(ctx).User.UserID
	if user == 0 {
		return nil, fault.New(fault.SignedOut, "nobody asks")
	}
	if method == tokenapi.Get {
		return tokenapi.Accounts{Accounts: append([]tokenapi.Account{}, l.accounts[user]...)}, nil
	}
	var report tokenapi.Report
	if err := json.Unmarshal(input, &report); err != nil {
		return nil, err
	}
	l.reports++
	for i, acc := range l.accounts[user] {
		if acc.ID != report.ID {
			continue
		}
		if l.renew != nil {
			if token := l.renew(acc); token != "" {
				l.accounts[user][i].AccessToken, l.accounts[user][i].Generation = token, acc.Generation+1
				return tokenapi.Verdict{State: tokenapi.Active}, nil
			}
		}
		l.accounts[user][i].State, l.accounts[user][i].AccessToken = tokenapi.Dead, ""
		return tokenapi.Verdict{State: tokenapi.Dead}, nil
	}
	return nil, fault.New(fault.NotFound, "no such account")
}

func (l *linked) set(person sdk.Identity, accounts ...tokenapi.Account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts[person.UserID] = accounts
}

// bench is the module on a site, with a cloud, and ann and bob linked.
type bench struct {
	*moduletest.Site
	cloud  *particletest.Server
	module *Devices
	linked *linked
	maker  *maker
	url    string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	cloud := &particletest.Server{DeviceWait: 300 * time.Millisecond}
	for _, name := range []string{annParticle, bobParticle} {
		cloud.AddAccount(particletest.Account{Username: name, Password: "x"})
	}
	cloud.AddClient(particletest.Client{ID: "site-1234", Secret: "x"})
	cloud.AddDevice(particletest.Device{ID: lamp, Name: "Porch lamp", Owner: annParticle, Behaviour: particletest.Lamp, Platform: 6,
		Functions: map[string]func(string) int{"check": func(string) int { return -7 }}})
	cloud.AddDevice(particletest.Device{ID: sensor, Name: "Sensor", Owner: annParticle, Behaviour: particletest.Sensor, Platform: 12})
	cloud.AddDevice(particletest.Device{ID: cellar, Name: "Cellar pump", Owner: annParticle, Behaviour: particletest.Lamp, Offline: true})
	cloud.AddDevice(particletest.Device{ID: slow, Name: "Slow one", Owner: annParticle, Behaviour: particletest.Lamp, Latency: 2 * time.Second})
	cloud.AddDevice(particletest.Device{ID: bobsLamp, Name: "Bob's lamp", Owner: bobParticle, Behaviour: particletest.Lamp})
	address, stop, err := cloud.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	l := &linked{accounts: map[int64][]tokenapi.Account{}}
	b := &bench{cloud: cloud, linked: l, maker: newMaker(), url: address, module: New()}
	l.set(ann, b.account(1, annParticle))
	l.set(bob, b.account(2, bobParticle))
	b.module.limits = particle.Timeouts{Connect: time.Second, Call: 500 * time.Millisecond, Device: 1500 * time.Millisecond, KnownOffline: 150 * time.Millisecond}
	b.module.patience = patience{list: time.Second, values: 100 * time.Millisecond, linger: 200 * time.Millisecond, recheck: 100 * time.Millisecond, retry: 10 * time.Millisecond}
	b.Site = moduletest.Start(t, b.module, manifest, moduletest.Options{Call: b.call})
	return b
}

func (b *bench) call(ctx context.Context, service, method string, input []byte) (any, error) {
	switch service {
	case tokenapi.Service:
		return b.linked.call(ctx, service, method, input)
	case attachapi.Service:
		return b.maker.customers(ctx, method, input)
	}
	return b.maker.product(ctx, method, input)
}

// account gives a linked account with a living token.
func (b *bench) account(id int64, username string) tokenapi.Account {
	return tokenapi.Account{ID: id, Label: username, State: tokenapi.Active, BaseURL: b.url, AccessToken: b.cloud.IssueToken(username, "site-1234"), Generation: time.Now().UnixMicro()}
}

// upstream counts the requests that reached the cloud.
func (b *bench) upstream() int {
	n := 0
	for _, calls := range b.cloud.AllCalls() {
		n += calls
	}
	return n
}

func decode[T any](t testing.TB, a moduletest.Answer) T {
	t.Helper()
	var data T
	if err := a.Decode(&data); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return data
}

func TestTemplates_DrawInEveryTheme(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}, Modules: []theme.Module{{ID: "devices", Digest: "test", Templates: os.DirFS("templates")}}}) {
		if p.Module == "devices" {
			t.Error(p.Error())
		}
	}
}
