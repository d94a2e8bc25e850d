package particletest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

type event struct {
	name    string
	data    *string
	ttl     int
	coreID  string
	owner   string // user name whose streams get it
	product string // number or slug whose streams get it
	at      time.Time
}

// bus passes events to the open streams. An event is encoded once, however many there are.
type bus struct {
	mu      sync.Mutex
	streams map[*stream]struct{}
	opened  int
	recent  []time.Time   // of the openings, for the limit of five minutes
	stop    chan struct{} // ends the beat of the sensors
}

type stream struct {
	token  string
	frames chan []byte
	ended  chan struct{}
	once   sync.Once
	wants  func(event) bool
	held   []byte // an event that waits for a later one to overtake it; bus.mu guards it
}

func (st *stream) end() { st.once.Do(func() { close(st.ended) }) }

// frame is an event on the wire.
func (e event) frame(f Faults) []byte {
	row := object{"data": e.data, "ttl": e.ttl, "published_at": stamp(e.at), "coreid": nilIfEmpty(e.coreID)}
	var payload any = row
	if f.WrongShapes {
		payload = bend(row)
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("event: ")
	b.WriteString(strings.NewReplacer("\r", "", "\n", "").Replace(e.name))
	b.WriteString("\ndata: ")
	b.Write(raw)
	b.WriteString("\n\n")
	return lineEnds(b.Bytes(), f)
}

func lineEnds(b []byte, f Faults) []byte {
	if f.StreamCRLF {
		return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	}
	return b
}

// broadcast gives an event to the streams that want it. One that does not keep up loses it, as upstream.
func (s *Server) broadcast(e event) {
	f := s.Faults.Get()
	frame := e.frame(f)
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	for st := range s.bus.streams {
		if !st.wants(e) {
			continue
		}
		if f.EventsReordered && st.held == nil {
			st.held = frame
			continue
		}
		st.send(frame)
		if f.EventsTwice {
			st.send(frame)
		}
		if st.held != nil {
			st.send(st.held)
			st.held = nil
		}
	}
}

func (st *stream) send(frame []byte) {
	select {
	case st.frames <- frame:
	default:
	}
}

// release gives the event that waits, when none overtook it; nil when none waits.
func (s *Server) release(st *stream) []byte {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	held := st.held
	st.held = nil
	return held
}

func (s *Server) streamOwn(w http.ResponseWriter, r *http.Request, prefix string) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	s.stream(w, r, t, s.ofSubject(t, prefix))
}

// streamAll is /v1/events/{prefix}, which wants a prefix since 2018.
func (s *Server) streamAll(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	if r.PathValue("prefix") == "" {
		s.fail(w, http.StatusBadRequest, "event prefix filter is required")
		return
	}
	s.stream(w, r, t, s.ofSubject(t, r.PathValue("prefix")))
}

func (s *Server) ofSubject(t *token, prefix string) func(event) bool {
	subject, product := t.Subject, t.Product
	if product != "" && !t.Customer {
		return func(e event) bool { return s.sameProduct(e.product, product) && strings.HasPrefix(e.name, prefix) }
	}
	return func(e event) bool {
		return e.owner != "" && strings.EqualFold(e.owner, subject) && strings.HasPrefix(e.name, prefix)
	}
}

func (s *Server) streamDevice(w http.ResponseWriter, r *http.Request, t *token, d *device, prefix string) {
	id := d.ID
	s.stream(w, r, t, func(e event) bool { return e.coreID == id && strings.HasPrefix(e.name, prefix) })
}

func (s *Server) streamProduct(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	p := s.allowProduct(w, r, t)
	if p == nil {
		return
	}
	prefix := r.PathValue("prefix")
	s.stream(w, r, t, func(e event) bool { return p.is(e.product) && strings.HasPrefix(e.name, prefix) })
}

// sameProduct compares numbers and slugs. It is called under bus.mu, which comes before mu.
func (s *Server) sameProduct(a, b string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.product(a)
	return p != nil && p.is(b)
}

// stream serves one open event stream until the client leaves, the token is revoked, a fault cuts it or the server closes.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, t *token, wants func(event) bool) {
	faults, changed := s.Faults.watch()
	if faults.StreamStatus != 0 {
		s.refuse(w, r, faults.StreamStatus)
		return
	}
	st := &stream{token: t.Access, frames: make(chan []byte, 256), ended: make(chan struct{}), wants: wants}
	if refused := s.enter(st, faults); refused != 0 {
		s.refuse(w, r, refused)
		return
	}
	defer s.leave(st)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	out := streamWriter{w: w, control: http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	hello := lineEnds([]byte(":ok\n\n"), faults)
	if faults.StreamNoHello {
		hello = nil
	}
	if !out.write(hello, faults) {
		return
	}
	alive := time.NewTicker(s.KeepAlive)
	defer alive.Stop()
	for {
		if faults.StreamBroken {
			panic(http.ErrAbortHandler) // the connection is cut, not ended
		}
		var piece []byte
		select {
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		case <-st.ended:
			out.drain(st, faults)
			return
		case <-changed:
			faults, changed = s.Faults.watch()
			continue
		case <-alive.C:
			if piece = s.release(st); piece == nil {
				piece = lineEnds([]byte("\n"), faults)
			}
		case piece = <-st.frames:
			alive.Reset(s.KeepAlive)
		}
		if faults.StreamStalled {
			continue
		}
		if !out.write(piece, faults) {
			return
		}
	}
}

type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// write sends and flushes, in two pieces when the faults say so; false when the client is gone.
func (o streamWriter) write(piece []byte, f Faults) bool {
	pieces := [][]byte{piece}
	if half := len(piece) / 2; f.StreamSplit && half > 0 {
		pieces = [][]byte{piece[:half], piece[half:]}
	}
	for _, p := range pieces {
		if _, err := o.w.Write(p); err != nil || o.control.Flush() != nil {
			return false
		}
	}
	return true
}

// drain sends what was published before the stream was ended.
func (o streamWriter) drain(st *stream, f Faults) {
	for !f.StreamStalled {
		select {
		case piece := <-st.frames:
			if !o.write(piece, f) {
				return
			}
		default:
			return
		}
	}
}

// enter adds a stream, or gives the status to refuse it with; the first one starts the sensors.
func (s *Server) enter(st *stream, f Faults) (refused int) {
	now := s.Now()
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.bus.recent = slices.DeleteFunc(s.bus.recent, func(at time.Time) bool { return now.Sub(at) > 5*time.Minute })
	switch {
	case f.StreamLimit > 0 && len(s.bus.streams) >= f.StreamLimit:
		return statusOverloaded
	case f.StreamOpenings > 0 && len(s.bus.recent) >= f.StreamOpenings:
		return http.StatusTooManyRequests
	}
	s.bus.recent = append(s.bus.recent, now)
	if s.bus.streams == nil {
		s.bus.streams = map[*stream]struct{}{}
	}
	s.bus.streams[st] = struct{}{}
	s.bus.opened++
	if len(s.bus.streams) == 1 && s.Beat > 0 {
		s.bus.stop = make(chan struct{})
		go s.beats(s.bus.stop)
	}
	return 0
}

// leave takes a stream away; the last one stops the sensors.
func (s *Server) leave(st *stream) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.streams, st)
	if len(s.bus.streams) == 0 && s.bus.stop != nil {
		close(s.bus.stop)
		s.bus.stop = nil
	}
}

func (s *Server) beats(stop <-chan struct{}) {
	ticker := time.NewTicker(s.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-s.closed:
			return
		case <-ticker.C:
			s.beat()
		}
	}
}

// endStreams ends the streams that were opened with a token.
func (s *Server) endStreams(access string) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	for st := range s.bus.streams {
		if st.token == access {
			st.end()
		}
	}
}

// OpenStreams counts the open event streams.
func (s *Server) OpenStreams() int {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return len(s.bus.streams)
}

// StreamsOpened counts all that were ever opened.
func (s *Server) StreamsOpened() int {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.bus.opened
}

// EndStreams ends all open streams in order, as the cloud does now and then; clients should come back.
func (s *Server) EndStreams() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	for st := range s.bus.streams {
		st.end()
	}
}
