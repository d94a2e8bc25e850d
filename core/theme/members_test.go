package theme_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"mortise/core/theme"
)

func FuzzMembers_FindsWhatEncodingJSONFinds(f *testing.F) {
	for _, s := range []string{
		`{"template":"list","title":"A \"b\" }","data":{"a":[1,{"b":"]}"}]},"status":404,"message":null}`, ` { } `, `{"a":1}x`, `{"a":}`, `{"a":1,}`, `{,}`, `[]`, `{"a":[}`,
		`{"a":1 , "b" : "c" }`, `{"a":"\\"}`, `{"a":"\`, `{"a":tru e}`, `{"\u0061":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := map[string]json.RawMessage{}
		err := theme.Members(body, func(key string, value []byte) error {
			got[key] = bytes.TrimSpace(value)
			return nil
		})
		want := map[string]json.RawMessage{}
		if json.Unmarshal(body, &want) != nil || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
			return // Members leaves what is wrong inside a value to others
		}
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %q, want %q", body, got, want)
		}
		for key, value := range want {
			if !bytes.Equal(got[key], bytes.TrimSpace(value)) {
				t.Fatalf("%q: %s is %q, want %q", body, key, got[key], value)
			}
		}
	})
}

func TestMembers_RefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `[]`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":}`, `{"a":,"b":1}`, `{"a":1,}`, `{,}`, `{"a":1}x`, `{"a" 1}`, `{a:1}`} {
		if err := theme.Members([]byte(body), func(string, []byte) error { return nil }); err == nil {
			t.Errorf("%s was accepted", body)
		}
	}
}
