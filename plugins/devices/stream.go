package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// eventsData is the view "events": what is remembered, for browsers without script and for programs.
type eventsData struct {
	Device   deviceView  `json:"device"`
	Events   []eventView `json:"events"` // the newest first
	After    int64       `json:"after"`
	Upstream string      `json:"upstream"`
	Live     bool        `json:"live"`
}

// followEvents streams what happens with a device as Server-Sent Events:
//
//	event: event     a device or the account published something; data is an eventView, id its number
//	event: value     variables were read: {"values":{name: valueView}}
//	event: late      the same, for values that a page gave up waiting for
//	event: call      a function was called from a page: {"call": callView}
//	event: device    it went online or offline: {"device":{"online","status","last_heard"}}
//	event: upstream  {"upstream":{"state":"live|connecting|reconnecting|dead","text"}}
//	event: missed    {"missed":n} messages were lost because the page did not keep up
//
// The last events come first, those after ?after= or Last-Event-ID alone. A browser that opens the address as a page, and a
// program that asks for JSON, get the last events instead.
func (m *Devices) followEvents(w http.ResponseWriter, r *http.Request) {
	t, err := m.find(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	accept := r.Header.Get("Accept")
	if !strings.Contains(accept, "text/event-stream") && (strings.Contains(accept, "text/html") || strings.Contains(accept, "application/json")) {
		m.showEvents(w, r, t)
		return
	}
	from := t.events()
	if t.refusal != nil || from == nil {
		sdk.Fail(w, r, t.refusal.fault())
		return
	}
	watcher, past, state, err := m.live.watch(from, sdk.UserFrom(r.Context()).UserID, t.device.ID, lastNumber(r))
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	defer watcher.close()
	m.stream(w, r, t, watcher, past, state)
}

func (m *Devices) showEvents(w http.ResponseWriter, r *http.Request, t *target) {
	data := eventsData{Device: viewOf(t.holding, t.device), Events: []eventView{}, Upstream: "off"}
	if f := m.live.glance(&t.holding); f != nil {
		data.Events, data.After, data.Upstream, data.Live = eventsOf(f, t.device.ID)
	}
	sdk.Render(w, r, sdk.View{Template: "events", Title: "Events of " + t.name(), Data: data, Refresh: 10, Breadcrumbs: above(t)})
}

// lastNumber is the number of the last message that the page has.
func lastNumber(r *http.Request) int64 {
	text := r.Header.Get("Last-Event-ID") // of a browser that comes back; newer than the address
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

const (
	writeLimit = 10 * time.Second // a page that does not take a message for so long is gone
)

func (m *Devices) stream(w http.ResponseWriter, r *http.Request, t *target, watcher *watcher, past []message, state particle.StreamState) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := &sse{w: w, control: http.NewResponseController(w)}
	out.comment("ok")
	from := watcher.feed.source
	out.send("upstream", 0, from.upstreamView(state))
	for _, msg := range past {
		out.write(msg)
	}
	check := time.NewTicker(from.recheck)
	defer check.Stop()
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-m.host.Context().Done():
			return
		case <-watcher.done: // unlinked, detached, dead or stopping: a browser comes back and is told
			return
		case <-check.C:
			if !t.still(r.Context(), t.device.ID) {
				return
			}
		case msg := <-watcher.queue:
			if n := watcher.takeMissed(); n > 0 {
				out.send("missed", 0, map[string]int{"missed": n})
			}
			out.write(msg)
			if from.died != nil && msg.name == "upstream" && bytes.Contains(msg.data, []byte(`"dead"`)) {
				from.died(r.Context()) // with a new token the browser's next try finds a new stream
				return
			}
		}
	}
}

// sse writes a text/event-stream. After the first error nothing more is written.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *sse) comment(text string) { s.flush([]byte(":" + text + "\n\n")) }

func (s *sse) send(name string, number int64, view any) {
	data, err := json.Marshal(view)
	if err != nil {
		return
	}
	s.write(message{name: name, number: number, data: data})
}

func (s *sse) write(msg message) {
	var b bytes.Buffer
	if msg.number > 0 {
		b.WriteString("id: ")
		b.WriteString(strconv.FormatInt(msg.number, 10))
		b.WriteByte('\n')
	}
	b.WriteString("event: ")
	b.WriteString(msg.name)
	b.WriteString("\ndata: ")
	b.Write(msg.data) // one line: JSON escapes line ends
	b.WriteString("\n\n")
	s.flush(b.Bytes())
}

func (s *sse) flush(piece []byte) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer can; the host bounds streams too
	if _, s.err = s.w.Write(piece); s.err == nil {
		s.err = s.control.Flush()
	}
}
