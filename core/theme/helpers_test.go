package theme_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/core/theme"
)

func TestHelpers_DrawWhatTheyPromise(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	data, err := theme.Decode([]byte(`{"id":9007199254740993,"big":123456789012345678901234567890,"temp":21.437,"on":true,"none":null,"at":"2026-03-14T11:57:00Z","unix":1773489420,
		"list":["a","b"],"text":"Porch lamp","n":1,"f":1.5,"days":0.5,"map":{"b":1,"a":2},"soon":"2026-03-14T12:00:30Z","old":"2025-01-02T10:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	page := theme.Page{Data: data, Now: noon, RequestID: "7f3a91c2", Query: url.Values{"sort": {"name"}, "q": {"x&y"}, "page": {"3"}}}
	page.Visitor = theme.Visitor{Location: berlin, Can: func(p string) bool { return p == "devices.control" }}
	for _, tc := range []struct{ template, want string }{
		{`{{.Data.id}} {{.Data.big}}`, "9007199254740993 123456789012345678901234567890"},
		{`{{.Data.missing}}|{{.Data.none}}`, "|"},
		{`{{ago $ .Data.at}}`, `<time datetime="2026-03-14T11:57:00Z" title="14 Mar 2026, 12:57:00 CET" data-ago>3 minutes ago</time>`},
		{`{{ago $ .Data.none}} {{ago $ .Data.text}}`, "never Porch lamp"},
		{`{{ago $ .Data.soon}}`, "in 30 seconds"},
		{`{{ago $ .Data.old}}`, "2 Jan 2025"},
		{`{{time $ .Data.at}}`, "14 Mar 2026, 12:57<"},
		{`{{time $ .Data.unix}} {{time $ .Data.none}}`, "14 Mar 2026, 12:57</time> —"},
		{`{{date $ .Data.at}} {{clock $ .Data.at}}`, "12:57:00</time>"},
		{`{{num .Data.temp "°C"}} {{num 12345}} {{num .Data.none}} {{num -0.5}}`, "21.44\u202f°C 12\u202f345 — −0.5"},
		{`{{size 1500000}} {{size 12}} {{percent 0.425}} {{duration 93784}} {{duration 0}}`, "1.5\u202fMB 12\u202fB 42.5\u202f% 1\u202fd 2\u202fh 0\u202fs"},
		{`{{plural .Data.n "device" "devices"}} {{plural 3 "device" "devices"}} {{plural .Data.none "device" "devices"}}`, "1 device 3 devices 0 devices"},
		{`{{if eq .Data.n 1.0}}same{{end}} {{if gt .Data.f 1}}more{{end}} {{if eq .Data.missing "x"}}no{{else}}fine{{end}} {{if lt .Data.none 1}}no{{end}}`, "same more fine "},
		{`{{if eq .Data.text "a" "Porch lamp"}}one of{{end}} {{if ne .Data.none nil}}no{{end}}`, "one of "},
		{`{{url "/devices" .Data.text "a/b" ".." ""}}`, "/devices/Porch%20lamp/a%2Fb/_/_"},
		{`<a href="{{url "/devices" .Data.text}}">`, `href="/devices/Porch%20lamp"`},
		{`<a href="{{query $ "page" 2 "sort" ""}}">`, `href="?page=2&amp;q=x%26y"`},
		{`{{sortlink $ "name" "Name"}}`, `href="?q=x%26y&amp;sort=-name"`},
		{`{{can $ "devices.control"}} {{can $ "other"}}`, "true false"},
		{`{{with dict "page" $ "x" 1}}{{template "inner" .}}{{end}}{{define "inner"}}{{can $ "devices.control"}}{{with dict "page" $}}{{can . "other"}}{{end}}{{end}}`, "truefalse"},
		{`{{join ", " .Data.list}} {{count .Data.list}} {{count .Data.none}} {{first .Data.list}} {{contains .Data.list "b"}} {{contains .Data.text "lamp"}}`, "a, b 2 0 a true true"},
		{`{{default "—" .Data.none}} {{default "—" .Data.text}} {{default "x" ""}}`, "— Porch lamp x"},
		{`{{lower .Data.text}} {{upper .Data.text}} {{title "ab"}} {{truncate 7 .Data.text}} {{words "client_secret"}}`, "porch lamp PORCH LAMP Ab Porch… Client secret"},
		{`{{range keys .Data.map}}{{.}}{{end}} {{range seq 3}}{{.}}{{end}} {{add .Data.n 1}} {{sub 1.5 1}}`, "ab 123 2 0.5"},
		{`{{ref .RequestID}}`, "7F3A-91"},
		{`{{json .Data.map}}`, "&#34;a&#34;: 2"},
		{`{{pill "good" "Online"}}`, `class="pill good"`},
		{`{{pill "strange" "Odd"}}`, `class="pill off"`},
		{`{{icon "device"}}{{icon "nothing-like-this"}}`, "#device"},
		{`{{with pager $ 312 3 25}}{{.from}}–{{.to}} of {{.total}}, {{.previous}} {{.next}} {{range .items}}{{.number}} {{end}}{{end}}`, "51–75 of 312, ?page=2&amp;q=x%26y&amp;sort=name ?page=4&amp;q=x%26y&amp;sort=name 1 2 3 4 0 13 "},
		{`{{with pager $ 0 9 25}}{{.total}} {{.number}} {{.from}}{{end}}`, "0 1 0"},
	} {
		t.Run(tc.template, func(t *testing.T) {
			got, err := draw(t, tc.template, page)
			if err != nil || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, err %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestHelpers_SayHowTheyWantThePage(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{{csrf .Data}}`, `{{ago .Data.x .Data.y}}`, `{{can "x" "y"}}`, `{{asset "none.css"}}`, `{{url "https://evil.example" 1}}`, `{{dict "a"}}`} {
		if got, err := draw(t, text, theme.Page{Data: map[string]any{}}); err == nil {
			t.Errorf("%s drew %q", text, got)
		}
	}
}

func TestHelpers_AreAllDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, h := range theme.Helpers() {
		if h.Usage == "" || h.Does == "" || seen[h.Name] {
			t.Errorf("helper %q lacks a description or is there twice", h.Name)
		}
		seen[h.Name] = true
		if (strings.Contains(h.Usage, h.Name+" $")) != (h.Visitor || h.Name == "query" || h.Name == "sortlink" || h.Name == "pager") {
			t.Errorf("helper %s: its usage and what it declares to look at do not fit", h.Name)
		}
	}
}

func TestRender_SendsTypedHostDataThroughJSON(t *testing.T) {
	t.Parallel()
	type row struct {
		DisplayName string    `json:"display_name"`
		SeenAt      time.Time `json:"seen_at"`
	}
	page := theme.Page{Now: noon, Data: map[string]any{"rows": []row{{DisplayName: "Ann", SeenAt: noon.Add(-time.Hour)}}, "fields": sdk.Fields{"a": "b"}}}
	got, err := draw(t, `{{range .Data.rows}}{{.display_name}} {{ago $ .seen_at}}{{end}}`, page)
	if err != nil || !strings.Contains(got, "Ann") || !strings.Contains(got, "1 hour ago") {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,1e400,-0,12345678901234567890]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := theme.Decode(body)
		if err != nil {
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q was read as %v, which cannot be written: %v", body, v, err)
		}
		if _, err := theme.Decode(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
