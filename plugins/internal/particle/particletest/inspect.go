package particletest

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Calls counts the requests of a route, named by method and pattern: "POST /v1/devices/{id}/{name}",
// "GET /v1/devices/events", "POST /oauth/token".
func (s *Server) Calls(route string) int {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[route]
}

// AllCalls counts the requests of every route that had any.
func (s *Server) AllCalls() map[string]int {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Called counts how often a device ran a function, also when its answer came too late.
func (s *Server) Called(deviceID, function string) int {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[strings.ToLower(deviceID)]; d != nil {
		return d.called[function]
	}
	return 0
}

// Signaling tells whether a device is told to shout rainbows.
func (s *Server) Signaling(deviceID string) bool {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[strings.ToLower(deviceID)]
	return d != nil && d.signaling
}

// Unknown lists the requests that no route knows, as "GET /v1/…".
func (s *Server) Unknown() []string {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unknown)
}

// TokenInfo is a token that the server has given out.
type TokenInfo struct {
	Token   string
	Subject string // user name, or a customer's e-mail address
	Client  string
	Expires time.Time // zero: never
}

// Tokens lists the tokens of a user, a customer or an API user that are not revoked; "" means of every user and customer.
func (s *Server) Tokens(subject string) []TokenInfo {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []TokenInfo
	for _, t := range s.sortedTokens() {
		if subject == "" && !t.APIUser || strings.EqualFold(t.Subject, subject) {
			list = append(list, TokenInfo{t.Access, t.Subject, t.Client, t.Expires})
		}
	}
	return list
}

// IssueToken gives a token without OAuth, as a test's shortcut. clientID may be "".
func (s *Server) IssueToken(username, clientID string) string {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(token{Subject: username, Client: clientID}, 0).Access
}

// IssueCode gives a one-time code without the pages, as a test's shortcut.
func (s *Server) IssueCode(username, clientID string) string {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	value := s.random.hex(40)
	s.codes[value] = &code{client: clientID, subject: username, expires: s.Now().Add(s.CodeLife)}
	return value
}

// RevokeToken ends a token and its streams. It tells whether there was one.
func (s *Server) RevokeToken(access string) bool {
	return s.revokeWhere(func(t *token) bool { return t.Access == access }) > 0
}

// RevokeTokens ends all tokens of a user or customer.
func (s *Server) RevokeTokens(subject string) {
	s.revokeWhere(func(t *token) bool { return strings.EqualFold(t.Subject, subject) })
}

func (s *Server) revokeWhere(match func(*token) bool) int {
	s.ready()
	s.mu.Lock()
	var ended []string
	for _, t := range s.sortedTokens() {
		if match(t) {
			s.revoke(t)
			ended = append(ended, t.Access)
		}
	}
	s.mu.Unlock()
	for _, access := range ended {
		s.endStreams(access)
	}
	return len(ended)
}
