package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// linkedAccount is a Particle account that the person has linked: the source of the devices that it owns.
type linkedAccount struct {
	m   *Devices
	acc tokenapi.Account
}

func accountKey(id int64) string { return "account/" + strconv.FormatInt(id, 10) }

func (a *linkedAccount) key() string { return accountKey(a.acc.ID) }

func (a *linkedAccount) origin() origin {
	return origin{Kind: fromAccount, Label: a.acc.Label, AccountID: a.acc.ID}
}

// list takes the account's list, which is remembered for seconds.
func (a *linkedAccount) list(ctx, limited context.Context, w wish) holding {
	h := a.listAll(ctx, limited)
	if w.id != "" {
		h.devices = slices.DeleteFunc(slices.Clone(h.devices), func(d particle.Device) bool { return !strings.EqualFold(d.ID, w.id) })
	}
	return h
}

func (a *linkedAccount) listAll(ctx, limited context.Context) holding {
	h := holding{source: a}
	if a.acc.State != tokenapi.Active {
		h.trouble = troubleOf(&particle.Error{Kind: particle.DeadToken}, "")
		h.refusal = h.trouble
		return a.m.remember(ctx, h)
	}
	got, err := a.m.ofAccount(limited, a.acc)
	switch {
	case err == nil:
		h.devices = got.devices
		return h
	case particle.Is(err, particle.DeadToken) && a.m.reportDead(ctx, a.acc):
		h.trouble = &trouble{Kind: "renewed", Message: "The link to " + a.acc.Label + " has just been renewed.", Remedy: "Load the page again.", Status: http.StatusServiceUnavailable}
	case errors.Is(err, context.DeadlineExceeded):
		h.trouble = troubleOf(&particle.Error{Kind: particle.NoAnswer}, "")
	default:
		h.trouble = troubleOf(err, "")
	}
	return a.m.remember(ctx, h)
}

func (a *linkedAccount) cloud() (*particle.Client, error) {
	return a.m.clouds.Of(particle.Options{BaseURL: a.acc.BaseURL, Timeouts: a.m.limits})
}

func (a *linkedAccount) variable(ctx context.Context, device, name string) (any, error) {
	cloud, err := a.cloud()
	if err != nil {
		return nil, err
	}
	v, err := cloud.Variable(ctx, a.acc.AccessToken, device, name)
	return v.Value, err
}

func (a *linkedAccount) call(ctx context.Context, device, function, argument string) (int, error) {
	cloud, err := a.cloud()
	if err != nil {
		return 0, err
	}
	return cloud.Call(ctx, a.acc.AccessToken, device, function, argument)
}

// publish sends an event to the account: Particle knows no other sender.
func (a *linkedAccount) publish(ctx context.Context, _, name, data string) error {
	cloud, err := a.cloud()
	if err != nil {
		return err
	}
	return cloud.Publish(ctx, a.acc.AccessToken, name, data)
}

func (a *linkedAccount) rename(ctx context.Context, device, name string) error {
	cloud, err := a.cloud()
	if err != nil {
		return err
	}
	defer a.m.lists.drop(a.key())
	return cloud.Rename(ctx, a.acc.AccessToken, device, name)
}

func (a *linkedAccount) signal(ctx context.Context, device string, on bool) error {
	cloud, err := a.cloud()
	if err != nil {
		return err
	}
	return cloud.Signal(ctx, a.acc.AccessToken, device, on)
}

func (a *linkedAccount) ping(ctx context.Context, device string) (bool, error) {
	cloud, err := a.cloud()
	if err != nil {
		return false, err
	}
	defer a.m.lists.drop(a.key())
	return cloud.Ping(ctx, a.acc.AccessToken, device)
}

// events come from one stream of the account's own; a newer token has a feed of its own.
func (a *linkedAccount) events() *feedSource {
	return &feedSource{
		key:     a.key() + "/" + strconv.FormatInt(a.acc.Generation, 10),
		open:    a.m.live.subscribe,
		recheck: 30 * time.Second,
		common:  true,
		lacks:   func(device string) bool { return a.m.lists.lacks(a.key(), device) },
		moved:   func(string) { a.m.lists.drop(a.key()) },
		ended:   "ended: link your account again",
		died:    func(ctx context.Context) { a.m.reportDead(ctx, a.acc) },
		connect: func(ctx context.Context) (*particle.Stream, error) {
			cloud, err := a.cloud()
			if err != nil {
				return nil, err
			}
			return cloud.OpenStream(ctx, a.acc.AccessToken, particle.Source{})
		},
	}
}

// still asks linking again, since an unlinking may have been missed.
func (a *linkedAccount) still(ctx context.Context, _ string) bool {
	accounts, err := a.m.accountsOf(ctx)
	if err != nil {
		return true // linking is not there at the moment; the host has its own checks of who may listen
	}
	return slices.ContainsFunc(accounts, func(b tokenapi.Account) bool {
		return b.ID == a.acc.ID && b.State == tokenapi.Active && b.Generation == a.acc.Generation
	})
}

func (a *linkedAccount) words(err error, name string) *trouble { return troubleOf(err, name) }

// explain also tells linking about a refused token.
func (a *linkedAccount) explain(ctx context.Context, err error, name string) *trouble {
	if particle.Is(err, particle.DeadToken) && a.m.reportDead(ctx, a.acc) {
		return &trouble{Kind: "renewed", Message: "The link to Particle had ended and has just been renewed. Nothing was sent to the device.", Remedy: "Try again.", Status: http.StatusServiceUnavailable}
	}
	return troubleOf(err, name)
}

// accountsOf asks linking for the accounts of whoever ctx speaks for. They are asked for on each request and kept nowhere, so
// that an unlinked account is gone at once.
func (m *Devices) accountsOf(ctx context.Context) ([]tokenapi.Account, error) {
	var answer tokenapi.Accounts
	err := m.linking.ask(ctx, func() error { return m.host.Call(ctx, tokenapi.Service, tokenapi.Get, struct{}{}, &answer) })
	return answer.Accounts, err
}

// reportDead tells linking that Particle refused the token of an account. alive means that the account has a working token
// again: the request may be made once more by the person.
func (m *Devices) reportDead(ctx context.Context, acc tokenapi.Account) (alive bool) {
	var verdict tokenapi.Verdict
	err := m.host.Call(ctx, tokenapi.Service, tokenapi.ReportDead, tokenapi.Report{ID: acc.ID, Generation: acc.Generation}, &verdict)
	if err != nil {
		m.host.Log().Warn("a refused token could not be reported", "account", acc.ID, "error", err)
		return false
	}
	if verdict.State != tokenapi.Active {
		m.live.drop(accountKey(acc.ID))
	}
	m.lists.drop(accountKey(acc.ID))
	return verdict.State == tokenapi.Active
}

// remember fills a holding with what was known.
func (m *Devices) remember(ctx context.Context, h holding) holding {
	h.stale = true
	rows, err := m.records.lastSeen(ctx, sdk.UserFrom(ctx).UserID, h.key())
	if err != nil {
		m.host.Log().Warn("the last known devices cannot be read", "error", err)
	}
	for _, row := range rows {
		d := row.device()
		d.Online = false // nobody knows
		h.devices = append(h.devices, d)
	}
	return h
}
