package theme_test

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	"mortise/core/theme"
)

// slowDecode is Decode by encoding/json, with numbers left as their text.
func slowDecode(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return v, nil
}

// agree compares what Decode gave with what encoding/json gave.
func agree(t *testing.T, got, want any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
		for k, one := range w {
			agree(t, g[k], one)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
		for i := range w {
			agree(t, g[i], w[i])
		}
	case json.Number:
		switch g := got.(type) {
		case int64:
			if i, err := w.Int64(); err != nil || i != g {
				t.Fatalf("got %d, want %s", g, w)
			}
		case float64:
			if f, err := w.Float64(); err != nil || f != g {
				t.Fatalf("got %g, want %s", g, w)
			}
		case json.Number:
			if g != w {
				t.Fatalf("got %s, want %s", g, w)
			}
		default:
			t.Fatalf("got %#v, want the number %s", got, w)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
	}
}

func FuzzDecode_ReadsWhatEncodingJSONReads(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-0,0.5,1e3,12345678901234567890,9223372036854775807,-9223372036854775808,1.0000000000000000001,1e999],"b":{"c":null,"d":true,"e":false}}`,
		` [ "\u00e9\ud83d\ude00\ud800", "\/\b\f\n\r\t\"\\", "é", "" ] `, "\"\xff\xfe\"", `{"a":1,"a":2}`, `[01]`, `[1.]`, `[.5]`, `[+1]`, `[1e]`, `[-]`,
		`{"a"}`, `{"a":}`, `{,}`, `[1,]`, `[1 2]`, `{"a":1,}`, `tru`, `nul`, `"`, `"\`, `"\x"`, "\"\n\"", `1 2`, ``, `{}x`, "\u00a01", `"\u12"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 400 {
			t.Skip("deeper than Decode goes")
		}
		got, err := theme.Decode(body)
		want, wantErr := slowDecode(body)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: got %v, encoding/json says %v", body, err, wantErr)
		}
		if err == nil {
			agree(t, got, want)
		}
	})
}

func TestDecode_RefusesWhatIsNestedTooDeeply(t *testing.T) {
	t.Parallel()
	for depth, accepted := range map[int]bool{400: true, 600: false, 5_000_000: false} {
		_, err := theme.Decode([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth)))
		if (err == nil) != accepted {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

func TestDecode_DoesNotLookAtTheBytesAfterwards(t *testing.T) {
	t.Parallel()
	body := []byte(`{"name":"Porch lamp"}`)
	v, err := theme.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	copy(body, bytes.Repeat([]byte("x"), len(body)))
	if got := v.(map[string]any)["name"]; got != "Porch lamp" {
		t.Errorf("name = %v after the buffer was used again", got)
	}
}

// BenchmarkDecode reads the data of a list of twenty rows.
//
//	go test ./core/theme -run '^$' -bench Decode -benchmem
func BenchmarkDecode(b *testing.B) {
	type row struct {
		ID    int64   `json:"id"`
		Title string  `json:"title"`
		Note  string  `json:"note"`
		State string  `json:"state"`
		Value float64 `json:"value"`
		At    string  `json:"at"`
	}
	rows := make([]row, 20)
	for i := range rows {
		rows[i] = row{int64(i), "Greenhouse sensor 17", "Row 3 <door & sun>, week 5", "online", 21.5, "2026-01-02T03:04:05Z"}
	}
	body, err := json.Marshal(map[string]any{"items": rows})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("theme", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := theme.Decode(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := slowDecode(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
