package particle

import (
	"encoding/json"
	"testing"
	"time"
)

func TestReadEvent_UnderstandsEveryShape(t *testing.T) {
	t.Parallel()
	const id = "0a10aced202194944a000001"
	for data, want := range map[string]*Event{
		`{"data":"41.7","ttl":60,"published_at":"2026-02-03T04:05:06.789Z","coreid":"` + id + `"}`: {Data: "41.7", DeviceID: id, TTL: time.Minute, PublishedAt: time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)},
		`{"data":null,"ttl":"60","published_at":"2026-02-03","coreid":null}`:                       {TTL: time.Minute, PublishedAt: time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)},
		`{"data":{"a":1},"coreid":"particle-internal"}`:                                            {Data: `{"a":1}`},
		`{"data":"x","ttl":-5}`:   {Data: "x"},
		`{"data":"x","ttl":9e14}`: {Data: "x"},
		`not json`:                nil, `[]`: nil, `{}`: nil, `17`: nil,
	} {
		got, err := readEvent(Frame{Name: "n", Data: []byte(data)})
		if err != nil || (got == nil) != (want == nil) {
			t.Fatalf("%s: got %v, %v", data, got, err)
		}
		if got != nil && (got.Data != want.Data || got.DeviceID != want.DeviceID || got.TTL != want.TTL && want.TTL != 0 || got.TTL < 0 || !got.PublishedAt.Equal(want.PublishedAt) || got.Name != "n") {
			t.Errorf("%s: got %s ttl %v", data, got.JSON(), got.TTL)
		}
	}
}

func TestReadEvent_TellsAnEventNamedErrorFromAnErrorOfTheStream(t *testing.T) {
	t.Parallel()
	if _, err := readEvent(Frame{Name: "error", Data: []byte(`{"error":"invalid_token","error_description":"The access token provided has expired."}`)}); err == nil {
		t.Error("an error of the stream was taken for an event")
	}
	e, err := readEvent(Frame{Name: "error", Data: []byte(`{"data":"too hot","ttl":60,"published_at":"2026-02-03T04:05:06.789Z","coreid":"0a10aced202194944a000001"}`)})
	if err != nil || e == nil || e.Data != "too hot" {
		t.Errorf("a device's event named error: got %v, %v", e, err)
	}
}

func FuzzReadEvent(f *testing.F) {
	f.Add("error", `{"error":["x",1]}`)
	f.Add("a", `{"data":"x","ttl":1e300,"published_at":-1,"coreid":[1]}`)
	f.Fuzz(func(t *testing.T, name, data string) {
		e, err := readEvent(Frame{Name: name, Data: []byte(data)})
		if e != nil && err != nil {
			t.Fatal("both an event and an error")
		}
		if e != nil && (e.TTL < 0 || !json.Valid(e.JSON())) {
			t.Fatalf("got ttl %v, %q", e.TTL, e.JSON())
		}
	})
}

func FuzzReadError(f *testing.F) {
	f.Add([]byte(`{"ok":false,"errors":[["Core isn't online",404],{"error":{"status":1}},{"message":null}]}`), 500)
	f.Add([]byte(`<html>`), 200)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		a := readError(body)
		k := classify(status, a, 0, time.Second)
		if message, hint := explanation(k); message == "" || hint == "" {
			t.Fatalf("the kind %q explains nothing", k)
		}
		if text := []rune(clean(a.text, nil)); len(text) > maxDescription+1 {
			t.Fatalf("%d runes are kept", len(text))
		}
	})
}

func TestBackoff_DoublesWithinItsBoundsAndHonoursTheRateLimit(t *testing.T) {
	t.Parallel()
	o := HubOptions{}.withDefaults()
	for attempt := range 70 {
		full := min(o.BackoffMin<<min(attempt, 20), o.BackoffMax)
		for range 20 {
			if d := backoff(o, attempt, nil); d < full/2 || d > full {
				t.Fatalf("attempt %d waits %v, want %v to %v", attempt, d, full/2, full)
			}
		}
	}
	if d := backoff(o, 0, &Error{Kind: RateLimited}); d < time.Minute {
		t.Errorf("after a rate limit: %v", d)
	}
	if d := backoff(o, 0, &Error{Kind: RateLimited, RetryAfter: 10 * time.Minute}); d < 10*time.Minute {
		t.Errorf("after Retry-After: %v", d)
	}
}
