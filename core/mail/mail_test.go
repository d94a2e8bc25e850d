package mail_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/mail"
)

// smtpServer is a mail server that says what the test wants.
type smtpServer struct {
	net.Listener
	mu       sync.Mutex
	refuse   []string // answers to RCPT, used up one by one; then 250
	received chan string
}

func newServer(t *testing.T) *smtpServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &smtpServer{Listener: ln, received: make(chan string, 20)}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *smtpServer) rcpt() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refuse) == 0 {
		return "250 ok"
	}
	answer := s.refuse[0]
	s.refuse = s.refuse[1:]
	return answer
}

func (s *smtpServer) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(text string) { fmt.Fprint(c, text+"\r\n") }
	say("220 test")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "EHLO":
			say("250-test")
			say("250 8BITMIME")
		case "RCPT":
			say(s.rcpt())
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			s.received <- b.String()
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *smtpServer) mail(t *testing.T) string {
	t.Helper()
	select {
	case m := <-s.received:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no mail came")
		return ""
	}
}

func newSender(t *testing.T, o mail.Options) *mail.Sender {
	t.Helper()
	o.From = func() string { return "site@example.com" }
	o.SiteName = func() string { return "Lamp \"shop\"" }
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	if o.Folder == "" {
		o.Folder = filepath.Join(t.TempDir(), "mail")
	}
	s, err := mail.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeSender(t, s) })
	return s
}

func closeSender(t *testing.T, s *mail.Sender) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, n := range names {
		if strings.HasSuffix(n, ".eml") {
			kept = append(kept, n)
		}
	}
	return kept
}

func TestSender_SendsOverSMTP(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := newSender(t, mail.Options{URL: "smtp://" + server.Addr().String()})
	err := s.Send(t.Context(), mail.Message{To: "ana@example.com", ToName: "Ana, née <Ü>", Subject: "Grüße", Text: "Hello\n.\nQUIT\nend\n"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := netmail.ReadMessage(strings.NewReader(server.mail(t)))
	if err != nil {
		t.Fatal(err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "ana@example.com" || to[0].Name != "Ana, née <Ü>" {
		t.Fatalf("to %v, %v", to, err)
	}
	if from, err := m.Header.AddressList("From"); err != nil || from[0].Name != `Lamp "shop"` {
		t.Fatalf("from %v, %v", from, err)
	}
	if m.Header.Get("Auto-Submitted") == "" || m.Header.Get("Message-Id") == "" || m.Header.Get("Date") == "" {
		t.Fatalf("headers %v", m.Header)
	}
	body, _ := io.ReadAll(m.Body)
	if !strings.Contains(string(body), "QUIT\r\nend") {
		t.Fatalf("the text ended early: %q", body)
	}
	if err := s.Test(t.Context(), "ana@example.com"); err != nil {
		t.Fatal(err)
	}
	server.mail(t)
}

func TestSender_WritesFilesWithoutAServer(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "mail")
	s := newSender(t, mail.Options{Folder: folder})
	if err := s.Send(t.Context(), mail.Message{To: "ana@example.com", Subject: "Hi", Text: "https://example.com/reset/abc"}); err != nil {
		t.Fatal(err)
	}
	closeSender(t, s)
	got := files(t, folder)
	if len(got) != 1 || s.Status().Mode != "folder" || s.Status().Sent != 1 {
		t.Fatalf("files %v, status %+v", got, s.Status())
	}
	info, err := os.Stat(got[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal("others can read the links in mails:", info.Mode(), err)
	}
	if text, _ := os.ReadFile(got[0]); !strings.Contains(string(text), "reset/abc") {
		t.Fatalf("got %s", text)
	}
	if err := s.Send(t.Context(), mail.Message{To: "ana@example.com"}); !fault.Is(err, fault.Unavailable) {
		t.Fatal("a closed sender takes mails:", err)
	}
}

func TestSender_RefusesWhatCouldBecomeAHeader(t *testing.T) {
	t.Parallel()
	s := newSender(t, mail.Options{})
	for _, m := range []mail.Message{
		{To: "a@example.com\r\nBcc: b@example.com"}, {To: "a@example.com, b@example.com"}, {To: "A <a@example.com>"}, {To: ""}, {To: "nobody"}, {To: " a@example.com"},
		{To: "a@example.com", Subject: "x\r\nBcc: b@example.com"}, {To: "a@example.com", Subject: "x\ny"}, {To: "a@example.com", ToName: "x\ry"},
		{To: "a@example.com", Subject: strings.Repeat("x", 301)}, {To: "a@example.com", Text: strings.Repeat("x", mail.MaxText+1)}, {To: "a@example.com", Text: "\xff"},
	} {
		if err := s.Send(t.Context(), m); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+.100q: %v", m, err)
		}
	}
}

func TestSender_TriesAgainWhileTheServerIsBusy(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.refuse = []string{"451 try later", "451 try later"}
	s := newSender(t, mail.Options{URL: "smtp://" + server.Addr().String(), Retry: []time.Duration{time.Millisecond, time.Millisecond}})
	if err := s.Send(t.Context(), mail.Message{To: "ana@example.com", Subject: "Hi", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	server.mail(t)
	if st := s.Status(); st.LastError == "" || strings.Contains(st.LastError, "ana@") {
		t.Fatalf("got %+v", st)
	}
}

func TestSender_KeepsWhatCannotBeDelivered(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string][]string{
		"for good": {"550 no such user <ana@example.com>"}, "too often": {"451 later", "451 later", "451 later", "451 later"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			server.refuse = refuse
			folder := filepath.Join(t.TempDir(), "mail")
			s := newSender(t, mail.Options{URL: "smtp://" + server.Addr().String(), Folder: folder, Retry: []time.Duration{time.Millisecond}})
			if err := s.Send(t.Context(), mail.Message{To: "ana@example.com", Subject: "Hi", Text: "x"}); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(10 * time.Second)
			for len(files(t, filepath.Join(folder, "undelivered"))) == 0 {
				if time.Now().After(deadline) {
					t.Fatal("the mail is lost")
				}
				time.Sleep(5 * time.Millisecond)
			}
			if st := s.Status(); st.Failed != 1 || strings.Contains(st.LastError, "ana@") {
				t.Fatalf("got %+v", st)
			}
		})
	}
}

func TestSender_KeepsWhatWaitsForAnotherAttemptWhenItCloses(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.refuse = []string{"451 later"}
	folder := filepath.Join(t.TempDir(), "mail")
	s := newSender(t, mail.Options{URL: "smtp://" + server.Addr().String(), Folder: folder, Retry: []time.Duration{time.Hour}})
	if err := s.Send(t.Context(), mail.Message{To: "ana@example.com", Subject: "Hi", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	closeSender(t, s)
	if got := files(t, filepath.Join(folder, "undelivered")); len(got) != 1 || s.Status().Queued != 0 {
		t.Fatalf("files %v, %+v", got, s.Status())
	}
}

func TestSender_InsistsOnTLSWhereTold(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := newSender(t, mail.Options{URL: "smtp://" + server.Addr().String() + "?tls=mandatory"})
	if err := s.Test(t.Context(), "ana@example.com"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("sent without TLS: %v", err)
	}
	// Nor does a password cross a plain connection.
	s = newSender(t, mail.Options{URL: "smtp://user:hunter2@" + server.Addr().String()})
	if err := s.Test(t.Context(), "ana@example.com"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("got %v", err)
	}
}

func TestNew_SaysWhatIsWrongWithTheURLWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"mail.example.com", "http://u:hunter2@x", "smtp://u:hunter2@", "smtp://x:99999", "smtp://u:hunter2@x?tls=maybe", "smtp://x?starttls=1", "smtp://u:hunter2@x/path", "://hunter2"} {
		_, err := mail.New(mail.Options{URL: u, From: func() string { return "a@b.c" }})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", u, err)
		}
	}
	if _, err := mail.New(mail.Options{From: func() string { return "nobody" }}); err == nil {
		t.Error("a wrong sender is accepted")
	}
}

func TestCompose_FillsEveryText(t *testing.T) {
	t.Parallel()
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	d := mail.Data{SiteName: "Lamps", SiteURL: "https://lamps.example", Name: "Ana\r\nBcc: x", Link: "https://lamps.example/reset/abc", ExpiresAt: time.Unix(0, 0), Location: tokyo}
	for _, kind := range []mail.Kind{mail.KindReset, mail.KindInvite, mail.KindPasswordChanged, mail.KindEmailChanged, mail.KindTest} {
		subject, text, err := mail.Compose(kind, d)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(subject, "Lamps") || strings.ContainsAny(subject, "\r\n") || strings.Contains(text, "\nBcc") || strings.Contains(text, "{{") {
			t.Errorf("%s: %q %q", kind, subject, text)
		}
		link := kind == mail.KindReset || kind == mail.KindInvite || kind == mail.KindPasswordChanged
		if link && !strings.Contains(text, "\n"+d.Link+"\n") {
			t.Errorf("%s: the link does not stand alone in its line:\n%s", kind, text)
		}
		if (kind == mail.KindReset) && !strings.Contains(text, "1 January 1970, 09:00 JST") {
			t.Errorf("%s: no time of the reader:\n%s", kind, text)
		}
	}
	if _, _, err := mail.Compose("../sender", d); err == nil {
		t.Error("any file can be a mail")
	}
}
