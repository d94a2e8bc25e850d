package particletest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Faults are what goes wrong. The zero value is a cloud in order.
type Faults struct {
	Rules []Rule `json:"rules"` // the first that fits a request is applied

	// Devices.
	Offline       bool          `json:"offline"`        // every device is
	OfflineAs     int           `json:"offline_as"`     // how a call says so: 408 (0 means this), 400 as in 2015, 200 with connected false
	DeviceLatency time.Duration `json:"device_latency"` // added to every device's own; nanoseconds

	// Shapes of answers.
	WrongShapes bool `json:"wrong_shapes"` // numbers as text, online missing, product in a list, ttl as text, functions null
	Truncated   bool `json:"truncated"`    // JSON is cut in the middle

	PageLatency time.Duration `json:"page_latency"` // before each page of a product's devices and customers; nanoseconds
	ProductList bool          `json:"product_list"` // GET /v1/products/{product} has a list of one, as in 2018
	ScopeAs     int           `json:"scope_as"`     // how a missing scope is refused: 400 invalid_scope (0 means this) or 403

	// Event streams.
	StreamStatus  int  `json:"stream_status"`   // opening one is refused with it: 401, 403, 429, 500
	StreamBroken  bool `json:"stream_broken"`   // open ones are cut, new ones right after their first bytes
	StreamStalled bool `json:"stream_stalled"`  // open, but not a byte comes, keep-alives neither
	StreamCRLF    bool `json:"stream_crlf"`     // lines end with \r\n
	StreamSplit   bool `json:"stream_split"`    // each frame arrives in two pieces
	StreamNoHello bool `json:"stream_no_hello"` // without the first ":ok"

	StreamLimit     int  `json:"stream_limit"`     // 529 for more open ones than so many; 0: never. Upstream: 100 an address
	StreamOpenings  int  `json:"stream_openings"`  // 429 for more openings than so many within five minutes; 0: never. Upstream: 100 an address
	EventsTwice     bool `json:"events_twice"`     // each event is delivered two times
	EventsReordered bool `json:"events_reordered"` // each second event is delivered before the one ahead of it

	// OAuth.
	CodeExpired bool `json:"code_expired"` // every one-time code is too old when it is exchanged

	RateLimit int `json:"rate_limit"` // 429 for each request after so many; 0: never
}

// Rule makes all requests to some paths fail in one way. Fields combine: a latency before a status.
type Rule struct {
	Prefix  string        `json:"prefix"`  // of the path; "" fits all
	Method  string        `json:"method"`  // "" fits all
	Times   int           `json:"times"`   // for so many requests, after which the rule is gone; 0: for all
	After   bool          `json:"after"`   // a request that changes something is carried out first, and fails all the same
	Latency time.Duration `json:"latency"` // before the answer; nanoseconds
	Hang    bool          `json:"hang"`    // no answer until the client leaves
	Drop    bool          `json:"drop"`    // the connection is cut without an answer
	Status  int           `json:"status"`  // answered with the API's body for it
	HTML    bool          `json:"html"`    // an HTML page as of a proxy, with Status or 502
	NotOK   bool          `json:"not_ok"`  // 200 with "ok": false
}

// FaultSet holds the faults of a running server. The zero value has none. It is safe for concurrent use.
type FaultSet struct {
	mu      sync.Mutex
	faults  Faults
	changed chan struct{}
}

// Get returns a copy.
func (f *FaultSet) Get() Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.copied()
}

func (f *FaultSet) copied() Faults {
	c := f.faults
	c.Rules = slices.Clone(c.Rules)
	return c
}

// Set replaces all faults; Set(Faults{}) ends them.
func (f *FaultSet) Set(faults Faults) { f.Update(func(old *Faults) { *old = faults }) }

// Update changes some.
func (f *FaultSet) Update(change func(*Faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.copied()
	change(&c)
	f.faults = c
	f.faults.Rules = slices.Clone(c.Rules)
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// watch returns the faults and a channel that is closed at the next change.
func (f *FaultSet) watch() (Faults, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.copied(), f.changed
}

// take gives the first rule that fits a request, and counts it.
func (f *FaultSet) take(method, path string) (Rule, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.faults.Rules {
		if !strings.HasPrefix(path, r.Prefix) || r.Method != "" && r.Method != method {
			continue
		}
		switch {
		case r.Times == 1:
			f.faults.Rules = slices.Delete(slices.Clone(f.faults.Rules), i, i+1)
		case r.Times > 1:
			f.faults.Rules = slices.Clone(f.faults.Rules)
			f.faults.Rules[i].Times--
		}
		return r, true
	}
	return Rule{}, false
}

// nowhere is where the answer of a request goes that is carried out and fails all the same.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// applyFaults answers a request that a fault concerns, and tells whether it did.
func (s *Server) applyFaults(w http.ResponseWriter, r *http.Request, total int) bool {
	f := s.Faults.Get()
	if f.RateLimit > 0 && total > f.RateLimit {
		s.refuse(w, r, http.StatusTooManyRequests)
		return true
	}
	rule, ok := s.Faults.take(r.Method, r.URL.Path)
	if !ok {
		return false
	}
	if rule.After && r.Method != http.MethodGet {
		s.mux.ServeHTTP(nowhere{http.Header{}}, r)
	}
	if !s.wait(r, rule.Latency) {
		return true
	}
	switch {
	case rule.Hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	case rule.Drop:
		panic(http.ErrAbortHandler)
	case rule.HTML:
		status := rule.Status
		if status == 0 {
			status = http.StatusBadGateway
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<html><head><title>%d</title></head><body><center><h1>%d %s</h1></center></body></html>\n", status, status, http.StatusText(status))
	case rule.NotOK:
		s.fail(w, http.StatusOK, "Something went wrong")
	case rule.Status != 0:
		s.refuse(w, r, rule.Status)
	default:
		return false
	}
	return true
}

// refuse answers with the API's body for a status.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int) {
	switch {
	case status == http.StatusUnauthorized:
		s.oauthError(w, "invalid_token", "The access token provided is invalid.")
	case status == http.StatusForbidden:
		s.reply(w, status, permissionDenied)
	case status == http.StatusTooManyRequests:
		s.oauthError(w, "rate_limit_exceeded", "Too many requests")
	case status == http.StatusServiceUnavailable || status >= 500 && strings.HasPrefix(r.URL.Path, "/oauth/"):
		s.reply(w, status, object{"error": "server_error", "error_description": "Internal server error"})
	case status == statusOverloaded:
		s.fail(w, status, "Too many event streams")
	default:
		s.fail(w, status, http.StatusText(status))
	}
}

// statusOverloaded is 529, which the documentation mentions for event streams.
const statusOverloaded = 529

// FaultNames are the names that ParseFault knows, for help texts.
var FaultNames = []string{"offline", "slow", "slow_devices", "500", "503", "429", "401", "hang", "drop", "html", "not_ok", "truncated",
	"wrong_shapes", "broken_stream", "stalled_stream", "crlf_stream", "split_stream", "code_expired", "rate_limit",
	"529", "done500", "donehang", "donedrop", "slow_pages", "product_list", "scope_403", "stream_limit", "double_events", "reorder_events"}

// ParseFault reads a fault as it is written on a command line: name, name=value, and @prefix for the faults that concern
// paths. Before the prefix may stand a method, and after it for how many requests: "500@PUT /v1/products#2". A name that
// begins with "done" is of a request that is carried out and fails all the same: "done500@POST /v1/products#1".
//
// Examples: "offline", "slow=3s@/v1/devices", "500@/oauth/token", "rate_limit=100". It returns the change to make.
func ParseFault(text string) (func(*Faults), error) {
	spec, prefix, _ := strings.Cut(text, "@")
	name, value, _ := strings.Cut(spec, "=")
	duration := 3 * time.Second
	if value != "" && (name == "slow" || name == "slow_devices" || name == "slow_pages") {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("fault %q: %q is not a duration such as 3s", text, value)
		}
		duration = d
	}
	method, path, times, err := parseTarget(text, prefix)
	if err != nil {
		return nil, err
	}
	rule := func(r Rule) (func(*Faults), error) {
		r.Prefix, r.Method, r.Times = path, method, times
		return func(f *Faults) { f.Rules = append([]Rule{r}, f.Rules...) }, nil
	}
	done := strings.HasPrefix(name, "done")
	if status, err := strconv.Atoi(strings.TrimPrefix(name, "done")); err == nil && status >= 400 && status <= 599 {
		return rule(Rule{Status: status, After: done})
	}
	switch name {
	case "donehang":
		return rule(Rule{Hang: true, After: true})
	case "donedrop":
		return rule(Rule{Drop: true, After: true})
	case "slow_pages":
		return func(f *Faults) { f.PageLatency = duration }, nil
	case "slow":
		return rule(Rule{Latency: duration})
	case "hang":
		return rule(Rule{Hang: true})
	case "drop":
		return rule(Rule{Drop: true})
	case "html":
		return rule(Rule{HTML: true})
	case "not_ok":
		return rule(Rule{NotOK: true})
	case "slow_devices":
		return func(f *Faults) { f.DeviceLatency = duration }, nil
	case "rate_limit", "stream_limit":
		if value == "" && name == "stream_limit" {
			value = "100"
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("fault %q: wants a number, such as %s=100", text, name)
		}
		if name == "stream_limit" {
			return func(f *Faults) { f.StreamLimit = n }, nil
		}
		return func(f *Faults) { f.RateLimit = n }, nil
	}
	if set := switches[name]; set != nil {
		return set, nil
	}
	return nil, fmt.Errorf("fault %q is unknown; there are %s", text, strings.Join(FaultNames, ", "))
}

// parseTarget reads "[METHOD ]prefix[#times]".
func parseTarget(text, target string) (method, path string, times int, err error) {
	path = target
	if before, after, found := strings.Cut(path, "#"); found {
		if times, err = strconv.Atoi(after); err != nil || times < 1 {
			return "", "", 0, fmt.Errorf("fault %q: %q is not a number of requests", text, after)
		}
		path = before
	}
	if before, after, found := strings.Cut(path, " "); found {
		if strings.Trim(before, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return "", "", 0, fmt.Errorf("fault %q: %q is not a method", text, before)
		}
		method, path = before, after
	}
	return method, path, times, nil
}

var switches = map[string]func(*Faults){
	"offline":        func(f *Faults) { f.Offline = true },
	"truncated":      func(f *Faults) { f.Truncated = true },
	"wrong_shapes":   func(f *Faults) { f.WrongShapes = true },
	"broken_stream":  func(f *Faults) { f.StreamBroken = true },
	"stalled_stream": func(f *Faults) { f.StreamStalled = true },
	"crlf_stream":    func(f *Faults) { f.StreamCRLF = true },
	"split_stream":   func(f *Faults) { f.StreamSplit = true },
	"code_expired":   func(f *Faults) { f.CodeExpired = true },
	"product_list":   func(f *Faults) { f.ProductList = true },
	"scope_403":      func(f *Faults) { f.ScopeAs = http.StatusForbidden },
	"double_events":  func(f *Faults) { f.EventsTwice = true },
	"reorder_events": func(f *Faults) { f.EventsReordered = true },
}
