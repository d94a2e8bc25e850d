package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// permissionGroup is the permissions of the host or of one module.
type permissionGroup struct {
	ID          string
	Title       string
	Permissions []identity.Permission
}

// permissionGroups gives all permissions: the host's first, then the modules' that are on.
func (s *Server) permissionGroups() []permissionGroup {
	groups := []permissionGroup{{"host", "The site itself", identity.HostPermissions()}}
	for _, m := range s.o.Routes().Permissions() {
		g := permissionGroup{ID: m.Module, Title: m.Name}
		for _, p := range m.Permissions {
			g.Permissions = append(g.Permissions, identity.Permission{ID: p.ID, Title: p.Title, Description: p.Description, Restricted: p.Restricted})
		}
		groups = append(groups, g)
	}
	return groups
}

// matrixData is the data of the page admin_permissions. Only the open group has rows: a site with many modules stays light.
type matrixData struct {
	Roles  []identity.Role `json:"roles"`
	Groups []matrixGroup   `json:"groups"`
	Open   string          `json:"open"`
	Q      string          `json:"q"`
}

type matrixGroup struct {
	ID    string      `json:"id"`
	Title string      `json:"title"`
	Count int         `json:"count"`
	Open  bool        `json:"open"`
	Rows  []matrixRow `json:"rows"`
}

type matrixRow struct {
	identity.Permission
	Cells []matrixCell `json:"cells"`
}

type matrixCell struct {
	Role  string `json:"role"`
	Title string `json:"title"` // of the role
	On    bool   `json:"on"`
	Key   string `json:"key"` // "role permission", the value of the box
}

func (s *Server) matrixPage(v *visit) theme.Page {
	matrix := s.o.People.Matrix()
	data := matrixData{Roles: matrix.Roles, Q: clip(v.query("q"), 100), Open: v.query("module"), Groups: []matrixGroup{}}
	groups := s.permissionGroups()
	if data.Open == "" && data.Q == "" && len(groups) > 0 {
		data.Open = groups[len(groups)-1].ID
		if len(groups) > 1 {
			data.Open = groups[1].ID
		}
	}
	for _, g := range groups {
		shown := matrixGroup{ID: g.ID, Title: g.Title, Count: len(g.Permissions), Open: g.ID == data.Open || data.Q != "", Rows: []matrixRow{}}
		for _, p := range g.Permissions {
			if shown.Open && matches(data.Q, p.ID, p.Title, p.Description) {
				shown.Rows = append(shown.Rows, rowFor(p, matrix))
			}
		}
		if data.Q == "" || len(shown.Rows) > 0 {
			data.Groups = append(data.Groups, shown)
		}
	}
	return theme.Page{Template: "admin_permissions", Title: "Permissions", Data: data, Breadcrumbs: crumbs()}
}

func rowFor(p identity.Permission, matrix identity.Matrix) matrixRow {
	row := matrixRow{Permission: p}
	for _, role := range matrix.Roles {
		row.Cells = append(row.Cells, matrixCell{Role: role.ID, Title: role.Title, On: matrix.Granted[role.ID][p.ID], Key: role.ID + " " + p.ID})
	}
	return row
}

func matches(q string, texts ...string) bool {
	q = strings.ToLower(strings.TrimSpace(q))
	return q == "" || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), q) })
}

func (s *Server) permissionMatrix(v *visit) error { return v.render(s.matrixPage(v)) }

// permissionSave applies what changed. A program sends {"changes":[{"role","permission","want","seen"}]}; the page's script sends
// one field "change" for each cell that was touched, "role permission want seen"; without script the form sends the boxes that
// were on when it was drawn ("seen") and those that are on now ("on"), and the difference counts.
func (s *Server) permissionSave(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	changes, err := changesOf(f)
	if err != nil {
		return err
	}
	applied, err := s.o.People.ApplyChanges(v.c.Context(), v.actor(), changes)
	if err != nil {
		return v.again(s.matrixPage(v), err)
	}
	back := "/admin/permissions"
	if module := f.text("module"); module != "" {
		back += "?module=" + url.QueryEscape(module)
	}
	message := sdk.Message{Tone: sdk.Good, Text: fmt.Sprintf("%d changed.", applied.Changed)}
	if applied.Changed == 0 {
		message = sdk.Message{Tone: sdk.Info, Text: "Nothing was different. Nothing changed."}
	}
	if n := len(applied.Conflicts); n > 0 {
		c := applied.Conflicts[0]
		message = sdk.Message{Tone: sdk.Warn, Text: fmt.Sprintf("%d changed. %d were left alone, because somebody else changed them meanwhile: %s for %s is now %s.",
			applied.Changed, n, c.Permission, c.Role, map[bool]string{true: "allowed", false: "not allowed"}[c.Now])}
	}
	return v.redirectWith(back, map[string]any{"changed": applied.Changed, "conflicts": len(applied.Conflicts)}, message)
}

// maxChanges bounds one save of the matrix.
const maxChanges = 5000

func changesOf(f form) ([]identity.Change, error) {
	var changes []identity.Change
	switch {
	case f.has("changes"):
		list, _ := f["changes"].([]any)
		for _, one := range list {
			m, _ := one.(map[string]any)
			change := form(m)
			changes = append(changes, identity.Change{Role: change.text("role"), Permission: change.text("permission"), Want: change.on("want"), Seen: change.on("seen")})
		}
	case f.has("change"):
		for _, text := range f.list("change") {
			parts := strings.Fields(text)
			if len(parts) != 4 {
				return nil, fault.New(fault.Invalid, "A change is role, permission, want and seen.")
			}
			changes = append(changes, identity.Change{Role: parts[0], Permission: parts[1], Want: parts[2] == "1", Seen: parts[3] == "1"})
		}
	default:
		on, seen := f.list("on"), f.list("seen")
		for _, key := range on {
			if !slices.Contains(seen, key) {
				changes = appendCell(changes, key, true)
			}
		}
		for _, key := range seen {
			if !slices.Contains(on, key) {
				changes = appendCell(changes, key, false)
			}
		}
	}
	if len(changes) > maxChanges {
		return nil, fault.New(fault.TooLarge, "At most %d changes at once.", maxChanges)
	}
	return changes, nil
}

func appendCell(changes []identity.Change, key string, want bool) []identity.Change {
	role, permission, ok := strings.Cut(key, " ")
	if !ok {
		return changes
	}
	return append(changes, identity.Change{Role: role, Permission: permission, Want: want, Seen: !want})
}
