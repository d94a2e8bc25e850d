package particletest

import (
	"encoding/json"
	"os"
	"time"
)

// kept is what outlives a restart in StateFile, so that accounts linked to a demo stay linked.
type kept struct {
	Tokens  []*token              `json:"tokens"`
	Devices map[string]keptDevice `json:"devices"`
}

type keptDevice struct {
	Name      string         `json:"name"`
	Owner     string         `json:"owner"`
	Variables map[string]any `json:"variables"` // text alone: a lamp's state
}

// save writes the state file, if there is one; the mutex is held. It cannot fail a request: SaveError tells.
func (s *Server) save() {
	if s.StateFile == "" || !s.seeded {
		return
	}
	k := kept{Tokens: s.sortedTokens(), Devices: map[string]keptDevice{}}
	for id, d := range s.devices {
		row := keptDevice{d.Name, d.Owner, map[string]any{}}
		for name, v := range d.Variables {
			if text, ok := v.(string); ok {
				row.Variables[name] = text
			}
		}
		k.Devices[id] = row
	}
	raw, err := json.Marshal(k)
	if err == nil {
		temporary := s.StateFile + ".new"
		if err = os.WriteFile(temporary, raw, 0o600); err == nil {
			err = os.Rename(temporary, s.StateFile)
		}
	}
	s.saveError = err
}

// SaveError is why the state file could not be written last, or nil.
func (s *Server) SaveError() error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saveError
}

// load reads the state file; the mutex is held. A missing or damaged one is an empty one: it is a simulator's memory.
func (s *Server) load() {
	if s.StateFile == "" {
		return
	}
	raw, err := os.ReadFile(s.StateFile)
	var k kept
	if err != nil || json.Unmarshal(raw, &k) != nil {
		return
	}
	now := s.Now()
	for _, t := range k.Tokens {
		if t == nil || t.Access == "" || !t.Expires.IsZero() && t.Expires.Before(now.Add(-14*24*time.Hour)) {
			continue
		}
		s.tokens[t.Access] = t
		if t.Refresh != "" {
			s.refreshes[t.Refresh] = t
		}
	}
	for id, row := range k.Devices {
		d := s.devices[id]
		if d == nil {
			continue
		}
		d.Name, d.Owner = row.Name, row.Owner
		for name, v := range row.Variables {
			if _, ok := d.Variables[name].(string); ok {
				d.Variables[name] = v
			}
		}
	}
}
