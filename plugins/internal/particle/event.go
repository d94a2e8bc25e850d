package particle

import (
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// Event is something that a device, a person or the cloud published. Events may be lost, doubled or out of order.
//
// It is shared by all subscribers of a Hub: treat it as unchanging.
type Event struct {
	// Name may hold slashes and may be empty. It is the maker's own text: when it is passed on to a browser, do not use it
	// as the name of the browser's event, where "error" and "open" mean something else.
	Name        string
	Data        string // text; payloads that are JSON are JSON inside this text
	DeviceID    string // 24 hex digits; "" for an event of the cloud or of a person
	PublishedAt time.Time
	TTL         time.Duration

	once    sync.Once
	encoded []byte
}

// JSON gives {"name","data","device_id","published_at"} on one line. It is made once, however many subscribers ask.
func (e *Event) JSON() []byte {
	e.once.Do(func() {
		e.encoded, _ = json.Marshal(struct { // strings and a time: cannot fail for years 0 to 9999
			Name        string    `json:"name"`
			Data        string    `json:"data"`
			DeviceID    string    `json:"device_id"`
			PublishedAt time.Time `json:"published_at"`
		}{e.Name, e.Data, e.DeviceID, e.PublishedAt})
	})
	return e.encoded
}

// Online reads the cloud's event about a device's connection: spark/status with "online" or "offline".
func (e *Event) Online() (online, ok bool) {
	if e.Name != "spark/status" {
		return false, false
	}
	return e.Data == "online", e.Data == "online" || e.Data == "offline"
}

// errorFrame is set by readEvent when a frame reports a failure of the stream instead of an event.
type errorFrame struct{ body []byte }

func (errorFrame) Error() string { return "the cloud reports an error in the stream" }

// readEvent understands a frame. nil, nil: the frame holds nothing for us, such as a heartbeat.
func readEvent(f Frame) (*Event, error) {
	var row struct {
		Data        json.RawMessage `json:"data"`
		TTL         number          `json:"ttl"` // text on older servers
		PublishedAt moment          `json:"published_at"`
		CoreID      text            `json:"coreid"`
	}
	if json.Unmarshal(f.Data, &row) != nil {
		return nil, nil
	}
	if f.Name == "error" && row.PublishedAt.IsZero() && row.Data == nil {
		// A device may publish an event named "error", but then it has data and a time.
		if a := readError(f.Data); a.text != "" || a.code != "" {
			return nil, errorFrame{f.Data}
		}
	}
	if row.Data == nil && row.PublishedAt.IsZero() && row.CoreID == "" {
		return nil, nil
	}
	e := &Event{Name: f.Name, PublishedAt: row.PublishedAt.Time, TTL: time.Duration(max(row.TTL.value, 0)) * time.Second}
	var data string
	if json.Unmarshal(row.Data, &data) == nil {
		e.Data = data
	} else if row.Data != nil {
		e.Data = string(row.Data)
	}
	if e.TTL < 0 { // more seconds than a Duration holds
		e.TTL = 0
	}
	if id := strings.ToLower(string(row.CoreID)); NormalID(id) == id && len(id) == 24 && isHex(id) {
		e.DeviceID = id
	}
	return e, nil
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
