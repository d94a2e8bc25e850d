package tunnel_test

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
	"time"

	"mortise/core/tunnel"
)

var samples = []driver.Value{
	nil, int64(0), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), 0.0, -1.5, math.Inf(1), "", "text", "a\x00ü", []byte{}, []byte{0, 255},
	true, false, time.Unix(0, 0).UTC(), time.Date(2026, 1, 2, 3, 4, 5, 999999999, time.UTC), time.Time{},
}

func TestRow_ComesBackAsItWas(t *testing.T) {
	t.Parallel()
	b, at := tunnel.BeginRow([]byte("before"))
	for _, v := range samples {
		var err error
		if b, err = tunnel.AppendValue(b, v); err != nil {
			t.Fatal(err)
		}
	}
	b = append(tunnel.FinishRow(b, at), "after"...)
	row, rest, err := tunnel.NextRow(b[len("before"):])
	if err != nil || string(rest) != "after" {
		t.Fatalf("%q %v", rest, err)
	}
	got := make([]driver.Value, len(samples))
	if err := tunnel.ReadRow(row, got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, samples) {
		t.Fatalf("got  %v\nwant %v", got, samples)
	}
	if !got[len(got)-1].(time.Time).IsZero() { //nolint:forcetypeassert // just compared
		t.Fatal("the zero time is not zero")
	}
	if err := tunnel.ReadRow(row, got[1:]); !errors.Is(err, tunnel.ErrProtocol) {
		t.Fatalf("a column too few: %v", err)
	}
	if err := tunnel.ReadRow(row, append(got, nil)); !errors.Is(err, tunnel.ErrProtocol) {
		t.Fatalf("a column too many: %v", err)
	}
	if _, err := tunnel.AppendValue(nil, int32(1)); err == nil {
		t.Fatal("a value of another type went through")
	}
}

func TestFrameReader_GivesFramesAndRefusesLongOnes(t *testing.T) {
	t.Parallel()
	var stream []byte
	long := bytes.Repeat([]byte("x"), 3<<20)
	for _, body := range [][]byte{nil, []byte("short"), long} {
		stream = append(stream, tunnel.Finish(append(tunnel.Begin(nil, tunnel.KindQuery), body...))...)
	}
	r := tunnel.NewFrameReader(bytes.NewReader(stream))
	var buf []byte
	for _, want := range [][]byte{{}, []byte("short"), long} {
		kind, body, err := r.Read(buf, tunnel.MaxRequest)
		if err != nil || kind != tunnel.KindQuery || !bytes.Equal(body, want) {
			t.Fatalf("%q, %d bytes, %v", kind, len(body), err)
		}
		buf = body
	}
	if _, _, err := r.Read(buf, tunnel.MaxRequest); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
	if _, _, err := tunnel.NewFrameReader(bytes.NewReader(stream[:3])).Read(nil, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("in a header: %v", err)
	}
	if _, _, err := tunnel.NewFrameReader(bytes.NewReader(stream[5:12])).Read(nil, 100); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, tunnel.ErrProtocol) {
		t.Fatalf("in a body: %v", err)
	}
	r = tunnel.NewFrameReader(bytes.NewReader(stream))
	for range 2 {
		_, _, _ = r.Read(nil, 100) // the short ones
	}
	if _, _, err := r.Read(nil, 100); !errors.Is(err, tunnel.ErrProtocol) {
		t.Fatalf("too long: %v", err)
	}
	if _, _, err := tunnel.NewFrameReader(bytes.NewReader([]byte{0, 0, 0, 0, 'Q'})).Read(nil, 100); !errors.Is(err, tunnel.ErrProtocol) {
		t.Fatalf("without a kind: %v", err)
	}
	// A length that is only claimed takes no memory.
	claim := append([]byte{0xff, 0xff, 0xff, 0x01, 'Q'}, "little"...)
	if _, body, err := tunnel.NewFrameReader(bytes.NewReader(claim)).Read(nil, tunnel.MaxAnswer); err == nil || cap(body) > 4<<20 {
		t.Errorf("%d bytes for a claim, %v", cap(body), err)
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(tunnel.Finish(append(tunnel.Begin(nil, tunnel.KindExec), "body"...)), 10)
	f.Add([]byte{255, 255, 255, 255, 'Q', 1}, 1<<20)
	f.Fuzz(func(t *testing.T, stream []byte, limit int) {
		r := tunnel.NewFrameReader(bytes.NewReader(stream))
		limit = max(0, min(limit, 1<<20))
		total := 0
		var buf []byte
		for {
			if kind, body, err := r.Peek(); err == nil && body != nil && kind == tunnel.KindCancel {
				r.Discard(body)
				total += len(body) + 5
				continue
			}
			_, body, err := r.Read(buf, limit)
			if err != nil {
				return
			}
			if len(body) > limit {
				t.Fatalf("%d bytes, limit %d", len(body), limit)
			}
			if total += len(body) + 5; total > len(stream) {
				t.Fatalf("%d bytes out of %d", total, len(stream))
			}
			buf = body
		}
	})
}

// FuzzRow reads any bytes as a row; what can be read must come back the same when written and read again.
func FuzzRow(f *testing.F) {
	var all []byte
	for _, v := range samples {
		b, err := tunnel.AppendValue(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 1)
		all = append(all, b...)
	}
	f.Add(all, len(samples))
	f.Fuzz(func(t *testing.T, row []byte, columns int) {
		values := make([]driver.Value, max(0, min(columns, 100)))
		if err := tunnel.ReadRow(row, values); err != nil {
			if !errors.Is(err, tunnel.ErrProtocol) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for _, v := range values {
			var err error
			if again, err = tunnel.AppendValue(again, v); err != nil {
				t.Fatal(err)
			}
		}
		second := make([]driver.Value, len(values))
		if err := tunnel.ReadRow(again, second); err != nil {
			t.Fatal(err)
		}
		third, err := appendAll(second)
		if err != nil || !bytes.Equal(again, third) { // not DeepEqual: NaN
			t.Fatalf("%v became %v", values, second)
		}
	})
}

func appendAll(values []driver.Value) (b []byte, err error) {
	for _, v := range values {
		if b, err = tunnel.AppendValue(b, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// FuzzMessages reads any bytes as every message.
func FuzzMessages(f *testing.F) {
	st, err := tunnel.AppendStatement(nil, 7, tunnel.TxInside, "SELECT ?", []driver.NamedValue{{Ordinal: 1, Value: "x"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{
		st,
		tunnel.AppendColumns(nil, []tunnel.Column{{Name: "id", Type: "INTEGER"}, {Name: "x"}}),
		tunnel.AppendFacts(nil, tunnel.Facts{Reads: []string{"a", "b"}, Writes: []string{"c"}, Deterministic: true}),
		tunnel.AppendRowsHead(nil, tunnel.RowsHead{Seq: 1, Flags: tunnel.FlagFirst | tunnel.FlagEnd, Columns: []byte{0}, Facts: []byte{1, 0, 0}}),
		tunnel.AppendDone(nil, tunnel.Done{Seq: 1, LastID: -5, Affected: 3, Facts: []byte{1}}),
		tunnel.AppendEvent(nil, tunnel.Event{Seq: 2, Tx: tunnel.TxWrite, Name: "a.b", Subject: "s", Payload: []byte("{}")}),
		tunnel.AppendApplied(nil, tunnel.Applied{Seq: 2, Number: 1, Name: "n"}),
		tunnel.AppendHello(nil, "bearer"),
		tunnel.AppendWelcome(nil, tunnel.Welcome{Version: 1, Module: "blog"}),
		tunnel.AppendError(nil, 3, &tunnel.Error{Code: 19, ExtendedCode: 2067, Message: "m", Kind: "timeout", TxOver: true}),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := tunnel.ReadStatement(b, nil); err == nil {
			again, err := tunnel.AppendStatement(nil, st.Seq, st.Tx, string(st.SQL), st.Args)
			if err != nil {
				t.Fatal(err)
			}
			if second, err := tunnel.ReadStatement(again, nil); err != nil || second.Seq != st.Seq || !bytes.Equal(second.SQL, st.SQL) || len(second.Args) != len(st.Args) {
				t.Fatalf("%+v became %+v, %v", st, second, err)
			}
		}
		if f, err := tunnel.ReadFacts(b); err == nil {
			if second, err := tunnel.ReadFacts(tunnel.AppendFacts(nil, f)); err != nil || !reflect.DeepEqual(f, second) {
				t.Fatalf("%+v became %+v, %v", f, second, err)
			}
		}
		if seq, e, err := tunnel.ReadError(b); err == nil {
			if _, second, err := tunnel.ReadError(tunnel.AppendError(nil, seq, e)); err != nil || *second != *e {
				t.Fatalf("%+v became %+v, %v", e, second, err)
			}
		}
		_, _ = tunnel.ReadColumns(b)
		_, _ = tunnel.ReadDone(b)
		_, _ = tunnel.ReadEvent(b)
		_, _ = tunnel.ReadApplied(b)
		_, _ = tunnel.ReadWelcome(b)
		_, _, _ = tunnel.ReadHello(b)
		_, _, _ = tunnel.ReadTwo(b)
		_, rows, err := tunnel.ReadRowsHead(b)
		for err == nil {
			_, rows, err = tunnel.NextRow(rows)
		}
	})
}
