package particletest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a simulated cloud. The zero value is ready. The fields are read when the first request arrives or the first
// method is called; Faults alone may be changed later. It is safe for concurrent use.
type Server struct {
	Faults FaultSet // what goes wrong; nothing by default

	DeviceWait   time.Duration    // how long a function or variable call waits for a silent device before its 408; 30 s
	KeepAlive    time.Duration    // between the blank lines of a silent event stream; 9 s
	Beat         time.Duration    // between the events of sensors, while a stream is open; 5 s. Negative: none
	CodeLife     time.Duration    // of a one-time code; 30 s
	TokenLife    time.Duration    // of an access token; 90 days
	LoginStrikes int              // failed sign-ins in a row from one address until 30 minutes of refusal; 0: never
	LooseAuth    bool             // /oauth/authorize fills in a missing redirect_uri when exactly one is registered
	Seed         uint64           // makes ids, codes and tokens repeat from run to run; 0: random
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: none. Never gets tokens, bodies or passwords
	StateFile    string           // keeps the tokens and devices of the demo over a restart; "": nothing is kept. The file holds tokens

	once    sync.Once
	mux     *http.ServeMux
	control http.Handler
	closed  chan struct{}
	closing sync.Once

	bus bus

	mu            sync.Mutex
	random        source
	seeded        bool
	accounts      map[string]*account
	clients       map[string]*client
	products      []*product
	organizations []*organization
	claims        map[string]claim
	devices       map[string]*device
	order         []string // device ids as they were added
	tokens        map[string]*token
	refreshes     map[string]*token
	codes         map[string]*code
	tickets       map[string]ticket
	mfa           map[string]pendingMFA
	transfers     int
	calls         map[string]int
	total         int
	unknown       []string
	strikes       map[string]strike
	saveError     error
}

func (s *Server) init() {
	s.once.Do(func() {
		for _, d := range []struct {
			field *time.Duration
			value time.Duration
		}{
			{&s.DeviceWait, 30 * time.Second}, {&s.KeepAlive, 9 * time.Second}, {&s.Beat, 5 * time.Second},
			{&s.CodeLife, 30 * time.Second}, {&s.TokenLife, 7776000 * time.Second},
		} {
			if *d.field == 0 {
				*d.field = d.value
			}
		}
		if s.Now == nil {
			s.Now = time.Now
		}
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		s.closed = make(chan struct{})
		s.random = newSource(s.Seed)
		s.accounts, s.clients, s.devices = map[string]*account{}, map[string]*client{}, map[string]*device{}
		s.tokens, s.refreshes, s.codes = map[string]*token{}, map[string]*token{}, map[string]*code{}
		s.tickets, s.mfa = map[string]ticket{}, map[string]pendingMFA{}
		s.claims = map[string]claim{}
		s.calls, s.strikes = map[string]int{}, map[string]strike{}
		for _, id := range []string{"particle", "particle-api", "particle-cli"} { // public, for plain user sign-in
			s.clients[id] = &client{Client: Client{ID: id, Secret: id, Name: id, Type: Installed}, public: true}
		}
		s.mux = s.routes()
		s.control = s.controlPage()
	})
}

// ready also seeds the demo when nothing was seeded, and loads the state file.
func (s *Server) ready() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seeded {
		s.seedDemo(DemoEmail, DemoPassword)
	}
}

// ServeHTTP answers as api.particle.io does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.ready()
	if r.URL.Path == controlPath {
		s.control.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/favicon.ico" { // browsers ask by themselves, on the sign-in page
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.refuseUnknown(w, r)
		return
	}
	s.mu.Lock()
	s.calls[routeName(r, pattern)]++
	s.total++
	total := s.total
	s.mu.Unlock()
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if s.applyFaults(w, r, total) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) refuseUnknown(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.EscapedPath()
	s.mu.Lock()
	if len(s.unknown) < 1000 {
		s.unknown = append(s.unknown, request)
	}
	s.mu.Unlock()
	s.Log.Warn("request that the simulator does not know", "method", r.Method, "path", maskPath(r.URL.EscapedPath()))
	s.reply(w, http.StatusNotFound, object{"ok": false, "error": "particletest does not know " + r.Method + " " + maskPath(r.URL.Path)})
}

// Start serves on addr, such as "127.0.0.1:0", until stop is called, which ends streams and waits at most five seconds.
func (s *Server) Start(addr string) (url string, stop func(), err error) {
	s.ready()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		_ = s.Serve(ctx, listener)
	}()
	return "http://" + listener.Addr().String(), func() { cancel(); <-done }, nil
}

// Serve serves on the listener until ctx ends. It then ends the streams and waits at most five seconds for the rest.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	s.ready()
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	stopped := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.Close()
		limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if server.Shutdown(limit) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	if !unhook() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends all event streams, hanging answers and waits for devices. The handler keeps answering other requests.
func (s *Server) Close() {
	s.init()
	s.closing.Do(func() { close(s.closed) })
}

// wait sleeps, unless the client leaves or the server closes; then it returns false.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.closed:
	}
	return false
}
