package web

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mortise/core/help"
	"mortise/core/identity"
	"mortise/core/jobs"
	"mortise/core/logbook"
	"mortise/core/mail"
	"mortise/core/modules"
	"mortise/core/outbox"
	"mortise/core/sdk"
	"mortise/core/status"
	"mortise/core/supervisor"
	"mortise/core/theme"
)

// Admin are the parts that only the pages under /admin use.
type Admin struct {
	Modules *modules.Manager
	Book    *logbook.Book
	Board   *status.Board
	Help    *help.Book
	Jobs    *jobs.Scheduler
	Outbox  *outbox.Outbox
	Mail    *mail.Sender
	Version string
}

// adminRoutes is every page under /admin that the host has itself. None of them needs a module.
func (s *Server) adminRoutes() []route {
	overview := &group{access: permission, permission: identity.AdminAccess}
	overview.get("/admin", s.dashboard)

	mods := &group{access: permission, permission: identity.AdminModules}
	mods.get("/admin/modules", s.moduleList)
	mods.get("/admin/modules/live", s.moduleLive)
	mods.post("/admin/modules/rescan", s.moduleRescan)
	mods.get("/admin/modules/:id", s.moduleOverview)
	mods.get("/admin/modules/:id/asks", s.moduleAsks)
	mods.get("/admin/modules/:id/enable", s.moduleAsks)
	mods.post("/admin/modules/:id/enable", s.moduleEnable)
	mods.post("/admin/modules/:id/pause", s.modulePause)
	mods.post("/admin/modules/:id/resume", s.moduleResume)
	mods.post("/admin/modules/:id/restart", s.moduleRestart)
	mods.get("/admin/modules/:id/remove", s.moduleLedger)
	mods.post("/admin/modules/:id/remove", s.moduleRemove)
	mods.get("/admin/modules/:id/settings", s.moduleSettings)
	mods.post("/admin/modules/:id/settings", s.moduleSettingsSave)
	mods.post("/admin/modules/:id/settings/test", s.moduleSettingsTest)
	mods.get("/admin/modules/:id/log", s.moduleLog)
	mods.get("/admin/modules/:id/jobs", s.moduleJobs)
	mods.post("/admin/modules/:id/jobs/:job/run", s.moduleJobRun)
	mods.post("/admin/modules/:id/events/:event/again", s.moduleEventAgain)
	mods.post("/admin/modules/:id/events/:event/drop", s.moduleEventDrop)

	people := &group{access: permission, permission: identity.AdminPeople}
	people.get("/admin/people", s.peopleList)
	people.get("/admin/people/new", s.personForm)
	people.post("/admin/people", s.personCreate)
	people.get("/admin/people/:id", s.person)
	people.post("/admin/people/:id", s.personSave)
	people.post("/admin/people/:id/block", s.personBlock)
	people.post("/admin/people/:id/unblock", s.personUnblock)
	people.post("/admin/people/:id/invite", s.personInvite)
	people.get("/admin/people/:id/delete", s.personDeleteForm)
	people.post("/admin/people/:id/delete", s.personDelete)
	people.get("/admin/roles", s.roleList)
	people.post("/admin/roles", s.roleCreate)
	people.post("/admin/roles/:id", s.roleSave)
	people.post("/admin/roles/:id/delete", s.roleDelete)

	rights := &group{access: permission, permission: identity.AdminPermissions}
	rights.get("/admin/permissions", s.permissionMatrix)
	rights.post("/admin/permissions", s.permissionSave)

	looks := &group{access: permission, permission: identity.AdminAppearance}
	looks.get("/admin/appearance", s.appearance)
	looks.post("/admin/appearance", s.appearanceChoose)
	looks.get("/admin/appearance/:theme", s.appearanceTheme)
	looks.post("/admin/appearance/:theme", s.appearanceSave)

	journal := &group{access: permission, permission: identity.AdminLog}
	journal.get("/admin/log", s.log)

	state := &group{access: permission, permission: identity.AdminStatus}
	state.get("/admin/status", s.status)
	state.post("/admin/status/mail", s.statusMail)

	site := &group{access: permission, permission: identity.AdminSettings}
	site.get("/admin/settings", s.siteSettings)
	site.post("/admin/settings", s.siteSettingsSave)

	manual := &group{access: permission, permission: identity.AdminHelp}
	manual.get("/admin/help", s.helpIndex)
	manual.get("/admin/help/module.schema.json", s.helpSchema)
	manual.get("/admin/help/module/:id", s.helpModule)
	manual.get("/admin/help/:page", s.helpPage)

	return join(overview, mods, people, rights, looks, journal, state, site, manual)
}

// actorName is how rows and reports name the visitor.
func (v *visit) actorName() string { return v.who.User.Name }

// crumbs builds the breadcrumbs of an admin page. A page of the menu has none: the menu says where it is.
func crumbs(links ...sdk.Link) []sdk.Link {
	if len(links) == 0 {
		return nil
	}
	return append([]sdk.Link{{Title: "Overview", Path: "/admin"}}, links...)
}

var modulesCrumb = sdk.Link{Title: "Modules", Path: "/admin/modules"}

// dashboardData is the data of the page admin_dashboard.
type dashboardData struct {
	Attention []status.Line `json:"attention"`
	Modules   moduleCounts  `json:"modules"`
	People    int64         `json:"people"`
	Sessions  int           `json:"sessions"`
	Next      []nextStep    `json:"next"` // what to do on a young site
	Recent    []logLine     `json:"recent"`
	Version   string        `json:"version"`
}

// nextStep is a suggestion with the page where it is done.
type nextStep struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	Path  string `json:"path"`
	Icon  string `json:"icon"`

	permission string // to go there
}

// moduleCounts is the summary line of the module list.
type moduleCounts struct {
	Running   int `json:"running"`
	Paused    int `json:"paused"`
	Attention int `json:"attention"`
	Available int `json:"available"`
	Total     int `json:"total"`
}

// dashboard is the first admin page. Each part of it is for those who may see the page that it comes from.
func (s *Server) dashboard(v *visit) error {
	ctx := v.ctx()
	data := dashboardData{Attention: []status.Line{}, Recent: []logLine{}, Next: []nextStep{}, Sessions: s.o.People.Stats().Sessions, Version: s.o.Admin.Version}
	rows := moduleRows(s.o.Admin.Modules.List())
	if v.can(identity.AdminModules) {
		data.Modules = countModules(rows)
	}
	if v.can(identity.AdminPeople) {
		page, err := s.o.People.List(ctx, identity.UserQuery{Limit: 1})
		if err != nil {
			return err
		}
		data.People = page.Total
	}
	if v.can(identity.AdminStatus) {
		data.Attention = append(data.Attention, status.Attention(s.o.Admin.Board.Lines(ctx))...)
	}
	if v.can(identity.AdminLog) {
		warning := logWarning
		entries, err := s.o.Admin.Book.Query(ctx, logbook.Filter{MinSeverity: &warning, Limit: 8})
		if err != nil {
			return err
		}
		data.Recent = logLines(entries)
	}
	for _, step := range nextSteps(rows) {
		if step.permission == "" || v.can(step.permission) {
			data.Next = append(data.Next, step)
		}
	}
	return v.render(theme.Page{Template: "admin_dashboard", Title: "Overview", Data: data})
}

// nextSteps are the steps that a young site has not taken.
func nextSteps(rows []moduleRow) []nextStep {
	steps := []nextStep{}
	if i := slices.IndexFunc(rows, func(r moduleRow) bool { return r.State == string(supervisor.Available) }); i >= 0 {
		steps = append(steps, nextStep{Title: "Enable " + rows[i].Name, Text: rows[i].Description, Path: "/admin/modules/" + rows[i].ID + "/asks", Icon: "puzzle", permission: identity.AdminModules})
	}
	return append(steps,
		nextStep{Title: "Make it yours", Text: "Your name, logo and colour on every page.", Path: "/admin/appearance", Icon: "palette", permission: identity.AdminAppearance},
		nextStep{Title: "Look at the site", Text: "See what your customers see.", Path: "/", Icon: "eye"},
	)
}

// logWarning is the severity from which a line matters to an administrator.
const logWarning = slog.LevelWarn

// patient gives operations on modules the time they need, whatever the visitor's connection does: a module that is half enabled
// because a browser closed would help nobody.
func patient(v *visit) (context.Context, context.CancelFunc) {
	return context.WithTimeout(logbook.WithRequestID(context.Background(), v.id), time.Minute)
}

// tidy makes a list of words for a sentence.
func tidy(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
