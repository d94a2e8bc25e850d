package web

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/modules"
	"mortise/core/sdk"
	"mortise/core/supervisor"
	"mortise/core/theme"
)

// moduleRow is one module in a list. The keys are also those of the live updates.
type moduleRow struct {
	ID          string        `json:"id"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Version     string        `json:"version"`
	Group       string        `json:"group"`
	Icon        string        `json:"icon"`
	State       string        `json:"state"`
	Tone        string        `json:"tone"`
	Reason      string        `json:"reason"`
	Remedy      string        `json:"remedy"`
	Since       time.Time     `json:"since,omitzero"`
	Restarts    int           `json:"restarts"`
	Memory      int64         `json:"memory"` // bytes
	MemoryLimit int64         `json:"memory_limit"`
	Latency     float64       `json:"latency_ms"` // median of the last pages
	Needs       []string      `json:"needs"`      // required modules that are not enabled
	Problem     string        `json:"problem"`    // why it cannot be enabled
	Findings    []sdk.Finding `json:"findings"`   // of its own check, without mere notes
	Attention   bool          `json:"attention"`  // an administrator should look
	HasSettings bool          `json:"has_settings"`
	CanEnable   bool          `json:"can_enable"`
	CanPause    bool          `json:"can_pause"`
	CanResume   bool          `json:"can_resume"`
}

// stateTones is how each state looks; a state without one is quiet.
var stateTones = map[supervisor.State]string{
	supervisor.Running: "good", supervisor.Starting: "info", supervisor.Staged: "info", supervisor.Draining: "info",
	supervisor.Paused: "off", supervisor.Backoff: "warn", supervisor.Quarantined: "bad", supervisor.Incompatible: "bad",
}

func rowOf(e modules.Entry) moduleRow {
	st := e.Status
	r := moduleRow{
		ID: e.Manifest.ID, Name: e.Manifest.Name, Description: e.Manifest.Description, Version: e.Manifest.Version,
		Group: e.Manifest.Group, Icon: e.Manifest.Icon, State: string(st.State), Tone: stateTones[st.State], Reason: st.Reason, Remedy: st.Remedy,
		Since: st.Since, Restarts: st.Restarts, Memory: st.PSS, MemoryLimit: e.Manifest.Resources.MemoryBytes(), Latency: float64(st.P50.Microseconds()) / 1000, Needs: []string{}, Findings: []sdk.Finding{},
		Problem: e.Problem, HasSettings: len(e.Manifest.Settings) > 0,
	}
	if r.Icon == "" {
		r.Icon = "puzzle"
	}
	if r.Tone == "" {
		r.Tone = "off"
	}
	switch st.State {
	case supervisor.Available, supervisor.Removed, supervisor.Stopped, supervisor.Incompatible:
		r.CanEnable = r.Problem == ""
	case supervisor.Paused, supervisor.Quarantined:
		r.CanResume = r.Problem == ""
	default:
		r.CanPause = true
	}
	for _, f := range st.Findings {
		if f.Level != sdk.LevelInfo {
			r.Findings = append(r.Findings, f)
		}
	}
	r.Attention = r.Problem != "" || st.State == supervisor.Quarantined || st.State == supervisor.Backoff || st.State == supervisor.Incompatible || len(r.Findings) > 0
	return r
}

// moduleRows gives the rows of all modules, and says of each which required ones are missing.
func moduleRows(entries []modules.Entry) []moduleRow {
	on := map[string]bool{}
	for _, e := range entries {
		on[e.Manifest.ID] = e.Row.Desired != "" && e.Row.Desired != "none"
	}
	rows := make([]moduleRow, len(entries))
	for i, e := range entries {
		rows[i] = rowOf(e)
		for id := range e.Manifest.Requires {
			if !on[id] {
				rows[i].Needs = append(rows[i].Needs, id)
			}
		}
		slices.Sort(rows[i].Needs)
	}
	return rows
}

// rowFor is the row of one module as the list has it, with the required modules that are missing.
func (s *Server) rowFor(e modules.Entry) moduleRow {
	rows := moduleRows(s.o.Admin.Modules.List())
	if i := slices.IndexFunc(rows, func(r moduleRow) bool { return r.ID == e.Manifest.ID }); i >= 0 {
		return rows[i]
	}
	return rowOf(e)
}

func countModules(rows []moduleRow) moduleCounts {
	c := moduleCounts{Total: len(rows)}
	for _, r := range rows {
		switch supervisor.State(r.State) {
		case supervisor.Running:
			c.Running++
		case supervisor.Paused:
			c.Paused++
		case supervisor.Available, supervisor.Removed:
			c.Available++
		}
		if r.Attention {
			c.Attention++
		}
	}
	return c
}

// moduleGroup is one heading of the list with its rows.
type moduleGroup struct {
	Title  string      `json:"title"`
	Urgent bool        `json:"urgent"` // what needs attention
	Rows   []moduleRow `json:"rows"`
}

// moduleListData is the data of the page admin_modules.
type moduleListData struct {
	Counts   moduleCounts  `json:"counts"`
	Groups   []moduleGroup `json:"groups"` // what needs attention first
	Modules  []moduleRow   `json:"modules"`
	Q        string        `json:"q"`
	State    string        `json:"state"`
	States   []choice      `json:"states"`
	Problems []scanProblem `json:"problems"`
}

// scanProblem is a folder that holds no usable module.
type scanProblem struct {
	Dir    string `json:"dir"`
	Error  string `json:"error"`
	Remedy string `json:"remedy"`
}

var stateChoices = []choice{{"", "Any state"}, {"running", "Running"}, {"paused", "Paused"}, {"attention", "Needs attention"}, {"available", "Available"}}

func (s *Server) moduleList(v *visit) error {
	all := moduleRows(s.o.Admin.Modules.List())
	data := moduleListData{Counts: countModules(all), Q: clip(v.query("q"), 100), State: v.query("state"), States: stateChoices, Modules: []moduleRow{}, Problems: []scanProblem{}}
	for _, r := range all {
		if r.matches(data.Q, data.State) {
			data.Modules = append(data.Modules, r)
		}
	}
	data.Groups = groupModules(data.Modules)
	for _, p := range s.o.Admin.Modules.Catalogue().Problems() {
		data.Problems = append(data.Problems, scanProblem{Dir: p.Dir, Error: p.Reason, Remedy: p.Remedy})
	}
	return v.render(theme.Page{Template: "admin_modules", Title: "Modules", Data: data})
}

func (r moduleRow) matches(q, state string) bool {
	switch state {
	case "":
	case "attention":
		if !r.Attention {
			return false
		}
	case "available":
		if !r.CanEnable {
			return false
		}
	default:
		if r.State != state {
			return false
		}
	}
	text := strings.ToLower(r.ID + " " + r.Name + " " + r.Description + " " + r.Group)
	return strings.Contains(text, strings.ToLower(strings.TrimSpace(q)))
}

func groupModules(rows []moduleRow) []moduleGroup {
	groups := []moduleGroup{}
	put := func(title string, r moduleRow) {
		i := slices.IndexFunc(groups, func(g moduleGroup) bool { return g.Title == title })
		if i < 0 {
			groups = append(groups, moduleGroup{Title: title})
			i = len(groups) - 1
		}
		groups[i].Rows = append(groups[i].Rows, r)
	}
	for _, r := range rows {
		if r.Attention {
			put("Needs attention", r)
			groups[0].Urgent = true
		}
	}
	for _, r := range rows {
		if !r.Attention {
			title := r.Group
			if title == "" {
				title = "Other"
			}
			put(title, r)
		}
	}
	return groups
}

// moduleLive tells open module pages of each change of state.
func (s *Server) moduleLive(v *visit) error {
	return v.stream(identity.AdminModules, func(ctx context.Context, send SendFunc) error {
		changes := s.o.Admin.Modules.Life().Watch(ctx)
		for {
			select {
			case st, ok := <-changes:
				if !ok {
					return nil
				}
				if err := send("state", map[string]any{"id": st.ID, "state": st.State, "reason": st.Reason, "restarts": st.Restarts}); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
}

func (s *Server) moduleRescan(v *visit) error {
	ctx, cancel := patient(v)
	defer cancel()
	if err := s.o.Admin.Modules.Rescan(ctx); err != nil {
		return err
	}
	return v.redirect("/admin/modules", sdk.Message{Tone: sdk.Good, Text: "Looked at the folders again."})
}

// tab is one tab of a module's pages.
type tab struct {
	Title   string `json:"title"`
	Path    string `json:"path"`
	Current bool   `json:"current"`
}

// modulePage is the frame of a module's pages.
type modulePage struct {
	Module moduleRow `json:"module"`
	Tabs   []tab     `json:"tabs"`
	Tab    string    `json:"tab"` // the current one
}

// moduleFrame finds the module of the path and builds its tabs.
func (s *Server) moduleFrame(v *visit, current string) (modules.Entry, modulePage, error) {
	e, err := s.o.Admin.Modules.Get(v.param("id"))
	if err != nil {
		return e, modulePage{}, err
	}
	base := "/admin/modules/" + e.Manifest.ID
	p := modulePage{Module: s.rowFor(e), Tab: current}
	for _, t := range []struct {
		name, title, path string
		show              bool
	}{
		{"overview", "Overview", base, true},
		{"asks", "What it asks for", base + "/asks", true},
		{"settings", "Settings", base + "/settings", len(e.Manifest.Settings) > 0},
		{"jobs", "Jobs and events", base + "/jobs", len(e.Manifest.Jobs)+len(e.Manifest.Events.Subscribes) > 0},
		{"log", "Log", base + "/log", true},
	} {
		if t.show {
			p.Tabs = append(p.Tabs, tab{Title: t.title, Path: t.path, Current: t.name == current})
		}
	}
	return e, p, nil
}

func (s *Server) renderModule(v *visit, e modules.Entry, template, title string, data any) error {
	return v.render(theme.Page{Template: template, Title: title, Data: data, Breadcrumbs: moduleCrumbs(e, title)})
}

func moduleCrumbs(e modules.Entry, title string) []sdk.Link {
	links := []sdk.Link{modulesCrumb}
	if title != e.Manifest.Name {
		links = append(links, sdk.Link{Title: e.Manifest.Name, Path: "/admin/modules/" + e.Manifest.ID})
	}
	return crumbs(links...)
}

// overviewData is the data of the page admin_module.
type overviewData struct {
	modulePage
	PID        int           `json:"pid"`
	Started    time.Time     `json:"started,omitzero"`
	LastCheck  time.Time     `json:"last_check,omitzero"`
	CheckError string        `json:"check_error"`
	NextStart  time.Time     `json:"next_start,omitzero"`
	Requests   uint64        `json:"requests"`
	Errors     uint64        `json:"errors"`
	P99        float64       `json:"p99_ms"`
	InFlight   int           `json:"in_flight"`
	Streams    int           `json:"streams"`
	CPU        float64       `json:"cpu_seconds"`
	Exits      []exitData    `json:"exits"`
	Findings   []sdk.Finding `json:"findings"`
	Panic      string        `json:"panic"`
	Tail       []string      `json:"tail"`
	Homepage   string        `json:"homepage"`
	License    string        `json:"license"`
	Links      []sdk.Link    `json:"links"`
	Help       bool          `json:"help"`
	EnabledAt  time.Time     `json:"enabled_at,omitzero"`
	EnabledBy  string        `json:"enabled_by"`
	Dependents []string      `json:"dependents"`
	Requires   []string      `json:"requires"`
}

// exitData is one end of a module's process.
type exitData struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

func (s *Server) moduleOverview(v *visit) error {
	e, frame, err := s.moduleFrame(v, "overview")
	if err != nil {
		return err
	}
	st := e.Status
	data := overviewData{
		modulePage: frame, PID: st.PID, Started: st.Started, LastCheck: st.LastCheck, CheckError: st.CheckError, NextStart: st.NextStart,
		Requests: st.Requests, Errors: st.Errors, P99: float64(st.P99.Microseconds()) / 1000, InFlight: st.InFlight, Streams: st.Streams,
		CPU: st.CPU.Seconds(), Exits: []exitData{}, Findings: st.Findings, Panic: st.Panic, Tail: []string{},
		Homepage: e.Manifest.Homepage, License: e.Manifest.License, Links: []sdk.Link{}, Help: e.HelpText != "",
		EnabledAt: e.Row.EnabledAt, EnabledBy: e.Row.EnabledBy, Dependents: s.o.Admin.Modules.Catalogue().Dependents(e.Manifest.ID), Requires: []string{},
	}
	for _, exit := range slices.Backward(st.Exits) { // the newest first
		data.Exits = append(data.Exits, exitData{At: exit.At, Reason: exit.How})
	}
	for _, l := range e.Manifest.Links {
		if l.Menu == "admin" && st.State == supervisor.Running {
			data.Links = append(data.Links, sdk.Link{Title: l.Title, Path: l.Path})
		}
	}
	for id := range e.Manifest.Requires {
		data.Requires = append(data.Requires, id)
	}
	slices.Sort(data.Requires)
	for _, line := range st.Tail[max(0, len(st.Tail)-20):] {
		data.Tail = append(data.Tail, line.Time.UTC().Format(time.TimeOnly)+" "+line.Message)
	}
	return s.renderModule(v, e, "admin_module", e.Manifest.Name, data)
}

// moduleLog shows the module's lines of the site's log.
func (s *Server) moduleLog(v *visit) error {
	e, frame, err := s.moduleFrame(v, "log")
	if err != nil {
		return err
	}
	page, err := s.readLog(v, e.Manifest.ID)
	if err != nil {
		return err
	}
	return s.renderModule(v, e, "admin_module_log", "Log", struct {
		modulePage
		logData
	}{frame, page})
}

// done answers an action on a module: where to go on, and whether anything changed.
func (v *visit) done(path string, changed bool, did, already string) error {
	message := sdk.Message{Tone: sdk.Good, Text: did}
	if !changed {
		message = sdk.Message{Tone: sdk.Info, Text: already}
	}
	return v.redirectWith(path, map[string]any{"changed": changed}, message)
}

func (s *Server) act(v *visit, did, already string, act func(id, by string) (supervisor.Report, error)) error {
	e, err := s.o.Admin.Modules.Get(v.param("id"))
	if err != nil {
		return err
	}
	report, err := act(e.Manifest.ID, v.actorName())
	if err != nil {
		return err
	}
	return v.done(s.backTo(v, e.Manifest.ID), report.Changed, e.Manifest.Name+" "+did, e.Manifest.Name+" "+already)
}

// backTo goes back to the module's page when the form says so, else to the list.
func (s *Server) backTo(v *visit, id string) string {
	if v.field("from") == "module" {
		return "/admin/modules/" + url.PathEscape(id)
	}
	return "/admin/modules"
}

func (s *Server) modulePause(v *visit) error {
	return s.act(v, "is paused. Its pages say so, its data stays.", "was paused already. Nothing changed.", func(id, by string) (supervisor.Report, error) {
		ctx, cancel := patient(v)
		defer cancel()
		return s.o.Admin.Modules.Pause(ctx, id, by)
	})
}

func (s *Server) moduleResume(v *visit) error {
	return s.act(v, "is running again.", "was running already. Nothing changed.", func(id, by string) (supervisor.Report, error) {
		ctx, cancel := patient(v)
		defer cancel()
		return s.o.Admin.Modules.Resume(ctx, id, by)
	})
}

func (s *Server) moduleRestart(v *visit) error {
	return s.act(v, "was started anew.", "does not run.", func(id, by string) (supervisor.Report, error) {
		ctx, cancel := patient(v)
		defer cancel()
		return s.o.Admin.Modules.Restart(ctx, id, by)
	})
}

// moduleJobRun has a job done now.
func (s *Server) moduleJobRun(v *visit) error {
	e, err := s.o.Admin.Modules.Get(v.param("id"))
	if err != nil {
		return err
	}
	ctx, cancel := patient(v)
	defer cancel()
	if err := s.o.Admin.Jobs.RunNow(ctx, e.Manifest.ID, v.param("job"), v.actorName()); err != nil {
		return err
	}
	return v.redirect("/admin/modules/"+e.Manifest.ID+"/jobs", sdk.Message{Tone: sdk.Good, Text: "The job has started."})
}

// errNoEvent is the answer to an id that is none.
var errNoEvent = fault.New(fault.NotFound, "There is no such event.")

func (s *Server) moduleEventAgain(v *visit) error {
	return s.deadEvent(v, "The event will be delivered again.", func(id int64) error { return s.o.Admin.Outbox.TryAgain(v.ctx(), id) })
}

func (s *Server) moduleEventDrop(v *visit) error {
	return s.deadEvent(v, "The event was dropped.", func(id int64) error { return s.o.Admin.Outbox.Drop(v.ctx(), id) })
}

func (s *Server) deadEvent(v *visit, did string, act func(int64) error) error {
	id, ok := numberOf(v.param("event"))
	if !ok {
		return errNoEvent
	}
	if err := act(id); err != nil {
		return err
	}
	return v.redirect("/admin/modules/"+url.PathEscape(v.param("id"))+"/jobs", sdk.Message{Tone: sdk.Good, Text: did})
}
