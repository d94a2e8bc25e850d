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
	Roles   []identity.Role `json:"roles"` // the columns
	Groups  []matrixGroup   `json:"groups"`
	Open    string          `json:"open"`
	Q       string          `json:"q"`
	Role    string          `json:"role"`    // only this column, for narrow screens; "": all
	Choices []choice        `json:"choices"` // of roles
	Confirm bool            `json:"confirm"` // giving power over the site asks for the password
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
	Seen  bool   `json:"seen"` // how it is saved; differs from on while a form that was not accepted comes back
	Key   string `json:"key"`  // "role permission", the value of the box
}

// matrixView is what of the matrix is shown.
type matrixView struct{ open, q, role string }

func (v *visit) matrixView() matrixView {
	return matrixView{open: v.query("module"), q: clip(v.query("q"), 100), role: v.query("role")}
}

// matrixPage shows the matrix. pending are changes of a form that comes back: they are shown as they were ticked.
func (s *Server) matrixPage(view matrixView, pending []identity.Change) theme.Page {
	matrix := s.o.People.Matrix()
	data := matrixData{Roles: matrix.Roles, Q: view.q, Open: view.open, Groups: []matrixGroup{}, Choices: append([]choice{{"", "All roles"}}, roleChoices(matrix.Roles)...)}
	if i := slices.IndexFunc(matrix.Roles, func(r identity.Role) bool { return r.ID == view.role }); i >= 0 {
		data.Role, data.Roles = view.role, matrix.Roles[i:i+1]
	}
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
				shown.Rows = append(shown.Rows, matrixRowOf(p, data.Roles, matrix, pending))
			}
		}
		if data.Q == "" || len(shown.Rows) > 0 {
			data.Groups = append(data.Groups, shown)
		}
	}
	return theme.Page{Template: "admin_permissions", Title: "Permissions", Data: data}
}

func matrixRowOf(p identity.Permission, roles []identity.Role, matrix identity.Matrix, pending []identity.Change) matrixRow {
	row := matrixRow{Permission: p}
	for _, role := range roles {
		cell := matrixCell{Role: role.ID, Title: role.Title, Seen: matrix.Granted[role.ID][p.ID], Key: role.ID + " " + p.ID}
		cell.On = cell.Seen
		if i := slices.IndexFunc(pending, func(c identity.Change) bool { return c.Role == role.ID && c.Permission == p.ID }); i >= 0 {
			cell.On = pending[i].Want
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

func matches(q string, texts ...string) bool {
	q = strings.ToLower(strings.TrimSpace(q))
	return q == "" || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), q) })
}

func (s *Server) permissionMatrix(v *visit) error { return v.render(s.matrixPage(v.matrixView(), nil)) }

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
	view := matrixView{open: f.text("module"), q: clip(f.text("q"), 100), role: f.text("role")}
	if s.givesPower(changes) {
		if err := v.confirm(f); err != nil {
			page := s.matrixPage(view, changes)
			data, _ := page.Data.(matrixData)
			data.Confirm = true
			page.Data = data
			return v.again(page, err)
		}
	}
	applied, err := s.o.People.ApplyChanges(v.ctx(), v.actor(), changes)
	if err != nil {
		return v.again(s.matrixPage(view, changes), err)
	}
	back := view.path()
	message := sdk.Message{Tone: sdk.Good, Text: changedSentence(applied.Changed)}
	if applied.Changed == 0 {
		message = sdk.Message{Tone: sdk.Info, Text: "Nothing was different. Nothing changed."}
	}
	if n := len(applied.Conflicts); n > 0 {
		c := applied.Conflicts[0]
		message = sdk.Message{Tone: sdk.Warn, Text: fmt.Sprintf("%s %d left alone. %s You wanted %s for %s to be %s; it is %s now.",
			changedSentence(applied.Changed), n, c.Reason, c.Permission, c.Role, allowed[c.Want], allowed[c.Now])}
	}
	return v.redirectWith(back, map[string]any{"changed": applied.Changed, "conflicts": applied.Conflicts}, message)
}

var allowed = map[bool]string{true: "allowed", false: "not allowed"}

func changedSentence(n int) string {
	if n == 1 {
		return "1 permission changed."
	}
	return fmt.Sprintf("%d permissions changed.", n)
}

// path leads back to what was shown.
func (m matrixView) path() string {
	query := url.Values{}
	for key, value := range map[string]string{"module": m.open, "q": m.q, "role": m.role} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if len(query) == 0 {
		return "/admin/permissions"
	}
	return "/admin/permissions?" + query.Encode()
}

// restricted tells of each permission whether it has power over the site.
func (s *Server) restricted() map[string]bool {
	restricted := map[string]bool{}
	for _, g := range s.permissionGroups() {
		for _, p := range g.Permissions {
			restricted[p.ID] = p.Restricted
		}
	}
	return restricted
}

// givesPower tells whether one of the changes gives a role something with power over the site.
func (s *Server) givesPower(changes []identity.Change) bool {
	restricted := s.restricted()
	return slices.ContainsFunc(changes, func(c identity.Change) bool { return c.Want && !c.Seen && restricted[c.Permission] })
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
