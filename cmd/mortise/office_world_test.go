package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/plugins"
)

// The tests of office_*_test.go are about the site of a maker: modules, host and customers as real processes and people, beside a
// cloud that runs in the test. That cloud outlives the host, as Particle does, and every request to it is seen.

const (
	benEmail    = "ben@demo.example"
	benPassword = "water-the-roses"
	inaEmail    = "ina@demo.example"
	inaPassword = "up-the-ladder"
	workspace   = "/admin/organizations/workspaces/1"
	garden      = "1/" + plugins.ParticleDemoProduct
)

// fleetLamp is the id of the nth lamp of the product. Ben has 4, 5 and 7.
func fleetLamp(n int) string { return fmt.Sprintf("e00fce6800000000001%05d", n) }

// office is a filled demonstration whose workspace and linking use the test's own cloud.
type office struct {
	*world
	cloud *plugins.ParticleCloud
	seen  *overheard
}

// newBackOffice starts a site that its maker has set up already.
func newBackOffice(t *testing.T) (*office, *visitor) {
	t.Helper()
	o := &office{cloud: &plugins.ParticleCloud{DeviceWait: 3 * time.Second}, seen: &overheard{}}
	o.seen.next = o.cloud
	server := httptest.NewServer(o.seen)
	t.Cleanup(func() {
		o.cloud.Close()
		server.CloseClientConnections()
		server.Close()
	})
	o.world = newWorld(t)
	o.Particle.URL = server.URL
	ada := o.admin()
	o.connects(ada, plugins.ParticleDemoAPIToken)
	ada.sends("/admin/modules/linking/settings", "_form", "1", "base_url", server.URL, "client_id", plugins.ParticleDemoClientID, "client_secret", plugins.ParticleDemoClientSecret)
	o.cloud.AddRedirectURI(plugins.ParticleDemoClientID, o.URL+"/linking/particle/callback")
	return o, ada
}

// connects gives the workspace a token at the test's cloud.
func (o *office) connects(ada *visitor, token string) {
	o.t.Helper()
	var form struct {
		Version int64 `json:"version"`
	}
	ada.reads(workspace+"/edit", &form)
	ada.sends(workspace+"/edit", "name", "Mortise Garden", "base_url", o.Particle.URL, "token", token, "version", fmt.Sprint(form.Version))
}

// again starts a host on the same data, as an operator does after a power cut.
func (o *office) again() {
	o.t.Helper()
	next := &world{t: o.t, data: o.data, ready: o.ready, exited: make(chan struct{}), logs: o.logs, program: o.program}
	line := next.start([]string{"serve", "--data", o.data, "--listen", "127.0.0.1:0", "--json"})
	var told struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(line, &told); err != nil {
		o.t.Fatalf("serve printed %q: %v", line, err)
	}
	next.URL = told.URL
	o.world = next
}

func (o *office) ben() *visitor { return o.visit().signIn(benEmail, benPassword) }

// calls tells how often each route of the cloud was asked.
func (o *office) calls() map[string]int { return o.cloud.AllCalls() }

// more names the routes that were asked since.
func more(before, after map[string]int) []string {
	list := []string{}
	for _, route := range slices.Sorted(maps.Keys(after)) {
		if n := after[route] - before[route]; n > 0 {
			list = append(list, fmt.Sprintf("%s ×%d", route, n))
		}
	}
	return list
}

// overheard is the way to the cloud: it keeps what was asked.
type overheard struct {
	next     http.Handler
	mu       sync.Mutex
	requests []string
}

func (s *overheard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.String()+"\n"+string(body))
	s.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.next.ServeHTTP(w, r)
}

// with lists the requests that have a text in their address or body, as written or escaped.
func (s *overheard) with(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []string{}
	for _, request := range s.requests {
		if low := strings.ToLower(request); strings.Contains(low, text) || strings.Contains(low, strings.ToLower(url.QueryEscape(text))) {
			list = append(list, request)
		}
	}
	return list
}

// told is what a program gets for a form that led somewhere.
type told struct {
	answer
	Redirect string `json:"redirect"`
	Message  struct {
		Tone string `json:"tone"`
		Text string `json:"text"`
	} `json:"message"`
}

// submit sends a form as a program does, and gives what came back.
func (v *visitor) submit(path string, pairs ...string) told {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	a := v.do(http.MethodPost, path, strings.NewReader(form.Encode()),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "X-Csrf-Token": {v.csrf}})
	out := told{answer: a}
	_ = json.Unmarshal([]byte(a.body), &out) // a page with mistakes in the form has another shape
	return out
}

// sends is submit for a form that must be accepted.
func (v *visitor) sends(path string, pairs ...string) told {
	v.t.Helper()
	a := v.submit(path, pairs...)
	if a.status >= http.StatusBadRequest || a.Message.Tone == "bad" {
		v.t.Fatalf("POST %s %v answered %v", path, pairs, a.answer)
	}
	return a
}

// reads gets a page's data.
func (v *visitor) reads(path string, out any) answer {
	v.t.Helper()
	a := v.json(http.MethodGet, path, nil, out)
	if a.status != http.StatusOK {
		v.t.Fatalf("GET %s answered %v", path, a)
	}
	return a
}

// status asks for a page and gives nothing but its status.
func (v *visitor) status(path string) int {
	v.t.Helper()
	return v.json(http.MethodGet, path, nil, nil).status
}

// once gets the word of a page's form, which makes it act once.
func (v *visitor) once(path string) string {
	v.t.Helper()
	var page struct {
		Once string `json:"once"`
		Form struct {
			Once string `json:"once"`
		} `json:"form"`
	}
	v.reads(path, &page)
	if page.Once == "" {
		return page.Form.Once
	}
	return page.Once
}

// personID finds a customer.
func (v *visitor) personID(name string) int64 {
	v.t.Helper()
	var list struct {
		People []struct {
			ID   int64  `json:"id"`
			Name string `json:"name"`
		} `json:"people"`
	}
	v.reads("/admin/customers?q="+url.QueryEscape(name), &list)
	if len(list.People) != 1 {
		v.t.Fatalf("%d customers are called %s", len(list.People), name)
	}
	return list.People[0].ID
}

func personPage(id int64) string { return fmt.Sprintf("/admin/customers/people/%d", id) }

// runs has a job of a module run now, and waits for its end.
func (v *visitor) runs(module, job string) {
	v.t.Helper()
	var page struct {
		Jobs []struct {
			ID      string `json:"id"`
			Running bool   `json:"running"`
		} `json:"jobs"`
	}
	path := "/admin/modules/" + module + "/jobs"
	// One that runs just now is waited for: it may have looked before what is to be done was there.
	begun := false
	eventually(v.t, 40*time.Second, "the job "+job+" can start", func() bool {
		if v.reads(path, &page); !slices.ContainsFunc(page.Jobs, func(j struct {
			ID      string `json:"id"`
			Running bool   `json:"running"`
		}) bool {
			return j.ID == job && j.Running
		}) {
			begun = v.submit(path+"/"+job+"/run").status < http.StatusBadRequest
		}
		return begun
	})
	eventually(v.t, 40*time.Second, "the job "+job+" ends", func() bool {
		v.reads(path, &page)
		for _, j := range page.Jobs {
			if j.ID == job {
				return !j.Running
			}
		}
		v.t.Fatalf("%s has no job %s", module, job)
		return false
	})
}

// pursues has a job run, again and again, until what it works on is done.
func (v *visitor) pursues(module, job, what string, ok func() bool) {
	v.t.Helper()
	limit, again := time.After(45*time.Second), time.NewTicker(time.Second)
	defer again.Stop()
	for v.runs(module, job); !ok(); v.runs(module, job) {
		select {
		case <-again.C:
		case <-limit:
			v.t.Fatalf("not within 45 s of runs of %s: %s", job, what)
		}
	}
}

// sseStream is an open stream of events.
type sseStream struct {
	t     testing.TB
	lines chan string // closed at its end
	close func()
}

// streams opens the event stream of a device.
func (v *visitor) streams(device string) *sseStream {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.base+"/devices/"+device+"/events", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	long := http.Client{Jar: v.http.Jar, Transport: v.http.Transport}
	response, err := long.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		v.t.Fatalf("the events of %s answered %d", device, response.StatusCode)
	}
	s := &sseStream{t: v.t, lines: make(chan string, 1000), close: func() { _ = response.Body.Close() }}
	go func() { // ends with the stream
		defer close(s.lines)
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			select {
			case s.lines <- scanner.Text():
			default:
			}
		}
	}()
	return s
}

// hears waits for a line with a text.
func (s *sseStream) hears(text string) {
	s.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				s.t.Fatalf("the stream ended before %q came", text)
			}
			if strings.Contains(line, text) {
				return
			}
		case <-limit:
			s.t.Fatalf("%q did not come within 10 s", text)
		}
	}
}

// ends fails unless the stream ends in time.
func (s *sseStream) ends(within time.Duration) {
	s.t.Helper()
	limit := time.After(within)
	for {
		select {
		case _, open := <-s.lines:
			if !open {
				return
			}
		case <-limit:
			s.t.Errorf("the stream is still open after %s", within)
			s.close()
			return
		}
	}
}
