package particletest

import (
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type code struct {
	client  string
	subject string
	expires time.Time
}

type pendingMFA struct {
	client  string
	subject string
	life    time.Duration
	expires time.Time
}

type strike struct {
	count int
	until time.Time
}

var clientIDPattern = regexp.MustCompile(`^[A-Za-z0-9\-_]{3,40}$`)

var knownGrants = []string{"authorization_code", "password", "client_credentials", "refresh_token", "urn:custom:mfa-otp"}

// postToken is POST /oauth/token. The order of the checks decides which message the caller sees; it is that of
// npm @particle/oauth2-server, lib/grant.js.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		s.oauthError(w, "invalid_request", "Method must be POST with application/x-www-form-urlencoded encoding")
		return
	}
	grant := r.PostForm.Get("grant_type")
	if !slices.Contains(knownGrants, grant) {
		s.oauthError(w, "invalid_request", "Invalid or missing grant_type parameter")
		return
	}
	c := s.authenticateClient(w, r)
	if c == nil {
		return
	}
	if !c.mayUse(grant) {
		s.oauthError(w, "invalid_client", "The grant type is unauthorised for this client_id")
		return
	}
	switch grant {
	case "authorization_code":
		s.grantCode(w, r, c)
	case "password":
		s.grantPassword(w, r, c)
	case "urn:custom:mfa-otp":
		s.grantOTP(w, r, c)
	case "client_credentials":
		s.grantClient(w, r, c)
	case "refresh_token":
		s.grantRefresh(w, r, c)
	}
}

// mayUse tells whether the client's type allows the grant.
func (c *client) mayUse(grant string) bool {
	switch {
	case grant == "authorization_code":
		return c.Type == Web
	case grant == "refresh_token":
		return !c.public // documented not to work for tokens made with particle:particle
	case grant == "client_credentials":
		return c.Type == Installed && !c.public
	}
	return c.Type == Installed
}

// authenticateClient reads Basic or body credentials, Basic winning, or answers with the error and returns nil.
func (s *Server) authenticateClient(w http.ResponseWriter, r *http.Request) *client {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if encoded, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic "); ok {
		raw, err := base64.StdEncoding.DecodeString(encoded) // without percent-decoding, as upstream
		if user, password, found := strings.Cut(string(raw), ":"); err == nil && found {
			id, secret = user, password
		}
	}
	if !clientIDPattern.MatchString(id) {
		s.oauthError(w, "invalid_client", "Invalid or missing client_id parameter")
		return nil
	}
	if secret == "" {
		s.oauthError(w, "invalid_client", "Missing client_secret parameter")
		return nil
	}
	s.mu.Lock()
	c := s.clients[id]
	s.mu.Unlock()
	if c == nil || !same(c.Secret, secret) {
		s.oauthError(w, "invalid_client", "Client credentials are invalid")
		return nil
	}
	return c
}

func (s *Server) grantCode(w http.ResponseWriter, r *http.Request, c *client) {
	value := r.PostForm.Get("code")
	if value == "" {
		s.oauthError(w, "invalid_request", `No "code" parameter`)
		return
	}
	s.mu.Lock()
	found := s.codes[value]
	if found != nil && found.client == c.ID {
		delete(s.codes, value)
	}
	now := s.Now()
	s.mu.Unlock()
	switch {
	case found == nil || found.client != c.ID:
		s.oauthError(w, "invalid_grant", "Invalid code")
	case now.After(found.expires) || s.Faults.Get().CodeExpired:
		s.oauthError(w, "invalid_grant", "Code has expired")
	default:
		s.giveToken(w, r, token{Subject: found.subject, Client: c.ID})
	}
}

func (s *Server) grantPassword(w http.ResponseWriter, r *http.Request, c *client) {
	username, password := r.PostForm.Get("username"), r.PostForm.Get("password")
	if username == "" || password == "" {
		s.oauthError(w, "invalid_client", `Missing parameters. "username" and "password" are required`)
		return
	}
	if s.blocked(r) {
		s.oauthError(w, "rate_limit_exceeded", "Too many failed login attempts")
		return
	}
	s.mu.Lock()
	t := token{Client: c.ID}
	otp := ""
	if p := s.product(c.Product); p != nil {
		if cu := p.customer(username); cu != nil && cu.Password != "" && same(cu.Password, password) {
			t.Subject, t.Customer, t.Product = cu.Email, true, c.Product
		}
	} else if a := s.accounts[strings.ToLower(username)]; a != nil && same(a.Password, password) {
		t.Subject, otp = a.Username, a.OTP
	}
	s.mu.Unlock()
	s.score(r, t.Subject != "")
	switch {
	case t.Subject == "":
		s.oauthError(w, "invalid_grant", "User credentials are invalid")
	case otp != "":
		s.mu.Lock()
		value := s.random.hex(40)
		s.mfa[value] = pendingMFA{client: c.ID, subject: t.Subject, life: lifeOf(r, s.Now()), expires: s.Now().Add(5 * time.Minute)}
		s.mu.Unlock()
		noStore(w)
		s.reply(w, http.StatusForbidden, object{"error": "mfa_required", "error_description": "Multi-factor authentication required", "mfa_token": value})
	default:
		s.giveToken(w, r, t)
	}
}

func (s *Server) grantOTP(w http.ResponseWriter, r *http.Request, c *client) {
	value, otp := r.PostForm.Get("mfa_token"), r.PostForm.Get("otp")
	if value == "" || otp == "" {
		s.oauthError(w, "invalid_request", "You must provide otp and mfa token.")
		return
	}
	s.mu.Lock()
	pending, ok := s.mfa[value]
	a := s.accounts[strings.ToLower(pending.subject)]
	good := ok && a != nil && pending.client == c.ID && same(a.OTP, otp) && s.Now().Before(pending.expires)
	if good {
		delete(s.mfa, value)
	}
	s.mu.Unlock()
	if !good {
		s.oauthError(w, "invalid_grant", "OTP expired")
		return
	}
	s.mu.Lock()
	t := s.issue(token{Subject: pending.subject, Client: c.ID}, pending.life)
	s.mu.Unlock()
	noStore(w)
	s.reply(w, http.StatusOK, s.tokenAnswer(t))
}

func (s *Server) grantClient(w http.ResponseWriter, r *http.Request, c *client) {
	scope := r.PostForm.Get("scope")
	email, forCustomer := strings.CutPrefix(scope, "customer=")
	if !forCustomer {
		s.giveToken(w, r, token{Subject: s.ownerOf(c), Product: c.Product, Client: c.ID})
		return
	}
	email = strings.ToLower(email)
	s.mu.Lock()
	p := s.product(c.Product)
	known := p != nil && p.customer(email) != nil
	s.mu.Unlock()
	if !known || c.Scope != "" && c.Scope != "*:*" {
		s.oauthError(w, "invalid_scope", "Invalid scope")
		return
	}
	s.giveToken(w, r, token{Subject: email, Customer: true, Product: c.Product, Client: c.ID, Scope: scope})
}

func (s *Server) grantRefresh(w http.ResponseWriter, r *http.Request, c *client) {
	value := r.PostForm.Get("refresh_token")
	if value == "" {
		s.oauthError(w, "invalid_request", `No "refresh_token" parameter`)
		return
	}
	s.mu.Lock()
	old := s.refreshes[value]
	now := s.Now()
	if old != nil && old.Client == c.ID { // used up, whatever comes of it
		delete(s.refreshes, value)
	}
	s.mu.Unlock()
	switch {
	case old == nil || old.Client != c.ID:
		s.oauthError(w, "invalid_grant", "Invalid refresh token")
	case now.After(old.RefreshExpires):
		s.oauthError(w, "invalid_grant", "Refresh token has expired")
	default:
		s.giveToken(w, r, token{Subject: old.Subject, Customer: old.Customer, Product: old.Product, Client: c.ID, Scope: old.Scope})
	}
}

func (s *Server) giveToken(w http.ResponseWriter, r *http.Request, t token) {
	s.mu.Lock()
	issued := s.issue(t, lifeOf(r, s.Now()))
	s.mu.Unlock()
	noStore(w)
	s.reply(w, http.StatusOK, s.tokenAnswer(issued))
}

// lifeOf reads expires_in (0: for ever) and expires_at; 0 means the default, below 0 for ever.
func lifeOf(r *http.Request, now time.Time) time.Duration {
	if text := r.PostForm.Get("expires_in"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		switch {
		case err != nil || n < 0:
			return 0
		case n == 0:
			return -1
		}
		return time.Duration(n) * time.Second
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(layout, r.PostForm.Get("expires_at")); err == nil && t.After(now) {
			return t.Sub(now)
		}
	}
	return 0
}

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// ownerOf is the user name behind a client.
func (s *Server) ownerOf(c *client) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.product(c.Product); p != nil && len(p.staff) > 0 && c.Owner == "" {
		return p.staff[0].Username
	}
	if c.Owner != "" {
		return c.Owner
	}
	first := ""
	for name := range s.accounts {
		if first == "" || name < first {
			first = name
		}
	}
	return first
}

func (p *product) customer(email string) *customer {
	for _, c := range p.customers {
		if strings.EqualFold(c.Email, email) {
			return c
		}
	}
	return nil
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// blocked tells whether the address has failed to sign in too often.
func (s *Server) blocked(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.LoginStrikes > 0 && s.Now().Before(s.strikes[remoteHost(r)].until)
}

func (s *Server) score(r *http.Request, success bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := remoteHost(r)
	if success {
		delete(s.strikes, host)
		return
	}
	st := s.strikes[host]
	st.count++
	if s.LoginStrikes > 0 && st.count >= s.LoginStrikes {
		st = strike{until: s.Now().Add(30 * time.Minute)}
	}
	s.strikes[host] = st
}
