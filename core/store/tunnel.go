package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// TunnelOptions say what one instance of a module may do in the store.
type TunnelOptions struct {
	Module        string
	Tables        []string           // the manifest's: all that it may touch while it runs
	Bearer        string             // proves a session for running; "" allows none
	MigrateBearer string             // proves a session for migrating; "" allows none
	AllowPID      func(pid int) bool // whether a process may connect; nil allows all of this user
	Publish       PublishFunc        // nil refuses events
	OnCommit      func()             // called after a transaction with an event in it was committed; may be nil
	Limits        Limits             // zero values mean the defaults
	Log           *slog.Logger       // nil discards
}

// PublishFunc stores an event of a module. tx is the module's own transaction with the host's rights; a savepoint (tx.Transaction) is
// fine, ending it is refused. It checks that the module may publish name. payload is JSON and not valid after the call.
type PublishFunc func(ctx context.Context, tx *gorm.DB, module, name, subject string, payload []byte) error

// Limits of one module.
type Limits struct {
	Sessions    int           // open at once
	Cursors     int           // unfinished results of one session
	Statement   time.Duration // one statement, with the wait for its turn to write
	TxIdle      time.Duration // between two statements of a transaction
	TxTotal     time.Duration // a transaction
	Result      int           // bytes of one result
	MigrateStep time.Duration // one statement of a migration
	MigrateAll  time.Duration // a migration
}

// defaultLimits are the limits where nothing else is said.
var defaultLimits = Limits{Sessions: 8, Cursors: 16, Statement: 10 * time.Second, TxIdle: 5 * time.Second, TxTotal: 30 * time.Second,
	Result: 64 << 20, MigrateStep: 60 * time.Second, MigrateAll: 2 * time.Minute}

func (l Limits) orDefaults() Limits {
	d := defaultLimits
	set := func(to *time.Duration, v time.Duration) {
		if v > 0 {
			*to = v
		}
	}
	set(&d.Statement, l.Statement)
	set(&d.TxIdle, l.TxIdle)
	set(&d.TxTotal, l.TxTotal)
	set(&d.MigrateStep, l.MigrateStep)
	set(&d.MigrateAll, l.MigrateAll)
	if l.Sessions > 0 {
		d.Sessions = l.Sessions
	}
	if l.Cursors > 0 {
		d.Cursors = l.Cursors
	}
	if l.Result > 0 {
		d.Result = l.Result
	}
	return d
}

const (
	helloTimeout = 5 * time.Second
	sessionWait  = 250 * time.Millisecond
	idleConn     = time.Minute // an unused SQLite connection is closed after this
	janitorEvery = 20 * time.Second
)

// Tunnel is the store as one instance of a module sees it. Safe for concurrent use.
type Tunnel struct {
	store   *Store
	options TunnelOptions
	limits  Limits
	log     *slog.Logger
	listed  func(table string) bool

	bearer, migrateBearer [sha256.Size]byte

	ctx    context.Context //nolint:containedctx // the life of the tunnel, of which every session is a part
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	listeners map[net.Listener]bool
	sessions  map[*session]bool
	idle      []*conn // read-only connections, the most recently used last
	closed    bool
	freed     chan struct{} // gets a token when a session has ended

	writer *conn // used and changed by whoever holds the turn to write

	counts   tunnelCounts
	lastWarn atomic.Int64 // Unix time in seconds
	muted    atomic.Int64 // warnings since
}

// warn logs at most once in a second: what it is about, a module can bring about as often as it likes.
func (t *Tunnel) warn(message string, args ...any) {
	if now := time.Now().Unix(); t.lastWarn.Swap(now) == now {
		t.muted.Add(1)
		return
	}
	t.log.Warn(message, append(args, "muted", t.muted.Swap(0))...)
}

type tunnelCounts struct {
	sessions, queries, execs, failed, denied, timeouts, rolledBack, events atomic.Int64
}

// TunnelStats counts since the tunnel was opened.
type TunnelStats struct {
	Open       int   `json:"open"`     // sessions now
	Sessions   int64 `json:"sessions"` // sessions ever
	Queries    int64 `json:"queries"`  // statements that gave rows
	Execs      int64 `json:"execs"`    // other statements
	Failed     int64 `json:"failed"`   // requests that ended in an error
	Denied     int64 `json:"denied"`   // of them by the authorizer
	Timeouts   int64 `json:"timeouts"` // statements and transactions that took too long
	RolledBack int64 `json:"rolled_back"`
	Events     int64 `json:"events"`
}

// Tunnel opens the store for one instance of a module. Close it when the instance is gone.
func (s *Store) Tunnel(o TunnelOptions) *Tunnel {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Tables = slices.Clone(o.Tables)
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tunnel{store: s, options: o, limits: o.Limits.orDefaults(), log: o.Log.With("module", o.Module), ctx: ctx, cancel: cancel,
		listeners: map[net.Listener]bool{}, sessions: map[*session]bool{}, freed: make(chan struct{}, 1),
		bearer: sha256.Sum256([]byte(o.Bearer)), migrateBearer: sha256.Sum256([]byte(o.MigrateBearer))}
	tables := map[string]bool{}
	for _, name := range o.Tables {
		tables[name] = true
	}
	t.listed = func(table string) bool { return tables[table] }
	t.wg.Go(t.janitor)
	return t
}

// Serve accepts sessions until Close, which it reports as nil. It closes l.
func (t *Tunnel) Serve(l net.Listener) error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return errors.Join(errClosed, l.Close())
	}
	t.listeners[l] = true
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.listeners, l)
		t.mu.Unlock()
		_ = l.Close() // Close may have done so
	}()
	for failures := 0; ; {
		nc, err := l.Accept()
		switch {
		case t.ctx.Err() != nil:
			if err == nil {
				_ = nc.Close() // nobody will use it
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// Such as too many open files: it passes, and a module whose store is gone for good would have to be restarted by hand.
			t.warn("the store cannot take a session at the moment", "error", err)
			select {
			case <-time.After(min(5*time.Millisecond<<min(failures, 8), time.Second)):
			case <-t.ctx.Done():
			}
			failures++
			continue
		}
		failures = 0
		t.accept(nc)
	}
}

// accept starts a session, unless there are too many. Sessions that have not said hello count as well, and have a few seconds for it.
func (t *Tunnel) accept(nc net.Conn) {
	s := newSession(t, nc)
	t.mu.Lock()
	if t.closed || len(t.sessions) >= 2*t.limits.Sessions {
		t.mu.Unlock()
		_ = nc.Close() // whoever it is gets no answer
		return
	}
	t.sessions[s] = true
	t.wg.Add(1)
	t.mu.Unlock()
	go func() {
		defer t.wg.Done()
		defer t.forget(s)
		s.serve()
	}()
}

func (t *Tunnel) forget(s *session) {
	t.mu.Lock()
	delete(t.sessions, s)
	t.mu.Unlock()
	select {
	case t.freed <- struct{}{}:
	default: // there is a token already
	}
}

// admit decides on a session that has said hello. migrate tells which of the two bearers it showed.
func (t *Tunnel) admit(s *session, bearer string) (migrate bool, err error) {
	sum := sha256.Sum256([]byte(bearer))
	run := t.options.Bearer != "" && subtle.ConstantTimeCompare(sum[:], t.bearer[:]) == 1
	migrate = t.options.MigrateBearer != "" && subtle.ConstantTimeCompare(sum[:], t.migrateBearer[:]) == 1
	if !run && !migrate {
		return false, fault.New(fault.Denied, "the store does not know this caller")
	}
	// A module that has just closed a session may open another before the host has noticed the first one's end.
	patience := time.NewTimer(sessionWait)
	defer patience.Stop()
	for !t.register(s) {
		select {
		case <-t.freed:
		case <-patience.C:
			return false, fault.New(fault.TooMany, "module %s has %d sessions with the store open already", t.options.Module, t.limits.Sessions)
		case <-t.ctx.Done():
			return false, errClosed
		}
	}
	return migrate, nil
}

// register counts a session in, if there is room.
func (t *Tunnel) register(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open() >= t.limits.Sessions {
		return false
	}
	s.admitted = true
	t.counts.sessions.Add(1)
	return true
}

// open counts sessions. The caller holds mu.
func (t *Tunnel) open() (n int) {
	for s := range t.sessions {
		if s.admitted {
			n++
		}
	}
	return n
}

// Close ends all sessions, rolls back what they had open and closes their connections. It returns when that is done.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	already := t.closed
	t.closed = true
	t.cancel()
	for l := range t.listeners {
		_ = l.Close() // Serve ends
	}
	for s := range t.sessions {
		_ = s.nc.Close() // serve ends
	}
	t.mu.Unlock()
	t.wg.Wait()
	if already {
		return nil
	}
	for _, c := range t.idle {
		c.close()
	}
	if t.writer != nil {
		t.writer.close()
	}
	t.idle, t.writer = nil, nil
	return nil
}

// Stats counts what happened so far.
func (t *Tunnel) Stats() TunnelStats {
	t.mu.Lock()
	open := t.open()
	t.mu.Unlock()
	c := &t.counts
	return TunnelStats{Open: open, Sessions: c.sessions.Load(), Queries: c.queries.Load(), Execs: c.execs.Load(), Failed: c.failed.Load(),
		Denied: c.denied.Load(), Timeouts: c.timeouts.Load(), RolledBack: c.rolledBack.Load(), Events: c.events.Load()}
}

// newAuthorizer gives the rules for running.
func (t *Tunnel) newAuthorizer() *authorizer {
	return &authorizer{module: t.options.Module, owns: t.listed, exists: t.store.exists}
}

// takeReader gives a read-only connection.
func (t *Tunnel) takeReader() (*conn, error) {
	t.mu.Lock()
	if n := len(t.idle); n > 0 {
		c := t.idle[n-1]
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return c, nil
	}
	t.mu.Unlock()
	return openConn(t.store.path, connKind{}, t.newAuthorizer())
}

// giveReader takes it back.
func (t *Tunnel) giveReader(c *conn) {
	if !c.finish() {
		c.close()
		return
	}
	c.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, c)
}

// takeWriter gives the module's write connection. The caller holds the turn to write.
func (t *Tunnel) takeWriter() (*conn, error) {
	if t.writer != nil {
		return t.writer, nil
	}
	c, err := openConn(t.store.path, connKind{write: true}, t.newAuthorizer())
	if err != nil {
		return nil, err
	}
	t.writer = c
	return c, nil
}

// giveWriter takes it back: to be called before the turn is handed on.
func (t *Tunnel) giveWriter(c *conn) {
	if !c.finish() {
		c.close()
		t.writer = nil
		return
	}
	c.since = time.Now()
}

// janitor closes connections that nobody has used for a while.
func (t *Tunnel) janitor() {
	tick := time.NewTicker(janitorEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		t.closeIdle(time.Now().Add(-idleConn))
	}
}

func (t *Tunnel) closeIdle(before time.Time) {
	t.mu.Lock()
	n := 0 // the first have been idle the longest
	for n < len(t.idle) && t.idle[n].since.Before(before) {
		n++
	}
	old := slices.Clone(t.idle[:n])
	t.idle = slices.Delete(t.idle, 0, n)
	t.mu.Unlock()
	for _, c := range old {
		c.close()
	}
	if err := t.store.queue.acquire(t.ctx, t.options.Module); err != nil {
		return
	}
	defer t.store.queue.release()
	if t.writer != nil && t.writer.since.Before(before) {
		t.writer.close()
		t.writer = nil
	}
}
