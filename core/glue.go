package core

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"mortise/core/catalogue"
	"mortise/core/config"
	"mortise/core/help"
	"mortise/core/identity"
	"mortise/core/jobs"
	"mortise/core/logbook"
	"mortise/core/mail"
	"mortise/core/manifest"
	"mortise/core/outbox"
	"mortise/core/sdk"
	"mortise/core/store"
	"mortise/core/supervisor"
	"mortise/core/theme"
	"mortise/core/wire"
)

// This file has the small functions by which parts that do not import each other meet.

// undelivered counts the events that wait for a module, for the ledger of a removal.
func (h *Host) undelivered(ctx context.Context, module string) (int64, error) {
	counts, err := h.outbox.Counts(ctx, module)
	return counts.Waiting + counts.Dead, err
}

// cleaners take away what the parts keep for a removed module, when its data is deleted.
func (h *Host) cleaners() []catalogue.Cleaner {
	whenDeleted := func(what string, forget func(ctx context.Context, m *catalogue.Module) error) catalogue.Cleaner {
		return catalogue.Cleaner{What: what, Forget: func(ctx context.Context, m *catalogue.Module, deleteData bool) error {
			if !deleteData {
				return nil
			}
			return forget(ctx, m)
		}}
	}
	return []catalogue.Cleaner{
		whenDeleted("tables", func(ctx context.Context, m *catalogue.Module) error { return h.store.DropModule(ctx, m.Manifest.ID) }),
		whenDeleted("secrets", func(ctx context.Context, m *catalogue.Module) error {
			_, err := h.vault.DeleteAll(ctx, m.Manifest.ID)
			return err
		}),
		whenDeleted("permissions", func(ctx context.Context, m *catalogue.Module) error {
			var ids []string
			for _, p := range m.InForce().Permissions {
				ids = append(ids, p.ID)
			}
			return h.people.ForgetPermissions(ctx, ids)
		}),
		whenDeleted("events", func(ctx context.Context, m *catalogue.Module) error { return h.outbox.Forget(ctx, m.Manifest.ID) }),
		whenDeleted("job runs", func(ctx context.Context, m *catalogue.Module) error { return h.jobs.Forget(ctx, m.Manifest.ID) }),
	}
}

// notify turns what identity has to tell a person into a mail.
func (h *Host) notify(ctx context.Context, n identity.Notice) error {
	paths := map[identity.NoticeKind]string{identity.NoticeReset: "/password/reset/", identity.NoticeInvite: "/password/reset/"}
	link := ""
	if path, ok := paths[n.Kind]; ok {
		link = h.URL() + path + url.PathEscape(n.Token)
	}
	subject, text, err := mail.Compose(mail.Kind(n.Kind), mail.Data{
		SiteName: h.site.Get(config.SiteName), SiteURL: h.URL(), Name: n.User.Name, Link: link, ExpiresAt: n.ExpiresAt, Location: n.User.Location(),
	})
	if err != nil {
		return fmt.Errorf("write the mail: %w", err)
	}
	return h.mail.Send(ctx, mail.Message{To: n.To, ToName: n.User.Name, Subject: subject, Text: text})
}

func (h *Host) mailTo(ctx context.Context, to, toName, subject, text string) error {
	return h.mail.Send(ctx, mail.Message{To: to, ToName: toName, Subject: subject, Text: text})
}

// subscribers are the modules that get events, by what was accepted of them: paused ones too, so that nothing is lost.
func (h *Host) subscribers() []outbox.Subscriber {
	var list []outbox.Subscriber
	for _, m := range h.catalogue.Modules() {
		if m.Row.Desired == catalogue.Enabled || m.Row.Desired == catalogue.Paused {
			list = append(list, outbox.Subscriber{Module: m.Manifest.ID, Paused: m.Row.Desired == catalogue.Paused, Events: m.InForce().Events})
		}
	}
	return list
}

func (h *Host) modulesWithJobs() []jobs.Module {
	var list []jobs.Module
	for _, m := range h.catalogue.Modules() {
		state := jobs.Down
		switch {
		case m.Row.Desired == catalogue.Paused:
			state = jobs.Paused
		case m.Row.Desired != catalogue.Enabled:
			continue
		case h.modules.Running(m.Manifest.ID):
			state = jobs.Running
		}
		list = append(list, jobs.Module{ID: m.Manifest.ID, Jobs: m.InForce().Jobs, State: state})
	}
	return list
}

// modulesChanged is told of each new route snapshot.
func (h *Host) modulesChanged() {
	if h.jobs != nil {
		h.jobs.Reload()
	}
	h.outbox.Wake()
	h.helpOfModules()
}

// followModules delivers what waited for a module, and looks at its schedules, as soon as it runs again. What needs somebody is
// counted after each change, and every few seconds, because a module's findings change by themselves.
func (h *Host) followModules(ctx context.Context) {
	changes := h.supervisor.Watch(ctx)
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		h.countFindings(ctx)
		select {
		case s, ok := <-changes:
			if !ok {
				return
			}
			if s.State == supervisor.Running {
				h.jobs.Reload()
				h.outbox.Wake()
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// helpOfModules shows the help pages that the modules bring.
func (h *Host) helpOfModules() {
	if h.help == nil {
		return // still being wired; openWeb publishes once everything stands
	}
	var pages []help.Module
	for _, m := range h.catalogue.Modules() {
		if m.HelpText != "" {
			pages = append(pages, help.Module{ID: m.Manifest.ID, Name: m.Manifest.Name, Text: m.HelpText})
		}
	}
	if err := h.help.SetModules(pages); err != nil {
		h.log.Warn("help pages of modules were left out", "error", err)
	}
}

// rolesWith tells which roles have which of the permissions, for the ledger of a removal.
func (h *Host) rolesWith(_ context.Context, permissions []string) (map[string][]string, error) {
	found := map[string][]string{}
	for role, granted := range h.people.Matrix().Granted {
		for _, p := range permissions {
			if granted[p] {
				found[p] = append(found[p], role)
			}
		}
	}
	for _, roles := range found {
		slices.Sort(roles)
	}
	return found, nil
}

// knownPermission tells whether the host or a module that is on has a permission of that name.
func (h *Host) knownPermission(id string) bool {
	if slices.ContainsFunc(identity.HostPermissions(), func(p identity.Permission) bool { return p.ID == id }) {
		return true
	}
	for _, m := range h.router.Load().Permissions() {
		if slices.ContainsFunc(m.Permissions, func(p manifest.Permission) bool { return p.ID == id }) {
			return true
		}
	}
	return false
}

// moduleLine puts one line of a module's log into the site's.
func (h *Host) moduleLine(module, version string, line wire.Line) {
	attrs := map[string]any{}
	for _, a := range line.Attrs {
		attrs[a.Key] = a.Value.Any()
	}
	if line.Dropped > 0 {
		attrs["dropped_lines"] = line.Dropped
	}
	severity := line.Level
	if line.Raw && severity < slog.LevelInfo {
		severity = slog.LevelInfo
	}
	h.book.Write(logbook.Line{Time: line.Time, Source: module, Severity: severity, Message: line.Message, Attrs: attrs})
}

// openTunnel makes a module's door to the store.
func (h *Host) openTunnel(r supervisor.TunnelRequest) (supervisor.Tunnel, error) {
	return tunnelDoor{h.store.Tunnel(store.TunnelOptions{
		Module: r.Manifest.ID, Tables: r.Manifest.Tables, Bearer: r.Bearer, MigrateBearer: r.MigrateBearer, AllowPID: r.AllowPID, Log: h.log,
		OnCommit: h.outbox.Wake, Publish: h.outbox.PublishFor,
	})}, nil
}

type tunnelDoor struct{ *store.Tunnel }

func (d tunnelDoor) Serve(l net.Listener) error { return d.Tunnel.Serve(l) }
func (d tunnelDoor) Close() error               { d.Tunnel.Close(); return nil }

// siteForModules is what a module may know of the site.
func (h *Host) siteForModules() sdk.Site {
	return sdk.Site{Name: h.site.Get(config.SiteName), PublicURL: h.URL()}
}

// applyTheme shows the site with the themes that its settings name. A theme that is gone gives way to the shipped one, so that
// pages go on.
func (h *Host) applyTheme() error {
	choose := func(surface, key, shipped string) string {
		want := h.site.Get(key)
		for _, t := range h.theme.Themes() {
			if t.ID == want && t.Surface == surface && t.Problem == "" {
				return want
			}
		}
		if want != shipped {
			h.log.Warn("theme cannot be used, the shipped one is shown", "theme", want, "surface", surface)
		}
		return shipped
	}
	// Chosen before Update: inside of it the renderer is locked.
	site, admin := choose(theme.SurfaceSite, config.ThemeSite, "customer"), choose(theme.SurfaceAdmin, config.ThemeAdmin, "admin")
	settings := map[string]map[string]string{}
	for _, t := range h.theme.Themes() {
		if values := h.site.Theme(t.ID); len(values) > 0 {
			settings[t.ID] = values
		}
	}
	_, err := h.theme.Update(func(c *theme.Config) { c.Site, c.Admin, c.Settings = site, admin, settings })
	return err
}

func (h *Host) siteChanged(changed []string) {
	if slices.ContainsFunc(changed, func(key string) bool { return strings.HasPrefix(key, "theme.") }) {
		if err := h.applyTheme(); err != nil {
			h.log.Error("theme was not changed", "error", err)
		}
	}
}

// sender is the address that mails come from: the site's setting, else the configuration's.
func (h *Host) sender() string {
	if from := h.site.Get(config.MailSender); from != "" {
		return from
	}
	return h.config.Sender()
}
