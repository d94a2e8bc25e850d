package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// tokenBytes is the size of session tokens and one-time links.
const tokenBytes = 32

// newToken makes a token and the id under which it is stored.
func newToken() (token, id string) {
	token = base64.RawURLEncoding.EncodeToString(random(tokenBytes))
	return token, tokenID(token)
}

var tokenLength = base64.RawURLEncoding.EncodedLen(tokenBytes)

// tokenID is the hexadecimal SHA-256 of a token; "" for what cannot be one.
func tokenID(token string) string {
	if len(token) != tokenLength {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// session is one row in memory. What changes while it lives is atomic (Unix milliseconds); the rest never changes.
type session struct {
	id        string
	user      int64
	created   time.Time
	seen      atomic.Int64
	written   atomic.Int64 // the value of seen that the store has
	confirmed atomic.Int64
	address   string
	agent     string
}

func fromRow(r sessionRow) *session {
	v := &session{id: r.ID, user: r.UserID, created: r.CreatedAt.UTC(), address: r.Address, agent: r.Agent}
	v.seen.Store(r.LastSeenAt.UnixMilli())
	v.written.Store(r.LastSeenAt.UnixMilli())
	v.confirmed.Store(r.ConfirmedAt.UnixMilli())
	return v
}

// sessions are all that live: who is not here is not signed in.
type sessions struct {
	mu     sync.RWMutex
	byID   map[string]*session
	byUser map[int64][]*session
}

func newSessions() *sessions {
	return &sessions{byID: make(map[string]*session), byUser: make(map[int64][]*session)}
}

func (c *sessions) get(id string) *session {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

func (c *sessions) of(user int64) []*session {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.byUser[user])
}

func (c *sessions) add(v *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[v.id] = v
	c.byUser[v.user] = append(c.byUser[v.user], v)
}

func (c *sessions) remove(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		v := c.byID[id]
		if v == nil {
			continue
		}
		delete(c.byID, id)
		rest := slices.DeleteFunc(c.byUser[v.user], func(o *session) bool { return o == v })
		if len(rest) == 0 {
			delete(c.byUser, v.user)
		} else {
			c.byUser[v.user] = rest
		}
	}
}

// removeUser removes a person's sessions but one, and tells how many.
func (c *sessions) removeUser(user int64, except string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	var rest []*session
	for _, v := range c.byUser[user] {
		if v.id == except {
			rest = append(rest, v)
			continue
		}
		delete(c.byID, v.id)
		n++
	}
	if len(rest) == 0 {
		delete(c.byUser, user)
	} else {
		c.byUser[user] = rest
	}
	return n
}

func (c *sessions) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.byID)
}

func (c *sessions) all() []*session {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*session, 0, len(c.byID))
	for _, v := range c.byID {
		all = append(all, v)
	}
	return all
}

func (s *Service) loadSessions(ctx context.Context) error {
	var rows []sessionRow
	if err := s.store.Read(ctx).Find(&rows).Error; err != nil {
		return fmt.Errorf("read the sessions: %w", err)
	}
	for _, r := range rows {
		s.sessions.add(fromRow(r))
	}
	return nil
}

// Authenticate tells who holds a session token, and notes that the session is in use. It makes no query, except for the first request of
// a person after the start or after something about that person changed.
func (s *Service) Authenticate(token string) (Principal, bool) {
	id := tokenID(token)
	if id == "" {
		return Principal{}, false
	}
	v := s.sessions.get(id)
	p, ok := s.principal(v)
	if ok {
		v.seen.Store(s.now().UnixMilli())
	}
	return p, ok
}

// Check is Authenticate by the id of the session. It does not count as use: a page that is left open must not keep a session alive.
func (s *Service) Check(sessionID string) (Principal, bool) {
	return s.principal(s.sessions.get(sessionID))
}

func (s *Service) principal(v *session) (Principal, bool) {
	if v == nil {
		return Principal{}, false
	}
	u, ok := s.people.get(v.user, s.loadUser)
	if !ok || u.Blocked {
		return Principal{}, false
	}
	end := s.ends(v, u.Roles)
	if !s.now().Before(end) {
		return Principal{}, false
	}
	return Principal{User: *u, Session: v.view(end)}, true
}

// ends is when a session is over if it is not used any more.
func (s *Service) ends(v *session, roles []string) time.Time {
	idle, absolute := s.limits.CustomerIdle, s.limits.CustomerAbsolute
	if s.Can(roles, AdminAccess) {
		idle, absolute = s.limits.AdminIdle, s.limits.AdminAbsolute
	}
	a, b := time.UnixMilli(v.seen.Load()).UTC().Add(idle), v.created.Add(absolute)
	if a.Before(b) {
		return a
	}
	return b
}

func (v *session) view(end time.Time) Session {
	return Session{
		ID: v.id, UserID: v.user, CreatedAt: v.created, LastSeenAt: time.UnixMilli(v.seen.Load()).UTC(),
		ConfirmedAt: time.UnixMilli(v.confirmed.Load()).UTC(), ExpiresAt: end, Address: v.address, Agent: v.agent,
	}
}

// overdue lists the sessions that are over for everybody; those of people with shorter limits are refused until then.
func (s *Service) overdue() []string {
	var over []string
	for _, v := range s.sessions.all() {
		u, ok := s.people.peek(v.user)
		var roles []string
		if ok {
			roles = u.Roles
		}
		if !s.now().Before(s.ends(v, roles)) {
			over = append(over, v.id)
		}
	}
	return over
}

// flushSeen writes the changed last-seen times, in small transactions so that others get their turn.
func (s *Service) flushSeen(ctx context.Context) error {
	type touch struct {
		v    *session
		seen int64
	}
	var touched []touch
	for _, v := range s.sessions.all() {
		if seen := v.seen.Load(); seen != v.written.Load() {
			touched = append(touched, touch{v, seen})
		}
	}
	for chunk := range slices.Chunk(touched, 200) {
		err := s.store.Write(ctx, func(tx *gorm.DB) error {
			for _, t := range chunk {
				at := time.UnixMilli(t.seen).UTC()
				if err := tx.Exec("UPDATE core_sessions SET last_seen_at = ? WHERE id = ?", at, t.v.id).Error; err != nil {
					return err
				}
				err := tx.Exec("UPDATE core_users SET last_seen_at = ? WHERE id = ? AND (last_seen_at IS NULL OR last_seen_at < ?)", at, t.v.user, at).Error
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write last-seen times: %w", err)
		}
		for _, t := range chunk {
			t.v.written.Store(t.seen)
		}
	}
	return nil
}

// begin writes a new session within tx. Its token is new each time, so that a token planted before the sign-in is worth nothing.
func (s *Service) begin(tx *gorm.DB, user int64, c Client) (token string, v *session, dropped []string, err error) {
	token, id := newToken()
	now := s.now()
	row := sessionRow{ID: id, UserID: user, CreatedAt: now, LastSeenAt: now, ConfirmedAt: now, Address: c.address(), Agent: c.agent()}
	if err := tx.Create(&row).Error; err != nil {
		return "", nil, nil, fmt.Errorf("begin a session: %w", err)
	}
	if err := tx.Exec("UPDATE core_users SET last_seen_at = ? WHERE id = ?", now, user).Error; err != nil {
		return "", nil, nil, fmt.Errorf("begin a session: %w", err)
	}
	have := s.sessions.of(user)
	slices.SortFunc(have, func(a, b *session) int { return cmp.Compare(a.seen.Load(), b.seen.Load()) })
	for i := 0; len(have)-i >= s.limits.SessionsPerUser; i++ {
		dropped = append(dropped, have[i].id)
		if err := tx.Where("id = ?", have[i].id).Delete(&sessionRow{}).Error; err != nil {
			return "", nil, nil, fmt.Errorf("end the oldest session: %w", err)
		}
	}
	return token, fromRow(row), dropped, nil
}

// admit takes a begun session over into memory.
func (s *Service) admit(v *session, dropped []string) {
	s.sessions.remove(dropped...)
	s.sessions.add(v)
	s.people.forget(v.user)
}

func (s *Service) signedIn(token string, v *session) (SignedIn, error) {
	p, ok := s.principal(v)
	if !ok {
		return SignedIn{}, fault.New(fault.SignedOut, "You have been signed out.")
	}
	return SignedIn{Token: token, Principal: p}, nil
}

// Sessions are those of one person that live, the last used first. Memory only.
func (s *Service) Sessions(userID int64) []Session {
	list := []Session{}
	for _, v := range s.sessions.of(userID) {
		if p, ok := s.principal(v); ok {
			list = append(list, p.Session)
		}
	}
	slices.SortFunc(list, func(a, b Session) int { return b.LastSeenAt.Compare(a.LastSeenAt) })
	return list
}

// SignOut ends a session; it succeeds when it was over already.
func (s *Service) SignOut(ctx context.Context, sessionID string) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		return tx.Where("id = ?", sessionID).Delete(&sessionRow{}).Error
	}, func() { s.sessions.remove(sessionID) })
}

// EndSession ends one session of a person; fault.NotFound when it is not one of theirs.
func (s *Service) EndSession(ctx context.Context, userID int64, sessionID string) error {
	if v := s.sessions.get(sessionID); v == nil || v.user != userID {
		return fault.New(fault.NotFound, "This session is over already.")
	}
	return s.SignOut(ctx, sessionID)
}

// EndSessions ends the sessions of a person but except ("" ends all), and tells how many there were.
func (s *Service) EndSessions(ctx context.Context, userID int64, except string) (n int, err error) {
	err = s.change(ctx, func(tx *gorm.DB) error { return endSessions(tx, userID, except) },
		func() { n = s.sessions.removeUser(userID, except) })
	return n, err
}

func endSessions(tx *gorm.DB, userID int64, except string) error {
	if err := tx.Where("user_id = ? AND id <> ?", userID, except).Delete(&sessionRow{}).Error; err != nil {
		return fmt.Errorf("end the sessions of user %d: %w", userID, err)
	}
	return nil
}
