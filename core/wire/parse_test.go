package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mortise/core/fault"
	"mortise/core/sdk"
)

func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"hello","n":1,"f":1.5,"ok":true,"g":{"x":null}}`, `{"@message":1}`,
		`{"@message":"m","@level":"trace","@timestamp":"x"}`, "panic: boom", `{"msg":"a\nb\u001b[2J\u202e"}`, `{"msg":"x"} trailing`, `{"msg":"` + "\xff" + `"}`, "",
	} {
		f.Add([]byte(seed))
	}
	now := time.Unix(1700000000, 0)
	f.Fuzz(func(t *testing.T, text []byte) {
		line := parseLine(text, now)
		if len(line.Message) > 4*maxLine || len(line.Attrs) > maxAttrs || line.Time.Sub(now).Abs() > time.Minute {
			t.Fatalf("out of bounds: %d bytes, %d attrs, %s", len(line.Message), len(line.Attrs), line.Time)
		}
		texts := []string{line.Message}
		for _, a := range line.Attrs {
			texts = append(texts, a.Key, a.Value.String())
		}
		for i, s := range texts {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' }) {
				t.Fatalf("control characters or broken text in %q", s)
			}
			if i == 0 && strings.Contains(s, "\n") {
				t.Fatalf("the message %q has two lines", s)
			}
		}
	})
}

func FuzzStreams(f *testing.F) {
	f.Add([]byte("hello\n1|1|unix|/tmp/x|grpc|abc\nmore\n"))
	f.Add([]byte("1|1|tcp|127.0.0.1:1|grpc|\n1|9999|unix|/x|grpc|"))
	f.Add([]byte(strings.Repeat("x", 3*maxLine) + "\n1|1|unix|/x|grpc|"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out closeBuffer
		lines := 0
		sink := newLineSink(func(Line) { lines++ }, time.Now)
		copyStdout(bytes.NewReader(text), &out, sink, func(version int) {
			if version < 0 || version > 9999 {
				t.Fatalf("version %d", version)
			}
		})
		if n := strings.Count(out.String(), "\n"); n > 1 || !out.closed || (n == 1 && !strings.HasPrefix(out.String(), "1|")) {
			t.Fatalf("go-plugin would read %q", out.String())
		}
		if lines > bytes.Count(text, []byte("\n"))+2 {
			t.Fatalf("%d lines out of %q", lines, text)
		}
	})
}

type closeBuffer struct {
	bytes.Buffer
	closed bool
}

func (c *closeBuffer) Close() error { c.closed = true; return nil }

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"a":"x","b":true,"n":5,"f":1.5,"big":1e300,"l":["x",1],"o":{"x":1},"null":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := decodeSettings(text)
		if err != nil {
			return
		}
		for key, value := range settings {
			switch value.(type) {
			case string, bool, int64, float64, []string:
			default:
				t.Fatalf("%s is a %T", key, value)
			}
		}
		again, err := encodeSettings(settings)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeSettings(again); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("42 (a b) c) S 1 42 42 0 -1 4194560 1 0 0 0 7 3 0 0 20 0 9 0 123456 1000 500 18446744073709551615"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil && s.state == "" {
			t.Fatalf("%q gives no state", text)
		}
		parsePSS(text)
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add(EncodeIdentity(sdk.Identity{UserID: 7, Name: "Ann", Roles: []string{"customer"}}))
	f.Fuzz(func(t *testing.T, value string) {
		i, err := DecodeIdentity(value)
		if err != nil {
			return
		}
		if again, err := DecodeIdentity(EncodeIdentity(i)); err != nil || again.UserID != i.UserID {
			t.Fatalf("%+v comes back as %+v, %v", i, again, err)
		}
	})
}

func TestStat_CountsFromTheLastBracket(t *testing.T) {
	t.Parallel()
	s, err := parseStat([]byte("42 (evil) S 1 (x) S 1 42 42 0 -1 4194560 1 0 0 0 7 3 0 0 20 0 9 0 123456 1000 500 18446744073709551615"))
	if err != nil || s.startTime != 123456 || s.cpuTicks != 10 || s.threads != 9 || s.rssPages != 500 || s.state != "S" {
		t.Errorf("stat = %+v, %v", s, err)
	}
}

func TestFault_CrossesTheWireWhole(t *testing.T) {
	t.Parallel()
	cause := errors.New("row 7 is locked")
	for k := fault.Internal; k <= fault.Timeout; k++ {
		sent := fault.Wrap(k, cause, "A sentence.")
		sent.Fields = map[string]string{"name": "is needed"}
		got := fromStatus(toStatus(sent), "The module x")
		var f *fault.Error
		if !errors.As(got, &f) || f.Kind != k || f.Message != "A sentence." || f.Fields["name"] != "is needed" || !strings.Contains(got.Error(), "row 7") {
			t.Errorf("%v came as %#v", k, got)
		}
	}
	if got := fromStatus(toStatus(errors.New("plain")), "x"); got.Error() != "plain" || fault.KindOf(got) != fault.Internal {
		t.Errorf("a plain error came as %v", got)
	}
	if got := fromStatus(toStatus(context.DeadlineExceeded), "x"); !fault.Is(got, fault.Timeout) {
		t.Errorf("a deadline came as %v", got)
	}
	long := fault.New(fault.Invalid, "%s", strings.Repeat("x\xff", 100<<10))
	if got := fromStatus(toStatus(long), "x"); !fault.Is(got, fault.Invalid) || len(got.Error()) > 16<<10 {
		t.Errorf("a long message came as %d bytes, %v", len(got.Error()), fault.KindOf(got))
	}
}

func TestTransportErrors_AreNeverTakenForAnAnswer(t *testing.T) {
	t.Parallel()
	for code, kind := range map[codes.Code]fault.Kind{
		codes.Unavailable: fault.Unavailable, codes.Canceled: fault.Unavailable, codes.DeadlineExceeded: fault.Timeout,
		codes.ResourceExhausted: fault.TooLarge, codes.Unimplemented: fault.NotFound, codes.Unknown: fault.Internal,
	} {
		if err := fromStatus(status.Error(code, "EOF"), "x"); err == nil || fault.KindOf(err) != kind {
			t.Errorf("%v gives %v (%v), want %v", code, err, fault.KindOf(err), kind)
		}
	}
	if err := fromStatus(io.ErrUnexpectedEOF, "x"); err == nil {
		t.Error("a broken connection gives no error")
	}
}

func TestSink_CountsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	kept, dropped := 0, 0
	sink := newLineSink(func(l Line) {
		if dropped += l.Dropped; l.Dropped == 0 {
			kept++
		}
	}, func() time.Time { return now })
	for range 5000 {
		sink.take("stderr", []byte("x"), false)
	}
	sink.take("stderr", []byte("panic: the most wanted line"), false)
	sink.flush()
	if kept != lineBurst+1 || kept-1+dropped != 5000 {
		t.Errorf("%d kept, %d dropped", kept, dropped)
	}
	now = now.Add(time.Second)
	before := kept
	for range 5000 {
		sink.take("stdout", []byte("y"), false)
	}
	if got := kept - before; got > linesASecond {
		t.Errorf("%d lines in the next second, want at most %d", got, linesASecond)
	}
}
