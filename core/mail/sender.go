package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"mortise/core/fault"
)

// Limits of a mail and of the queue.
const (
	MaxText    = 64 << 10 // bytes
	MaxSubject = 300      // bytes
	mostQueued = 500
)

// Options say how mails leave. Folder, From and Log are needed.
type Options struct {
	URL      string        // see parseURL; "": mails become files in Folder
	From     func() string // the sender's address; asked for each mail, so that it may change
	SiteName func() string
	Folder   string // for mails as files, and undelivered ones; made when needed, 0700
	Log      *slog.Logger
	TLS      *tls.Config     // whom to trust; the system's roots when nil
	Retry    []time.Duration // pauses before each further attempt; 5 s, 30 s, 2 min, 10 min when nil
}

// Message is one mail in plain text.
type Message struct {
	To      string // one address
	ToName  string // may be empty
	Subject string
	Text    string
}

// Sender sends mails. It is safe for concurrent use.
type Sender struct {
	o      Options
	server *server

	mu      sync.Mutex
	closed  bool
	again   map[*queued]*time.Timer // mails that wait for another attempt
	queue   chan queued
	waiting atomic.Int64
	stop    context.CancelFunc
	done    chan struct{}

	sent, failed atomic.Uint64
	last         atomic.Pointer[failure]
}

type failure struct {
	message string
	at      time.Time
}

type queued struct {
	message Message
	attempt int
}

// New starts a sender; Close ends it. The error tells what is wrong with the URL or the sender's address.
func New(o Options) (*Sender, error) {
	if o.Retry == nil {
		o.Retry = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	}
	if o.SiteName == nil {
		o.SiteName = func() string { return "" }
	}
	if from := o.From(); !isAddress(from) {
		return nil, fmt.Errorf("the sender's address %q of the site's mails is not an e-mail address", from)
	}
	s := &Sender{o: o, queue: make(chan queued, mostQueued), done: make(chan struct{}), again: make(map[*queued]*time.Timer)}
	if o.URL != "" {
		parsed, err := parseURL(o.URL)
		if err != nil {
			return nil, err
		}
		s.server = &parsed
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.work(ctx)
	return s, nil
}

// Send queues a mail. Errors: fault.Invalid for a bad address, a line break in a header, or too much text; fault.Unavailable when too
// much waits already.
func (s *Sender) Send(_ context.Context, m Message) error {
	if err := check(m); err != nil {
		return err
	}
	return s.enqueue(queued{message: m})
}

func (s *Sender) enqueue(q queued) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "No mail can be sent at the moment.")
	}
	select {
	case s.queue <- q:
		s.waiting.Add(1)
		return nil
	default:
		return fault.New(fault.Unavailable, "Too many mails are waiting. Please try again later.")
	}
}

func check(m Message) error {
	if !isAddress(m.To) {
		return fault.New(fault.Invalid, "The recipient is not an e-mail address.")
	}
	for _, header := range []string{m.Subject, m.ToName} {
		if len(header) > MaxSubject || !utf8.ValidString(header) || strings.ContainsFunc(header, unicode.IsControl) {
			return fault.New(fault.Invalid, "The subject and the recipient's name must be one line of at most %d bytes.", MaxSubject)
		}
	}
	if len(m.Text) > MaxText || !utf8.ValidString(m.Text) || strings.ContainsRune(m.Text, 0) {
		return fault.New(fault.Invalid, "The text of a mail can have at most %d KiB.", MaxText>>10)
	}
	return nil
}

// isAddress tells whether text is one bare address: no name, no comment, no list.
func isAddress(text string) bool {
	if len(text) > 254 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return false
	}
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}

// work delivers one after the other. Mails that have to be tried again wait beside the queue, so that one bad recipient holds up nobody.
func (s *Sender) work(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			return
		case q, open := <-s.queue:
			if !open {
				return
			}
			s.deliver(ctx, q)
		}
	}
}

func (s *Sender) deliver(ctx context.Context, q queued) {
	defer s.waiting.Add(-1)
	err := s.now(ctx, q.message)
	if err == nil {
		s.sent.Add(1)
		return
	}
	s.last.Store(&failure{noAddress(err), time.Now()})
	if q.attempt < len(s.o.Retry) && temporary(err) && s.retry(q) {
		s.o.Log.Warn("mail not delivered yet", "attempt", q.attempt+1, "error", noAddress(err))
		return
	}
	s.o.Log.Error("mail not delivered", "attempts", q.attempt+1, "error", noAddress(err))
	s.giveUp(q.message)
}

// retry has a mail tried again after its pause; false when the sender is closing.
func (s *Sender) retry(q queued) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	next := &queued{q.message, q.attempt + 1}
	s.waiting.Add(1)
	s.again[next] = time.AfterFunc(s.o.Retry[q.attempt], func() {
		s.mu.Lock()
		_, mine := s.again[next] // not when Close was faster
		delete(s.again, next)
		s.mu.Unlock()
		if !mine {
			return
		}
		s.waiting.Add(-1)
		if s.enqueue(*next) != nil {
			s.giveUp(next.message)
		}
	})
	return true
}

var anyAddress = regexp.MustCompile(`[^\s<>"'(),:;]+@[^\s<>"'(),:;]+`)

// noAddress gives an error's text without e-mail addresses, which servers like to quote.
func noAddress(err error) string { return anyAddress.ReplaceAllString(err.Error(), "[address]") }

// temporary tells whether another attempt makes sense: the server did not refuse for good.
func temporary(err error) bool {
	var refused *gomail.SendError
	return !errors.As(err, &refused) || refused.IsTemp() || refused.Reason == gomail.ErrConnCheck
}

func (s *Sender) giveUp(m Message) {
	s.failed.Add(1)
	path, err := s.file(m, "undelivered")
	if err != nil {
		s.o.Log.Error("cannot keep an undelivered mail", "error", err)
		return
	}
	s.o.Log.Warn("undelivered mail kept as a file", "path", path)
}

// now delivers one mail, over SMTP or as a file.
func (s *Sender) now(ctx context.Context, m Message) error {
	if s.server == nil {
		path, err := s.file(m, "")
		if err == nil {
			s.o.Log.Info("mail written to a file, because no mail server is set", "path", path)
		}
		return err
	}
	client, err := s.server.client(s.o.TLS)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	if err := client.DialAndSendWithContext(limited, s.build(m)); err != nil {
		return fmt.Errorf("send over %s: %w", s.server.name(), err)
	}
	return nil
}

func (s *Sender) build(m Message) *gomail.Msg {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	// By parsed addresses: FromFormat and its like change quotes in names.
	msg.FromMailAddress(&mail.Address{Name: printable(s.o.SiteName()), Address: s.o.From()})
	msg.ToMailAddress(&mail.Address{Name: m.ToName, Address: m.To})
	msg.Subject(m.Subject)
	msg.SetMessageID()
	msg.SetDate()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers, please
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// file writes a mail as an .eml file that only the host's user can read: it may hold a link that signs in.
func (s *Sender) file(m Message, sub string) (string, error) {
	folder := filepath.Join(s.o.Folder, sub)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("write a mail: %w", err)
	}
	f, err := os.CreateTemp(folder, time.Now().UTC().Format("20060102-150405.000")+"-*.tmp") // 0600
	if err != nil {
		return "", fmt.Errorf("write a mail: %w", err)
	}
	_, err = s.build(m).WriteTo(f)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("write a mail: %w", err)
	}
	path := strings.TrimSuffix(f.Name(), ".tmp") + ".eml" // by renaming, so that who watches the folder sees whole mails
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("write a mail: %w", err)
	}
	return path, nil
}

// Test sends one mail at once and says what the server said.
func (s *Sender) Test(ctx context.Context, to string) error {
	subject, text, err := Compose(KindTest, Data{SiteName: s.o.SiteName()})
	if err != nil {
		return err
	}
	m := Message{To: to, Subject: subject, Text: text}
	if err := check(m); err != nil {
		return err
	}
	if err := s.now(ctx, m); err != nil {
		s.last.Store(&failure{noAddress(err), time.Now()})
		return fault.Wrap(fault.Unavailable, err, "The mail was not sent: %s", noAddress(err))
	}
	return nil
}

// Close takes no more mails, delivers what waits until ctx ends, and keeps the rest as files.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	var left []*queued
	if !s.closed {
		s.closed = true
		close(s.queue)
		for q, timer := range s.again {
			timer.Stop()
			left = append(left, q)
		}
		clear(s.again)
	}
	s.mu.Unlock()
	for _, q := range left {
		s.waiting.Add(-1)
		s.giveUp(q.message)
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		s.stop()
		<-s.done
	}
	s.stop()
	for q := range s.queue {
		s.waiting.Add(-1)
		s.giveUp(q.message)
	}
	return nil
}

// Status is for the status page.
type Status struct {
	Mode        string    `json:"mode"`   // "smtp" or "folder"
	Server      string    `json:"server"` // host:port
	Folder      string    `json:"folder"`
	From        string    `json:"from"`
	Queued      int       `json:"queued"`
	Sent        uint64    `json:"sent"`
	Failed      uint64    `json:"failed"`
	LastError   string    `json:"last_error"`
	LastErrorAt time.Time `json:"last_error_at"`
}

// Status tells how sending goes since the start.
func (s *Sender) Status() Status {
	st := Status{Mode: "folder", Folder: s.o.Folder, From: s.o.From(), Queued: int(s.waiting.Load()), Sent: s.sent.Load(), Failed: s.failed.Load()}
	if s.server != nil {
		st.Mode, st.Server = "smtp", s.server.name()
	}
	if f := s.last.Load(); f != nil {
		st.LastError, st.LastErrorAt = f.message, f.at
	}
	return st
}
