package particletest

import (
	"crypto/subtle"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is what the bearer of an access token is.
type token struct {
	Access         string    `json:"access"`
	Refresh        string    `json:"refresh"`
	Subject        string    `json:"subject"`  // user name, or a customer's e-mail address
	Customer       bool      `json:"customer"` // the subject is one of Product's customers
	Product        string    `json:"product"`  // set for a customer and for a product's own token
	Client         string    `json:"client"`
	Scope          string    `json:"scope"`
	Expires        time.Time `json:"expires"` // zero: never
	RefreshExpires time.Time `json:"refresh_expires"`
	APIUser        bool      `json:"api_user"` // of a program in the team of Product or Org, with Scopes
	Org            string    `json:"org"`
	Scopes         []string  `json:"scopes"`
}

// issue makes a token; life 0 means the default, below 0 for ever. The mutex is held.
func (s *Server) issue(t token, life time.Duration) *token {
	t.Access = s.random.hex(40)
	if life == 0 {
		life = s.TokenLife
	}
	if life > 0 {
		t.Expires = s.Now().Add(life)
		t.RefreshExpires = t.Expires.Add(14 * 24 * time.Hour)
		t.Refresh = s.random.hex(40)
		s.refreshes[t.Refresh] = &t
	}
	s.tokens[t.Access] = &t
	s.save()
	return &t
}

// revoke forgets a token and its refresh token; the mutex is held.
func (s *Server) revoke(t *token) {
	delete(s.tokens, t.Access)
	delete(s.refreshes, t.Refresh)
	s.save()
}

// tokenAnswer is the body of a successful token request.
func (s *Server) tokenAnswer(t *token) object {
	o := object{"token_type": "bearer", "access_token": t.Access, "expires_in": 0}
	if !t.Expires.IsZero() {
		o["expires_in"] = int(t.Expires.Sub(s.Now()).Round(time.Second) / time.Second)
		o["refresh_token"] = t.Refresh
	}
	if t.Scope != "" {
		o["scope"] = t.Scope
	}
	return o
}

// bearer finds who asks, or answers with the error and returns nil. Texts and order: npm @particle/oauth2-server, lib/authorise.js.
func (s *Server) bearer(w http.ResponseWriter, r *http.Request) *token {
	header := r.Header.Get("Authorization")
	query := r.URL.Query().Get("access_token")
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	inBody := ""
	if kind == "application/x-www-form-urlencoded" {
		_ = r.ParseForm() // read again by the handler, which reports it
		inBody = r.PostForm.Get("access_token")
	}
	methods := 0
	for _, m := range []string{header, query, inBody} {
		if m != "" {
			methods++
		}
	}
	switch {
	case methods > 1:
		s.oauthError(w, "invalid_request", "Only one method may be used to authenticate at a time (Auth header,  GET or POST).")
		return nil
	case methods == 0 || query != "": // a token in the address is refused for accounts made since December 2024
		s.oauthError(w, "invalid_request", "The access token was not found")
		return nil
	case inBody != "" && r.Method == http.MethodGet:
		s.oauthError(w, "invalid_request", "Method cannot be GET When putting the token in the body.")
		return nil
	}
	value := inBody
	if header != "" {
		var ok bool
		if value, ok = strings.CutPrefix(header, "Bearer "); !ok || strings.TrimSpace(value) == "" {
			s.oauthError(w, "invalid_request", "Malformed auth header")
			return nil
		}
	}
	s.mu.Lock()
	t := s.tokens[value]
	now := s.Now()
	s.mu.Unlock()
	switch {
	case t == nil:
		s.oauthError(w, "invalid_token", "The access token provided is invalid.")
		return nil
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		s.oauthError(w, "invalid_token", "The access token provided has expired.")
		return nil
	}
	if !s.allowScope(w, r, t) {
		return nil
	}
	return t
}

func (s *Server) getCurrentToken(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	orgs := []object{}
	s.mu.Lock()
	for _, o := range s.organizations {
		if s.inOrganization(t, o) {
			orgs = append(orgs, object{"id": o.ID, "slug": o.Slug})
		}
	}
	s.mu.Unlock()
	o := object{"client": t.Client, "scopes": append([]string{}, t.Scopes...), "orgs": orgs, "expires_at": nil}
	if !t.Expires.IsZero() {
		o["expires_at"] = stamp(t.Expires)
	}
	s.reply(w, http.StatusOK, o)
}

func (s *Server) deleteCurrentToken(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	s.mu.Lock()
	s.revoke(t)
	s.mu.Unlock()
	s.endStreams(t.Access)
	s.reply(w, http.StatusOK, object{"ok": true})
}

func (s *Server) deleteAllTokens(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	s.RevokeTokens(t.Subject)
	s.reply(w, http.StatusOK, object{"ok": true})
}

// deleteToken needs no authentication: whoever holds a token may end it. An unknown one is a success.
func (s *Server) deleteToken(w http.ResponseWriter, r *http.Request) {
	s.RevokeToken(r.PathValue("token"))
	s.reply(w, http.StatusOK, object{"ok": true})
}

// listTokens is the form before late 2024, with the account's name and password.
func (s *Server) listTokens(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	s.mu.Lock()
	a := s.accounts[strings.ToLower(user)]
	var rows []object
	for _, t := range s.sortedTokens() {
		if a == nil || t.Customer || !strings.EqualFold(t.Subject, a.Username) {
			continue
		}
		row := object{"token": t.Access, "client": t.Client, "expires_at": nil}
		if !t.Expires.IsZero() {
			row["expires_at"] = stamp(t.Expires)
		}
		rows = append(rows, row)
	}
	s.mu.Unlock()
	switch {
	case !ok || a == nil:
		s.failList(w, http.StatusBadRequest, "Unknown user")
	case !same(a.Password, password):
		s.failList(w, http.StatusUnauthorized, "Bad password")
	default:
		if rows == nil {
			rows = []object{}
		}
		s.reply(w, http.StatusOK, rows)
	}
}

func (s *Server) sortedTokens() []*token {
	list := make([]*token, 0, len(s.tokens))
	for _, t := range s.tokens {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *token) int { return strings.Compare(a.Access, b.Access) })
	return list
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
