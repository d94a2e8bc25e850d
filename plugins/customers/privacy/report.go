package privacy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report is the answer of host.privacy.report.
type report struct {
	Account account        `json:"account"`
	Modules []moduleReport `json:"modules"`
}

type account struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Roles       []string   `json:"roles"`
	Blocked     bool       `json:"blocked"`
	HasPassword bool       `json:"has_password"`
	Locale      string     `json:"locale"`
	TimeZone    string     `json:"time_zone"`
	CreatedAt   time.Time  `json:"created_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"`
	Sessions    []session  `json:"sessions"`
}

// session is a sign-in. ID and Current come from host.people alone.
type session struct {
	ID         string    `json:"id,omitempty"`
	Agent      string    `json:"agent"`
	Browser    string    `json:"browser"` // Agent in words; filled in here
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	Current    bool      `json:"current"`
}

// named fills in which browsers sessions are of.
func named(list []session) {
	for i := range list {
		list[i].Browser = browserName(list[i].Agent)
	}
}

type moduleReport struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Tables []tableReport `json:"tables"`
}

type tableReport struct {
	Table   string           `json:"table"`
	Purpose string           `json:"purpose"`
	Keep    string           `json:"keep"`
	Rows    []map[string]any `json:"rows"`
	Total   int64            `json:"total"`
	Hidden  []string         `json:"hidden"`
}

type userIn struct {
	UserID int64 `json:"user_id"`
}

// ask gets what the site keeps about a person.
func (p *Privacy) ask(ctx context.Context, userID int64) (report, error) {
	var r report
	err := p.Host.Call(ctx, "host.privacy", "report", userIn{userID}, &r)
	named(r.Account.Sessions)
	return r, err
}

// mirror is the table that follows the site's accounts: while the account stays, so does its line there.
const mirror = "customers_people"

// remaining lists what should be gone after an erasure and is not.
func (r report) remaining() []left {
	list := []left{}
	for _, m := range r.Modules {
		for _, t := range m.Tables {
			if t.Keep == "" && t.Total > 0 && t.Table != mirror {
				list = append(list, left{Module: m.Name, Table: t.Table, Purpose: t.Purpose, Rows: t.Total})
			}
		}
	}
	return list
}

// moduleView is what a module keeps, for a page.
type moduleView struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"`
	Tables []tableView `json:"tables"`
}

type tableView struct {
	Table   string    `json:"table"`
	Purpose string    `json:"purpose"`
	Keep    string    `json:"keep"`
	Rows    [][]value `json:"rows"` // the values that are not empty
	Total   int64     `json:"total"`
	Shown   int       `json:"shown"`
	Cut     bool      `json:"cut"` // there are more rows than are shown
	Hidden  []string  `json:"hidden"`
}

// value is one value of a row: a text, the beginning of a long one with all of it in More, or a time.
type value struct {
	Name string     `json:"name"`
	Text string     `json:"text,omitempty"`
	More string     `json:"more,omitempty"`
	At   *time.Time `json:"at,omitempty"`
}

func (r report) view() []moduleView {
	modules := make([]moduleView, 0, len(r.Modules))
	for _, m := range r.Modules {
		v := moduleView{ID: m.ID, Name: m.Name, Tables: make([]tableView, 0, len(m.Tables))}
		for _, t := range m.Tables {
			v.Tables = append(v.Tables, t.view())
		}
		modules = append(modules, v)
	}
	return modules
}

func (t tableReport) view() tableView {
	v := tableView{Table: t.Table, Purpose: t.Purpose, Keep: t.Keep, Total: t.Total, Hidden: slices.Concat([]string{}, t.Hidden), Rows: make([][]value, 0, len(t.Rows))}
	columns := columnsOf(t.Rows)
	for _, row := range t.Rows {
		values := make([]value, 0, len(columns))
		for _, c := range columns {
			if v, ok := valueOf(c, row[c]); ok {
				values = append(values, v)
			}
		}
		v.Rows = append(v.Rows, values)
	}
	v.Shown = len(v.Rows)
	v.Cut = int64(v.Shown) < v.Total
	return v
}

// columnsOf lists the columns of some rows: numbers first, times last, the others by name between them.
func columnsOf(rows []map[string]any) []string {
	if len(rows) == 0 {
		return []string{}
	}
	rank := func(c string) int {
		switch {
		case c == "id":
			return 0
		case c == "user_id":
			return 1
		case c == "at" || strings.HasSuffix(c, "_at"):
			return 3
		}
		return 2
	}
	return slices.SortedFunc(maps.Keys(rows[0]), func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// longText is how many characters of a value are shown at once.
const longText = 80

// valueOf makes a value readable. false: it is empty.
func valueOf(name string, v any) (value, bool) {
	switch v := v.(type) {
	case nil:
		return value{}, false
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return value{Name: name, At: &at}, true
		}
		if runes := []rune(v); len(runes) > longText {
			return value{Name: name, Text: string(runes[:longText]), More: v}, true
		}
		return value{Name: name, Text: v}, v != ""
	case bool:
		if v {
			return value{Name: name, Text: "yes"}, true
		}
		return value{Name: name, Text: "no"}, true
	case float64:
		return value{Name: name, Text: strconv.FormatFloat(v, 'f', -1, 64)}, true
	}
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(fmt.Sprint(v))
	}
	return value{Name: name, Text: string(text)}, true
}
