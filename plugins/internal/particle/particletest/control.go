package particletest

import (
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const controlPath = "/__sim"

// controlState is what the control page shows and its JSON holds.
type controlState struct {
	Faults  Faults          `json:"faults"`
	Known   []string        `json:"known_faults"` // what POST takes as "fault"
	Streams int             `json:"open_streams"`
	Calls   map[string]int  `json:"calls"`
	Unknown []string        `json:"unknown"`
	Devices []controlDevice `json:"devices"`
}

type controlDevice struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Offline bool   `json:"offline"`
}

// controlPage is GET and POST /__sim, for people and programs on the same machine: it has no protection at all.
//
//	POST fault=slow=3s@/v1/devices   adds a fault, see ParseFault
//	POST clear=1                     ends all faults
//	POST offline=<device id>         switches a device off; online=<device id> on
//	POST end_streams=1               ends the open event streams
//	POST revoke=<user name>          ends all tokens of a user
//	POST spares=<number>             has so many devices that are in no product, see AddSpares; at most 10,000
//
// A JSON body of the form of Faults replaces all faults. With Accept: application/json the answer is the state as JSON.
func (s *Server) controlPage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodPost:
			if message := s.controlPost(r); message != "" {
				http.Error(w, message, http.StatusBadRequest)
				return
			}
			if !wantsJSON(r) {
				http.Redirect(w, r, controlPath, http.StatusSeeOther)
				return
			}
		default:
			http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
			return
		}
		state := s.controlState()
		if wantsJSON(r) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_ = json.NewEncoder(w).Encode(state) // the client may be gone
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := controlTemplate.Execute(w, state); err != nil {
			s.Log.Warn("page of the simulator", "error", err)
		}
	})
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
}

// controlPost does what a form or a JSON body asks, and returns what is wrong with it.
func (s *Server) controlPost(r *http.Request) string {
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<16)
	if origin := r.Header.Get("Origin"); origin != "" && !strings.HasSuffix(origin, "://"+r.Host) {
		return "asked from another site"
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var f Faults
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&f); err != nil {
			return "faults: " + err.Error()
		}
		s.Faults.Set(f)
		return ""
	}
	if err := r.ParseForm(); err != nil {
		return err.Error()
	}
	if r.PostForm.Get("clear") != "" {
		s.Faults.Set(Faults{})
	}
	for _, text := range r.PostForm["fault"] {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		change, err := ParseFault(text)
		if err != nil {
			return err.Error()
		}
		s.Faults.Update(change)
	}
	for _, id := range r.PostForm["offline"] {
		s.SetOffline(id, true)
	}
	for _, id := range r.PostForm["online"] {
		s.SetOffline(id, false)
	}
	if r.PostForm.Get("end_streams") != "" {
		s.EndStreams()
	}
	if user := r.PostForm.Get("revoke"); user != "" {
		s.RevokeTokens(user)
	}
	if text := r.PostForm.Get("spares"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 10_000 {
			return "spares: expected a number from 0 to 10000, not " + strconv.Quote(text)
		}
		s.AddSpares(n)
	}
	return ""
}

func (s *Server) controlState() controlState {
	state := controlState{Faults: s.Faults.Get(), Known: FaultNames, Streams: s.OpenStreams(), Calls: s.AllCalls(), Unknown: append([]string{}, s.Unknown()...), Devices: []controlDevice{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		d := s.devices[id]
		state.Devices = append(state.Devices, controlDevice{d.ID, d.Name, d.Owner, d.Offline})
	}
	return state
}

// Active lists the faults in words, for the page.
func (c controlState) Active() []string {
	raw, err := json.Marshal(c.Faults)
	var fields map[string]any
	if err != nil || json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	var list []string
	for name, v := range fields {
		switch v := v.(type) {
		case bool:
			if v {
				list = append(list, name)
			}
		case float64:
			if v != 0 {
				one, _ := json.Marshal(v)
				list = append(list, name+" = "+string(one))
			}
		}
	}
	for _, rule := range c.Faults.Rules {
		one, _ := json.Marshal(rule)
		list = append(list, "rule "+string(one))
	}
	slices.Sort(list)
	return list
}

var controlTemplate = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Simulated Particle cloud</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
td,th{text-align:left;padding:.25rem .75rem .25rem 0}form{display:inline}button,input,select{font:inherit;padding:.3rem .6rem}code{overflow-wrap:anywhere}</style></head><body>
<h1>Simulated Particle cloud</h1>
<p>For local use only: whoever reaches this page controls it. {{.Streams}} open event streams.
<form method="post"><button name="end_streams" value="1">End them</button></form></p>
<h2>Faults</h2>
{{with .Active}}<ul>{{range .}}<li><code>{{.}}</code></li>{{end}}</ul>{{else}}<p>None.</p>{{end}}
<form method="post"><label>Add <input name="fault" list="known" size="30" placeholder="slow=3s@/v1/devices"></label>
<datalist id="known">{{range .Known}}<option value="{{.}}">{{end}}</datalist> <button>Add</button></form>
<form method="post"><button name="clear" value="1">End all faults</button></form>
<h2>Devices</h2><table><tr><th>Name</th><th>Id</th><th>Owner</th><th></th></tr>
{{range .Devices}}<tr><td>{{.Name}}</td><td><code>{{.ID}}</code></td><td>{{.Owner}}</td><td><form method="post">
{{if .Offline}}<button name="online" value="{{.ID}}">Switch on</button>{{else}}<button name="offline" value="{{.ID}}">Switch off</button>{{end}}</form></td></tr>{{end}}</table>
{{with .Unknown}}<h2>Requests that nothing knows</h2><ul>{{range .}}<li><code>{{.}}</code></li>{{end}}</ul>{{end}}
<h2>Requests</h2><table>{{range $route, $n := .Calls}}<tr><td><code>{{$route}}</code></td><td>{{$n}}</td></tr>{{end}}</table>
</body></html>`))
