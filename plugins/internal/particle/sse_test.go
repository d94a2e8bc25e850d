package particle_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"mortise/plugins/internal/particle"
)

func frames(r io.Reader) (list []particle.Frame, err error) {
	d := particle.NewDecoder(r)
	for {
		f, err := d.Next()
		if err != nil {
			return list, err
		}
		list = append(list, f)
	}
}

func TestDecoder_ReadsTheWireFormatWhereverItIsCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wire string
		want []particle.Frame
	}{
		"hosted":            {":ok\n\nevent: a/b\ndata: {\"x\":1}\n\n\nevent: c\ndata: d\n\n", []particle.Frame{{"a/b", []byte(`{"x":1}`)}, {"c", []byte("d")}}},
		"crlf":              {":ok\r\n\r\nevent: a\r\ndata: b\r\n\r\n", []particle.Frame{{"a", []byte("b")}}},
		"cr":                {"event: a\rdata: b\r\rdata: c\r\r", []particle.Frame{{"a", []byte("b")}, {"", []byte("c")}}},
		"several lines":     {"data: a\ndata\ndata: b\n\n", []particle.Frame{{"", []byte("a\n\nb")}}},
		"one space only":    {"data:  a \nevent:b\n\n", []particle.Frame{{"b", []byte(" a ")}}},
		"no data":           {"event: a\n\nid: 7\nretry: 1\n\n", nil},
		"cut at the end":    {"event: a\ndata: b\n", nil},
		"byte order mark":   {"\xEF\xBB\xBFdata: a\n\n", []particle.Frame{{"", []byte("a")}}},
		"empty name":        {"event: \ndata: a\n\n", []particle.Frame{{"", []byte("a")}}},
		"colon in value":    {"event: a:b\ndata: c: d\n\n", []particle.Frame{{"a:b", []byte("c: d")}}},
		"umlaut":            {"event: küche\ndata: ß\n\n", []particle.Frame{{"küche", []byte("ß")}}},
		"broken umlaut":     {"event: k\xc3che\ndata: x\n\n", []particle.Frame{{"k\uFFFDche", []byte("x")}}},
		"name is per frame": {"event: a\ndata: 1\n\ndata: 2\n\n", []particle.Frame{{"a", []byte("1")}, {"", []byte("2")}}},
	} {
		for cut, r := range map[string]io.Reader{"whole": strings.NewReader(c.wire), "by byte": iotest.OneByteReader(strings.NewReader(c.wire)), "by half": iotest.HalfReader(strings.NewReader(c.wire))} {
			got, err := frames(r)
			if !errors.Is(err, io.EOF) || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: got %q, %v", name, cut, got, err)
			}
		}
	}
}

func TestDecoder_LeavesOutWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	wire := "event: a\ndata: " + strings.Repeat("x", 100<<10) + "\n\ndata: good\n\n" + strings.Repeat("data: "+strings.Repeat("y", 60<<10)+"\n", 3) + "\ndata: too\n\n"
	d := particle.NewDecoder(strings.NewReader(wire))
	for _, want := range []string{"good", "too"} {
		if f, err := d.Next(); err != nil || string(f.Data) != want || f.Name != "" {
			t.Fatalf("got %.20q of %q, %v", f.Data, f.Name, err)
		}
	}
	if d.Skipped() != 2 {
		t.Errorf("%d events were left out, want 2", d.Skipped())
	}
	_, err := particle.NewDecoder(endless{}).Next()
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a line without an end: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(":ok\n\nevent: a\ndata: {\"data\":\"41.7\",\"ttl\":\"60\",\"published_at\":\"2026-02-03T04:05:06.789Z\",\"coreid\":\"0a10aced202194944a000001\"}\n\n"))
	f.Add([]byte("data\n\rdata:\n\n"))
	f.Add([]byte("event: error\r\ndata: {\"error\":\"x\"}\r\r\n\n"))
	f.Add([]byte("\xEF\xBB\xBFdata\rdata:\r\n\r\n:\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		whole, err1 := frames(bytes.NewReader(wire))
		pieces, err2 := frames(iotest.OneByteReader(bytes.NewReader(wire)))
		if !reflect.DeepEqual(whole, pieces) || (err1 == io.EOF) != (err2 == io.EOF) {
			t.Fatalf("cutting changes the events: %q (%v) and %q (%v)", whole, err1, pieces, err2)
		}
		for _, frame := range whole {
			if len(frame.Data) == 0 || strings.ContainsAny(frame.Name, "\r\n") || bytes.ContainsRune(frame.Data, '\r') {
				t.Fatalf("got the frame %q", frame)
			}
		}
	})
}
