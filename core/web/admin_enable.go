package web

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"mortise/core/catalogue"
	"mortise/core/fault"
	"mortise/core/modules"
	"mortise/core/supervisor"
	"mortise/core/theme"
)

// asksData is the data of the page admin_module_asks: what a module asks for, and the button that gives it.
type asksData struct {
	modulePage
	Plan     catalogue.Plan `json:"plan"`
	Required []moduleRow    `json:"required"` // that have to be enabled first
	Ready    bool           `json:"ready"`
	Report   *reportData    `json:"report"`  // of the attempt that just failed
	Confirm  bool           `json:"confirm"` // enabling asks for the password
}

// reportData is what an attempt to enable did.
type reportData struct {
	Module  string     `json:"module"`
	Enabled []string   `json:"enabled"` // required modules that stay enabled, from the same attempt
	Failed  string     `json:"failed"`  // the step
	Reason  string     `json:"reason"`
	Remedy  string     `json:"remedy"`
	Steps   []stepData `json:"steps"`
}

// stepData is one step of it.
type stepData struct {
	Title  string  `json:"title"`
	State  string  `json:"state"` // done, failed, todo
	Detail string  `json:"detail"`
	Took   float64 `json:"took_ms"`
}

// stepTitles says what each step does.
var stepTitles = map[string]string{
	"verify": "Check the files", "start": "Start the program", "describe": "Compare it with its manifest", "connect": "Connect it to the site",
	"migrate": "Bring its tables up to date", "configure": "Hand over its settings", "check": "Ask whether it is well", "swap": "Put its pages in place",
}

var stepOrder = []string{"verify", "start", "describe", "connect", "migrate", "configure", "check", "swap"}

func reportOf(r supervisor.Report) *reportData {
	data := &reportData{Module: r.Module, Failed: stepTitles[r.Failed], Reason: r.Reason, Remedy: r.Remedy, Enabled: []string{}, Steps: []stepData{}}
	for _, name := range stepOrder {
		step := stepData{Title: stepTitles[name], State: "todo"}
		i := slices.IndexFunc(r.Steps, func(s supervisor.Step) bool { return s.Name == name })
		if name == r.Failed {
			step.State = "failed"
		}
		if i >= 0 {
			step.State, step.Detail, step.Took = r.Steps[i].State, r.Steps[i].Detail, float64(r.Steps[i].Took.Microseconds())/1000
		}
		data.Steps = append(data.Steps, step)
	}
	return data
}

// moduleAsks says what a module asks for: what it does, the pages that appear, who may use them, tables, services, hosts, secrets,
// limits. It is the page before enabling, and stays to look things up.
func (s *Server) moduleAsks(v *visit) error {
	page, err := s.asksPage(v, nil)
	if err != nil {
		return err
	}
	return v.render(page)
}

func (s *Server) asksPage(v *visit, failed *reportData) (theme.Page, error) {
	e, frame, err := s.moduleFrame(v, "asks")
	if err != nil {
		return theme.Page{}, err
	}
	plan, err := s.o.Admin.Modules.Catalogue().Plan(v.ctx(), e.Manifest.ID)
	if err != nil {
		return theme.Page{}, err
	}
	data := asksData{modulePage: frame, Plan: plan, Required: []moduleRow{}, Ready: len(plan.Obstacles) == 0, Confirm: v.stale()}
	for _, id := range plan.Order {
		if id != e.Manifest.ID {
			if required, err := s.o.Admin.Modules.Get(id); err == nil {
				data.Required = append(data.Required, rowOf(required))
			}
		}
	}
	data.Report = failed
	title := "What it asks for"
	if frame.Module.CanEnable {
		title = "Enable " + e.Manifest.Name
	}
	return theme.Page{Template: "admin_module_asks", Title: title, Data: data, Breadcrumbs: moduleCrumbs(e, title)}, nil
}

// moduleEnable enables a module, and with with_required also those that it requires. A failure changes nothing, and its report
// names the step, the reason and the remedy.
func (s *Server) moduleEnable(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	e, err := s.o.Admin.Modules.Get(v.param("id"))
	if err != nil {
		return err
	}
	if err := v.confirm(f); err != nil {
		page, pageErr := s.asksPage(v, nil)
		if pageErr != nil {
			return errors.Join(err, pageErr)
		}
		return v.again(page, err)
	}
	ctx, cancel := patient(v)
	defer cancel()
	options := modules.EnableOptions{WithRequired: f.on("with_required")}
	reports, err := s.o.Admin.Modules.Enable(ctx, e.Manifest.ID, options, v.actorName(), nil)
	if err != nil {
		return s.enableFailed(v, reports, err)
	}
	var names []string
	for _, r := range reports {
		if r.Changed {
			names = append(names, r.Module)
		}
	}
	return v.done("/admin/modules/"+url.PathEscape(e.Manifest.ID), len(names) > 0, enabledSentence(names), e.Manifest.Name+" was enabled already. Nothing changed.")
}

func enabledSentence(names []string) string {
	if len(names) == 1 {
		return names[0] + " is enabled."
	}
	return tidy(names) + " are enabled."
}

// enableFailed shows the plan again with what went wrong.
func (s *Server) enableFailed(v *visit, reports []supervisor.Report, cause error) error {
	var failed *reportData
	if n := len(reports); n > 0 && reports[n-1].Failed != "" {
		failed = reportOf(reports[n-1])
		for _, r := range reports[:n-1] {
			if r.Changed {
				failed.Enabled = append(failed.Enabled, r.Module)
			}
		}
	}
	s.o.Log.Warn("module was not enabled", "module", v.param("id"), "error", cause.Error(), "request_id", v.id)
	if kind := fault.KindOf(cause); failed != nil && kind == fault.Internal {
		// The reason is for administrators, who may read it: everybody else never sees this page.
		cause = fault.Wrap(fault.Conflict, cause, "%s was not enabled: %s", failed.Module, failed.Reason)
	}
	page, err := s.asksPage(v, failed)
	if err != nil {
		return fmt.Errorf("%w (and its page: %w)", cause, err)
	}
	if failed != nil && !v.json { // the report on the page says more than a line at its top
		page.Status = fault.KindOf(cause).Status()
		return v.html(&page)
	}
	return v.again(page, cause)
}

// ledgerData is the data of the page admin_module_remove.
type ledgerData struct {
	Module  moduleRow        `json:"module"`
	Ledger  catalogue.Ledger `json:"ledger"`
	Delete  bool             `json:"delete"`  // what was chosen, when the form comes back
	Confirm bool             `json:"confirm"` // removing asks for the password
}

func (s *Server) ledgerPage(v *visit, deleteData bool) (theme.Page, error) {
	e, err := s.o.Admin.Modules.Get(v.param("id"))
	if err != nil {
		return theme.Page{}, err
	}
	ledger, err := s.o.Admin.Modules.Catalogue().Ledger(v.ctx(), e.Manifest.ID)
	if err != nil {
		return theme.Page{}, err
	}
	title := "Remove " + e.Manifest.Name
	return theme.Page{Template: "admin_module_remove", Title: title, Data: ledgerData{rowOf(e), ledger, deleteData, v.stale()}, Breadcrumbs: moduleCrumbs(e, title)}, nil
}

// moduleLedger says what removing a module takes away, before anything happens.
func (s *Server) moduleLedger(v *visit) error {
	page, err := s.ledgerPage(v, false)
	if err != nil {
		return err
	}
	return v.render(page)
}

// moduleRemove takes a module off the site. Its data stays unless data is "delete" and confirm is the module's id.
func (s *Server) moduleRemove(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	id := v.param("id")
	remove := f.text("data") == "delete"
	page, err := s.ledgerPage(v, remove)
	if err != nil {
		return err
	}
	if remove && f.text("confirm") != id {
		return v.again(page, fault.InvalidFields("Its data was not deleted.", map[string]string{"confirm": "Type " + id + " here to delete the data."}))
	}
	if err := v.confirm(f); err != nil {
		return v.again(page, err)
	}
	ctx, cancel := patient(v)
	defer cancel()
	report, err := s.o.Admin.Modules.Remove(ctx, id, v.actorName(), remove)
	if err != nil {
		return v.again(page, err)
	}
	did := id + " is removed. Its data waits for it."
	if remove {
		did = id + " is removed, with its data."
	}
	return v.done("/admin/modules", report.Changed, did, id+" was not enabled. Nothing changed.")
}
