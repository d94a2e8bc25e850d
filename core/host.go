package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mortise/core/catalogue"
	"mortise/core/config"
	"mortise/core/control"
	"mortise/core/help"
	"mortise/core/identity"
	"mortise/core/jobs"
	"mortise/core/logbook"
	"mortise/core/mail"
	"mortise/core/modules"
	"mortise/core/outbox"
	"mortise/core/router"
	"mortise/core/sdk"
	"mortise/core/secret"
	"mortise/core/services"
	"mortise/core/status"
	"mortise/core/store"
	"mortise/core/supervisor"
	"mortise/core/theme"
	"mortise/core/web"
	"mortise/core/wire"
	"mortise/themes"
)

// Version is the host's version; modules name a range of it.
const Version = catalogue.HostVersion

// Options are what the configuration does not say.
type Options struct {
	Stderr io.Writer // where the log goes besides the store; nil means os.Stderr
	Quiet  bool      // only warnings and errors go there: a command is at work, not a server
	Demo   bool      // the pages say that this is a demonstration
}

// Host is one site. The fields stand in the order in which New makes them; each part knows only parts above it, except for
// three knots that functions tie: the manager and the supervisor, services and the supervisor, identity and the outbox.
type Host struct {
	config   config.Config
	started  time.Time
	running  atomic.Bool
	findings atomic.Int64 // that need somebody, counted every few seconds

	lock       *folderLock
	book       *logbook.Book
	log        *slog.Logger
	store      *store.Store
	vault      *secret.Vault
	site       *config.Site
	mail       *mail.Sender
	people     *identity.Service
	outbox     *outbox.Outbox
	catalogue  *catalogue.Catalogue
	theme      *theme.Renderer
	router     *router.Router
	modules    *modules.Manager
	claims     *services.Claims
	services   *services.Services
	supervisor *supervisor.Supervisor
	jobs       *jobs.Scheduler
	help       *help.Book
	board      *status.Board
	web        *web.Server

	closers []func(context.Context) error // in the order of making; Close runs them backwards
}

// New makes every part of the site in the data folder, which no other host may have open. It starts no module and listens
// nowhere: Serve does. On an error everything that was opened is closed again.
func New(ctx context.Context, c config.Config, o Options) (*Host, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	h := &Host{config: c, started: time.Now()}
	for _, part := range []func(context.Context, Options) error{
		h.openFolder, h.openStore, h.openPeople, h.openModules, h.openLife, h.openWeb,
	} {
		if err := part(ctx, o); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// onClose remembers how to end a part.
func (h *Host) onClose(end func(context.Context) error) { h.closers = append(h.closers, end) }

func (h *Host) openFolder(_ context.Context, o Options) error {
	if err := os.MkdirAll(h.config.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := lockFolder(h.config.Data)
	if err != nil {
		return err
	}
	h.lock = lock
	h.onClose(func(context.Context) error { return lock.release() })

	stderr := o.Stderr
	if stderr == nil {
		stderr = os.Stderr
	}
	level := h.config.LogLevel
	if o.Quiet {
		level = max(level, slog.LevelWarn)
	}
	h.book = logbook.New(logbook.Options{Stderr: stderr, JSON: h.config.LogFormat == "json", Level: level})
	h.log = h.book.Logger()
	return nil
}

func (h *Host) openStore(ctx context.Context, _ Options) (err error) {
	h.store, err = store.Open(ctx, store.Options{Path: h.config.StorePath(), Log: h.log})
	if err != nil {
		return err
	}
	h.onClose(func(context.Context) error { return h.store.Close() })
	h.book.Attach(h.store)
	h.onClose(h.book.Close) // runs before the store closes: what was logged so far is written

	h.vault, err = secret.Open(ctx, h.store, secret.Options{
		File: h.config.KeyPath(), Key: h.config.Key, PreviousKeys: h.config.PreviousKeys, Log: h.log,
		OtherSealed: func(ctx context.Context) (bool, error) { return catalogue.HasSealed(ctx, h.store.Read(ctx)) },
	})
	if err != nil {
		return err
	}
	if h.site, err = config.OpenSite(ctx, h.store); err != nil {
		return err
	}
	h.mail, err = mail.New(mail.Options{
		URL: h.config.SMTPURL, From: h.sender, Folder: h.config.MailDir(), Log: h.log,
		SiteName: func() string { return h.site.Get(config.SiteName) },
	})
	if err != nil {
		return err
	}
	h.onClose(h.mail.Close)
	return nil
}

func (h *Host) openPeople(ctx context.Context, _ Options) (err error) {
	h.outbox = outbox.New(outbox.Options{
		Store: h.store, Log: h.log, Subscribers: h.subscribers,
		Deliver: func(ctx context.Context, module string, e sdk.Event) error {
			return h.supervisor.Deliver(ctx, module, e)
		},
		Running: func(module string) bool { return h.modules.Running(module) },
	})
	h.people, err = identity.New(ctx, h.store, identity.Options{
		Log: h.log, RegistrationOpen: func() bool { return h.site.Bool("registration.open") },
		Publish: h.outbox.Publish, Ask: h.outbox.Ask, Notify: h.notify, KnownPermission: h.knownPermission,
	})
	if err != nil {
		return err
	}
	h.onClose(h.people.Close)
	return nil
}

func (h *Host) openModules(ctx context.Context, _ Options) (err error) {
	h.catalogue, err = catalogue.New(ctx, catalogue.Options{
		Store: h.store, Dirs: h.config.Plugins, HostVersion: Version, Sealer: h.vault, Log: h.log,
		TableRows: h.store.TableRows, Secrets: h.vault.Count, Undelivered: h.undelivered, RolesOf: h.rolesWith, Cleaners: h.cleaners(),
	})
	if err != nil {
		return err
	}
	roots := []fs.FS{themes.FS}
	for _, dir := range append(h.config.Themes, filepath.Join(h.config.Data, "themes")) {
		roots = append(roots, os.DirFS(dir)) // may come to be later
	}
	if h.theme, err = theme.New(theme.Options{Themes: roots}); err != nil {
		return err
	}
	h.router = &router.Router{}
	h.modules = modules.New(modules.Options{
		Catalogue: h.catalogue, Router: h.router, Theme: h.theme, People: h.people, Log: h.log, Changed: h.modulesChanged,
	})
	return nil
}

func (h *Host) openLife(ctx context.Context, _ Options) error {
	if _, err := wire.Sweep(h.config.RunDir(), h.log); err != nil {
		return fmt.Errorf("clear what a killed host left: %w", err)
	}
	h.claims = services.NewClaims()
	h.services = services.New(services.Options{
		Manifest: h.modules.Manifest, Enabled: h.modules.Manifests, Running: h.modules.Running,
		// The supervisor is made from the services, so it is looked up when a call comes.
		CallModule: func(ctx context.Context, module string, call sdk.Call, claim, requestID string) ([]byte, error) {
			return h.supervisor.Call(ctx, module, call, claim, requestID)
		},
		CallHost: h.hostServices().Call, PublishFact: h.outbox.PublishNow, Secrets: h.vault, People: peopleForModules{h}, QueueMail: h.mailTo,
		HoldsWriter: h.store.HoldsWriter, RequestID: wire.RequestID, Claims: h.claims, Log: h.log,
	})
	h.supervisor = supervisor.New(supervisor.Options{
		RunDir: h.config.RunDir(), Log: h.log, Lines: h.moduleLine, Catalogue: h.modules.Rows(), Services: h.services,
		Tunnel: h.openTunnel, Applied: h.store.Applied, Publish: h.modules.Publish, Site: h.siteForModules,
	})
	h.onClose(h.supervisor.StopAll)
	h.modules.Supervise(h.supervisor)
	if err := h.supervisor.Adopt(ctx); err != nil {
		return err
	}
	h.jobs = jobs.New(jobs.Options{Store: h.store, Modules: h.modulesWithJobs, RunJob: h.supervisor.RunJob, Log: h.log})
	return nil
}

func (h *Host) openWeb(ctx context.Context, o Options) (err error) {
	if h.help, err = help.New("/admin/help"); err != nil {
		return err
	}
	h.board = status.New(h.statusOfHost, h.statusOfModules)
	if err := h.applyTheme(); err != nil {
		return err
	}
	h.site.OnChange(h.siteChanged)
	if err := h.modules.Publish(ctx); err != nil {
		return err
	}
	key, err := web.SigningKey(ctx, h.vault)
	if err != nil {
		return err
	}
	certificate, err := h.certificate()
	if err != nil {
		return err
	}
	h.web, err = web.New(h.webOptions(o, h.claims, key, certificate))
	return err
}

func (h *Host) certificate() (*tls.Config, error) {
	if !h.config.TLS() {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(h.config.TLSCert, h.config.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("load the TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// Serve starts the modules, the schedules and the deliveries, and answers requests until ctx ends. ready is called once pages
// are served. Modules start beside it: until one runs, its pages say so.
func (h *Host) Serve(ctx context.Context, listener net.Listener, ready func()) error {
	admin, err := control.Listen(control.SocketPath(h.config.Data), h.Operations())
	if err != nil {
		_ = listener.Close()
		return err
	}
	h.onClose(func(context.Context) error { return admin.Close() })
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return quiet(h.outbox.Run(ctx)) })
	group.Go(func() error { h.followModules(ctx); return nil })
	group.Go(func() error { return quiet(h.jobs.Run(ctx)) })
	group.Go(func() error { return h.web.Serve(listener) })
	group.Go(func() error {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return h.web.Shutdown(bounded)
	})
	group.Go(func() error {
		if err := h.supervisor.StartAll(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("not every module started", "error", err)
		}
		if ctx.Err() != nil {
			return nil // nobody shall be told that the site is ready while it stops
		}
		h.running.Store(true)
		h.log.Info("site is ready", "url", h.URL(), "took", time.Since(h.started))
		ready()
		return nil
	})
	return group.Wait()
}

// quiet drops the error that only says that the host is stopping.
func quiet(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// closeBudget bounds Close: the modules get most of it.
const closeBudget = 25 * time.Second

// Close ends everything in reverse order. It may be called at any time, also after New failed half way.
func (h *Host) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeBudget)
	defer cancel()
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i](ctx))
	}
	h.closers = nil
	return errors.Join(errs...)
}

// URL is the site's public address.
func (h *Host) URL() string { return h.config.SiteURL() }

// SetupLink gives the one-time address where the first administrator is made; "" when there is one already.
func (h *Host) SetupLink(ctx context.Context) (string, error) {
	token, needed, err := h.people.SetupToken(ctx)
	if err != nil || !needed {
		return "", err
	}
	return h.URL() + "/setup/" + token, nil
}
