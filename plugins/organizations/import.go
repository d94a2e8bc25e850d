package main

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// importView is an import as pages and programs see it.
type importView struct {
	ID         int64          `json:"id"`
	Product    string         `json:"product"` // its name
	ProductID  string         `json:"product_id"`
	FileName   string         `json:"file_name"` // "" for text that was typed in
	Ignored    string         `json:"ignored"`   // columns that are not used
	Lines      int            `json:"lines"`
	Decided    int            `json:"decided"` // lines whose result is known
	Counts     map[string]int `json:"counts"`  // by result
	State      string         `json:"state"`   // running, stopped, cancelling, cancelled, done
	Sentence   string         `json:"sentence"`
	Remedy     string         `json:"remedy"`
	Scope      string         `json:"scope"`
	UserName   string         `json:"user_name"`
	StartedAt  time.Time      `json:"started_at"`
	EndedAt    *time.Time     `json:"ended_at"`
	NextAt     *time.Time     `json:"next_at"` // set while it waits to try again
	UnderWay   bool           `json:"under_way"`
	Path       string         `json:"path"`
	ReportPath string         `json:"report_path"`
}

func (m *Organizations) viewOfImport(imp *deviceImport, counts map[string]int) importView {
	path := importsPath(imp.WorkspaceID) + "/" + keyOf(imp.ID)
	v := importView{ID: imp.ID, Product: imp.Product, ProductID: imp.ProductID, FileName: imp.FileName, Ignored: imp.Ignored, Lines: imp.Lines, Counts: map[string]int{},
		State: imp.State, Sentence: imp.Sentence, Remedy: imp.Remedy, Scope: imp.Scope, UserName: imp.UserName, StartedAt: imp.StartedAt, EndedAt: imp.EndedAt,
		UnderWay: imp.State == importRunning || imp.State == importCancelling, Path: path, ReportPath: path + "/report"}
	for _, result := range lineResults {
		v.Counts[result] = counts[result]
		if result != lineWaiting && result != lineAsked {
			v.Decided += counts[result]
		}
	}
	if v.UnderWay && imp.NextAt.After(m.now()) {
		v.NextAt = &imp.NextAt
	}
	return v
}

func importsPath(workspaceID int64) string {
	return "/admin/organizations/workspaces/" + keyOf(workspaceID) + "/imports"
}

// listImports lists the imports of a workspace: ?page=.
func (m *Organizations) listImports(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	page := pageOf(r)
	list, total, err := m.records.imports(r.Context(), ws.ID, page, perPage)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	counts, err := m.records.countLines(r.Context(), ids...)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views, underWay := make([]importView, 0, len(list)), false
	for i := range list {
		v := m.viewOfImport(&list[i], counts[list[i].ID])
		views, underWay = append(views, v), underWay || v.UnderWay
	}
	sdk.Render(w, r, sdk.View{Template: "imports", Title: "Imports of devices", Breadcrumbs: crumbsOf(ws), Data: map[string]any{"workspace": m.viewOf(ws), "imports": views,
		"under_way": underWay, "total": total, "page": page, "per_page": perPage, "new_path": importsPath(ws.ID) + "/new"}})
}

// importForm is what a person enters for an import.
type importForm struct {
	Text      string `json:"text"`
	Overwrite bool   `json:"overwrite"`
	Once      string `json:"once"`
	fileName  string
}

// newImport shows the form: ?product= into which.
func (m *Organizations) newImport(w http.ResponseWriter, r *http.Request) {
	if p, ok := m.teamOf(w, r); ok {
		m.renderNewImport(w, r, p, importForm{Once: newOnce()}, nil)
	}
}

func (m *Organizations) renderNewImport(w http.ResponseWriter, r *http.Request, p *place, f importForm, wrong sdk.Fields) {
	v := sdk.View{Template: "import_new", Title: "Import devices", FieldErrors: wrong,
		Breadcrumbs: crumbsOf(p.w, sdk.Link{Title: "Imports of devices", Path: importsPath(p.w.ID)}),
		Data: map[string]any{"workspace": m.viewOf(p.w), "form": f, "product": productID(p.owner), "owner": p.ownerName(), "owners": p.teams(), "imports_path": importsPath(p.w.ID),
			"devices_path": devicesPath(p)}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// createImport records an import and lets it begin. The answer does not wait for Particle.
func (m *Organizations) createImport(w http.ResponseWriter, r *http.Request) {
	p, ok := m.teamOf(w, r)
	if !ok {
		return
	}
	if p.owner == nil {
		sdk.Fail(w, r, fault.New(fault.NotFound, "The workspace has no product into which devices could be imported."))
		return
	}
	f, raw, err := readImportForm(r)
	if err != nil {
		m.importFault(w, r, p, f, err)
		return
	}
	read, err := readEntries(raw)
	if err != nil {
		m.importFault(w, r, p, f, atField(f, err))
		return
	}
	imp, again, err := m.recordImport(r, p, f, read)
	if err != nil {
		m.importFault(w, r, p, f, err)
		return
	}
	path := importsPath(p.w.ID) + "/" + keyOf(imp.ID)
	if again {
		sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Info, Text: "This form was sent before; it makes one import."})
		return
	}
	m.wake(imp.ID)
	sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Good, Text: "The import of " + countOf(imp.Lines, "line") + " has begun. You may leave this page; it goes on."})
}

func (m *Organizations) importFault(w http.ResponseWriter, r *http.Request, p *place, f importForm, err error) {
	if fields := fault.FieldsOf(err); len(fields) > 0 {
		m.renderNewImport(w, r, p, f, fields)
		return
	}
	sdk.Fail(w, r, err)
}

// atField puts what is wrong with the text beside the field that it came from.
func atField(f importForm, err error) error {
	message, visible := fault.Visible(err)
	if !visible {
		return err
	}
	field := "text"
	if f.fileName != "" {
		field = "file"
	}
	return fault.InvalidFields("The devices cannot be imported.", map[string]string{field: message})
}

// readImportForm reads what was typed in or the file, of which there may be one.
func readImportForm(r *http.Request) (f importForm, raw []byte, err error) {
	f = importForm{Text: r.PostFormValue("text"), Overwrite: r.PostFormValue("overwrite") != "", Once: r.PostFormValue("once")}
	wrong := func(field, message string) error {
		return fault.InvalidFields("The devices cannot be imported.", map[string]string{field: message})
	}
	file, head, err := r.FormFile("file")
	switch {
	case err == nil:
		defer file.Close()
	case errors.Is(err, http.ErrMissingFile), errors.Is(err, http.ErrNotMultipart):
		file, err = nil, nil
	default:
		return f, nil, fault.Wrap(fault.Invalid, err, "The form cannot be read. Open the page again.")
	}
	if file != nil && head.Size > 0 {
		f.fileName = readable(filepath.Base(strings.ReplaceAll(head.Filename, `\`, "/")), 80)
	}
	switch {
	case f.fileName != "" && strings.TrimSpace(f.Text) != "":
		return f, nil, wrong("file", "enter ids or choose a file, not both; choose the file again")
	case f.fileName != "":
		raw, err = readFile(file)
	case strings.TrimSpace(f.Text) == "":
		return f, nil, wrong("text", "enter device ids, one a line, or choose a file")
	default:
		raw = []byte(f.Text)
	}
	if err != nil {
		return f, nil, err
	}
	if len(raw) > maxImportBytes {
		if f.fileName == "" {
			f.Text = ""
			return f, nil, wrong("text", "this is more than 1 MiB; import it in several parts")
		}
		return f, nil, wrong("file", "the file is larger than 1 MiB; import it in several parts")
	}
	return f, raw, nil
}

func readFile(file multipart.File) ([]byte, error) {
	return io.ReadAll(io.LimitReader(file, maxImportBytes+1))
}

// recordImport writes the import before anything happens. again tells that the form was sent before.
func (m *Organizations) recordImport(r *http.Request, p *place, f importForm, read entries) (imp *deviceImport, again bool, err error) {
	if !onceShape.MatchString(f.Once) {
		return nil, false, fault.New(fault.Invalid, "The form is incomplete. Open the page again.")
	}
	ctx, user := context.WithoutCancel(r.Context()), sdk.UserFrom(r.Context())
	defer m.lock(p.w.ID)() // two forms at once must not both be below the limit
	imp = &deviceImport{Once: f.Once, WorkspaceID: p.w.ID, ProductID: p.owner.ProductID, Product: p.owner.Name, FileName: f.fileName, Overwrite: f.Overwrite,
		Ignored: strings.Join(read.ignored, ", "), Lines: len(read.list), State: importRunning, UserID: user.UserID, UserName: user.Name, NextAt: m.now(), StartedAt: m.now()}
	op := &operation{Once: f.Once, Kind: opDeviceImport, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: p.owner.ProductID, Name: "Into " + p.owner.Name, Input: "{}",
		State: opRunning, Sentence: "The import of " + countOf(imp.Lines, "line") + " is under way.", UserID: user.UserID, UserName: user.Name, StartedAt: m.now()}
	n, err := m.records.importsUnderWay(ctx, p.w.ID)
	if err != nil {
		return nil, false, err
	}
	before, err := m.records.createImport(ctx, imp, linesOf(read), op, n >= maxOpen)
	if before != nil {
		return before, true, err
	}
	return imp, false, err
}

// linesOf makes the lines of an import. What needs no question has its result already.
func linesOf(read entries) []importLine {
	lines := make([]importLine, len(read.list))
	seen := map[string]int{} // id to the number of its line
	for i, e := range read.list {
		l := importLine{Number: e.Number, Read: e.Read, DeviceID: e.DeviceID, Name: e.Name, Groups: strings.Join(e.Groups, ","), Notes: e.Notes, Result: lineWaiting, Sentence: e.Problem}
		first, twice := seen[e.DeviceID]
		switch {
		case e.DeviceID == "":
			l.Result = lineNotID
		case twice:
			l.Result, l.Sentence = lineDuplicate, "The id stands in line "+strconv.Itoa(first)+" already."
		default:
			seen[e.DeviceID] = e.Number
			if l.Name != "" || l.Groups != "" || l.Notes != "" {
				l.Details = detailsWaiting
			}
		}
		lines[i] = l
	}
	return lines
}
