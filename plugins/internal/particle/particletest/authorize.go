package particletest

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ticket remembers who signed in on the authorize page until consent is given.
type ticket struct {
	subject string
	client  string
	expires time.Time
}

// authorize is GET and POST /oauth/authorize: the page where a person signs in and consents. Its forms post to the same
// address, so that the query stays what it was.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	c, redirect, ok := s.checkAuthorize(w, query)
	if !ok {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("Referrer-Policy", "no-referrer")
	page := loginPage{Action: "/oauth/authorize?" + r.URL.RawQuery, Client: c.Name, Redirect: redirect, Demo: s.demoHint()}
	if r.Method != http.MethodPost {
		s.showPage(w, http.StatusOK, "login", page)
		return
	}
	if r.ParseForm() != nil {
		s.oauthError(w, "invalid_request", "The request body could not be read")
		return
	}
	if value := r.PostForm.Get("ticket"); value != "" {
		s.decide(w, r, c, redirect, value, page)
		return
	}
	page.Username = r.PostForm.Get("username")
	s.mu.Lock()
	a := s.accounts[strings.ToLower(page.Username)]
	good := a != nil && same(a.Password, r.PostForm.Get("password"))
	if good {
		page.Ticket = s.random.hex(40)
		s.tickets[page.Ticket] = ticket{a.Username, c.ID, s.Now().Add(10 * time.Minute)}
	}
	s.mu.Unlock()
	if !good { // customers of a product are told the same: this page knows developer accounts only
		page.Error = "Invalid credentials"
		s.showPage(w, http.StatusUnauthorized, "login", page)
		return
	}
	s.showPage(w, http.StatusOK, "consent", page)
}

// checkAuthorize answers with naked JSON, as upstream, when the client or its redirect URI is wrong: there is no address yet
// that could be trusted with a redirect.
func (s *Server) checkAuthorize(w http.ResponseWriter, query url.Values) (c *client, redirect string, ok bool) {
	if query.Get("response_type") != "code" {
		s.oauthError(w, "invalid_request", `Invalid response_type parameter (must be "code")`)
		return nil, "", false
	}
	id := query.Get("client_id")
	if !clientIDPattern.MatchString(id) {
		s.oauthError(w, "invalid_request", "Invalid or missing client_id parameter")
		return nil, "", false
	}
	redirect = query.Get("redirect_uri")
	s.mu.Lock()
	c = s.clients[id]
	var registered []string
	if c != nil {
		registered = c.RedirectURIs
	}
	s.mu.Unlock()
	if redirect == "" && s.LooseAuth && len(registered) == 1 {
		redirect = registered[0]
	}
	switch {
	case redirect == "":
		s.oauthError(w, "invalid_request", "Invalid or missing redirect_uri parameter")
	case c == nil:
		s.oauthError(w, "invalid_client", "Invalid client credentials")
	case !slices.Contains(registered, redirect):
		s.oauthError(w, "invalid_request", "redirect_uri does not match")
	default:
		return c, redirect, true
	}
	return nil, "", false
}

// decide sends the browser back. The address is built by plain concatenation, as upstream: state is not escaped again, and an
// error carries no state, an unescaped text, and a number as "code".
func (s *Server) decide(w http.ResponseWriter, r *http.Request, c *client, redirect, value string, page loginPage) {
	s.mu.Lock()
	t, ok := s.tickets[value]
	delete(s.tickets, value)
	if !ok || t.client != c.ID || s.Now().After(t.expires) {
		s.mu.Unlock()
		page.Error = "Your session has expired, please sign in again"
		s.showPage(w, http.StatusOK, "login", page)
		return
	}
	if r.PostForm.Get("decision") != "allow" {
		s.mu.Unlock()
		w.Header().Set("Location", redirect+"?error=access_denied&error_description=The user denied access to your application&code=500")
		w.WriteHeader(http.StatusFound)
		return
	}
	granted := s.random.hex(40)
	s.codes[granted] = &code{client: c.ID, subject: t.subject, expires: s.Now().Add(s.CodeLife)}
	s.mu.Unlock()
	location := redirect + "?code=" + granted
	if state := r.URL.Query().Get("state"); state != "" {
		location += "&state=" + strings.NewReplacer("\r", "", "\n", "").Replace(state)
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
}

type loginPage struct {
	Action   string
	Client   string
	Redirect string
	Username string
	Ticket   string
	Error    string
	Demo     string
}

// demoHint helps who tries the demo by hand; with seeded accounts there is none.
func (s *Server) demoHint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[DemoEmail]; a != nil && a.Password == DemoPassword {
		return DemoEmail + " / " + DemoPassword
	}
	return ""
}

func (s *Server) showPage(w http.ResponseWriter, status int, name string, page loginPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, name, page); err != nil {
		s.Log.Warn("page of the simulator", "error", err)
	}
}

var pages = template.Must(template.New("").Parse(`
{{define "head"}}<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.}} – simulated Particle cloud</title><style>
:root{color-scheme:light dark;--bg:#eef1f4;--card:#fff;--ink:#1b2733;--soft:#5a6b7b;--line:#ccd5dd;--go:#0b7fab;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#12181e;--card:#1b242d;--ink:#e6edf3;--soft:#9fb0c0;--line:#344250;--go:#2aa5d3;--bad:#ff8a80}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{width:min(26rem,92vw);background:var(--card);border:1px solid var(--line);border-radius:12px;padding:2rem}
h1{font-size:1.3rem;margin:0 0 .5rem}p{margin:.5rem 0;color:var(--soft)}label{display:block;margin-top:1rem;font-weight:600}
input{width:100%;padding:.6rem;margin-top:.25rem;border:1px solid var(--line);border-radius:8px;background:transparent;color:inherit;font:inherit}
button{margin-top:1.25rem;padding:.65rem 1.2rem;border:1px solid var(--go);border-radius:8px;background:var(--go);color:#fff;font:inherit;cursor:pointer}
button.plain{background:transparent;color:inherit;border-color:var(--line)}.row{display:flex;gap:.75rem}.error{color:var(--bad);font-weight:600}
li{margin:.25rem 0}code{overflow-wrap:anywhere}small{color:var(--soft)}</style></head><body><main>{{end}}
{{define "login"}}{{template "head" "Sign in"}}<h1>Sign in to Particle</h1><p><strong>{{.Client}}</strong> wants to use your Particle account.</p>
{{with .Error}}<p class="error" role="alert">{{.}}</p>{{end}}
<form method="post" action="{{.Action}}"><label>Email <input name="username" type="email" autocomplete="username" value="{{.Username}}" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label><button type="submit">Sign in</button></form>
<p><small>This is the simulated cloud.{{with .Demo}} Account: <code>{{.}}</code>{{end}}</small></p></main></body></html>{{end}}
{{define "consent"}}{{template "head" "Allow access"}}<h1>Allow access?</h1><p><strong>{{.Client}}</strong> asks for permission to</p>
<ul><li>see your devices and read their variables</li><li>call functions, rename and signal them</li><li>publish and receive events</li></ul>
<p>You are signed in as <strong>{{.Username}}</strong>. You will be sent to <code>{{.Redirect}}</code>.</p>
<form method="post" action="{{.Action}}"><input type="hidden" name="ticket" value="{{.Ticket}}"><div class="row">
<button type="submit" name="decision" value="allow">Allow</button><button class="plain" type="submit" name="decision" value="deny">Deny</button></div></form>
</main></body></html>{{end}}`))
