package people

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

const linesOnPage = 100

// importView is an import as pages and programs see it.
type importView struct {
	ID      int64      `json:"id"`
	File    string     `json:"file"`
	Lines   int        `json:"lines"`
	State   string     `json:"state"` // running, stopped, done
	Waiting string     `json:"waiting"`
	ByName  string     `json:"by_name"`
	At      time.Time  `json:"at"`
	EndedAt *time.Time `json:"ended_at"`
	Path    string     `json:"path"`
}

func viewOfImport(u *upload) importView {
	return importView{ID: u.ID, File: u.File, Lines: u.Lines, State: u.State, Waiting: u.Waiting, ByName: u.ByName, At: u.At, EndedAt: u.EndedAt, Path: importPath(u.ID)}
}

func importPath(id int64) string { return root + "/imports/" + strconv.FormatInt(id, 10) }

// lineView is a line as pages and programs see it.
type lineView struct {
	Number   int    `json:"number"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	Result   string `json:"result"` // created, invited, present, blocked, staff, invalid, duplicate, failed, mail or waiting
	Sentence string `json:"sentence"`
	Path     string `json:"path"` // of the customer; "" when there is none
}

func viewOfLine(l *importLine) lineView {
	v := lineView{Number: l.Number, Email: l.Email, Name: l.Name, Result: l.Result, Sentence: l.Sentence}
	if l.UserID != 0 {
		v.Path = PathOf(l.UserID)
	}
	if l.Result == lineWaiting {
		v.Result, v.Sentence = "waiting", "Not tried yet."
	}
	return v
}

func (p *People) showUpload(w http.ResponseWriter, r *http.Request) {
	p.renderUpload(w, r, "", true, nil)
}

// renderUpload draws the form with the last imports; text and invite are what was entered.
func (p *People) renderUpload(w http.ResponseWriter, r *http.Request, text string, invite bool, wrong error) {
	v := sdk.View{Template: "people_import", Title: "Import customers", Breadcrumbs: []sdk.Link{Top}}
	problem := ""
	if wrong != nil {
		message, visible := fault.Visible(wrong)
		if !visible {
			sdk.Fail(w, r, wrong)
			return
		}
		if v.Status, v.FieldErrors = fault.KindOf(wrong).Status(), fault.FieldsOf(wrong); len(v.FieldErrors) == 0 {
			problem = message
		}
	}
	list, err := p.store.uploads(r.Context(), 10)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	last := make([]importView, 0, len(list))
	for i := range list {
		last = append(last, viewOfImport(&list[i]))
	}
	v.Data = map[string]any{"text": text, "invite": invite, "once": site.Once(), "imports": last, "problem": problem, "most_lines": mostLines}
	sdk.Render(w, r, v)
}

// upload takes a file ("file") or typed lines ("text"), and begins to import them.
func (p *People) upload(w http.ResponseWriter, r *http.Request) {
	once, err := site.ReadOnce(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	text, invite := r.PostFormValue("text"), r.PostFormValue("invite") != ""
	data, name, err := fileOf(r)
	if err == nil && len(data) == 0 {
		data, name = []byte(text), ""
	}
	var lines []importLine
	if err == nil {
		lines, err = readLines(data, invite)
	}
	if err != nil {
		if len(text) > mostBytes {
			text = "" // too much for a page
		}
		p.renderUpload(w, r, text, invite, err)
		return
	}
	by := history.By(r.Context())
	u := &upload{Once: once, File: name, Lines: len(lines), State: importRunning, ByID: by.ID, ByName: by.Name, At: p.site.Now()}
	if err := p.store.addImport(r.Context(), u, lines); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	p.importSoon()
	sdk.Redirect(w, r, importPath(u.ID), sdk.Message{Tone: sdk.Good, Text: "The import has begun. It goes on when you leave this page."})
}

// fileOf reads the uploaded file; there is none in a form without.
func fileOf(r *http.Request) (data []byte, name string, err error) {
	f, head, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fault.Wrap(fault.Invalid, err, "The file did not arrive whole. Choose it again.")
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(f, mostBytes+1)); err != nil {
		return nil, "", fault.Wrap(fault.Invalid, err, "The file did not arrive whole. Choose it again.")
	}
	return data, site.Readable(head.Filename, 100), nil
}

// importOf finds the import of the path. It has answered when ok is false.
func (p *People) importOf(w http.ResponseWriter, r *http.Request) (u *upload, ok bool) {
	id, err := site.ID(r, "import")
	if err == nil {
		u, err = p.store.upload(r.Context(), id)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return u, true
}

// resultCount is how many lines ended in a way.
type resultCount struct {
	Result string `json:"result"`
	N      int64  `json:"n"`
}

var results = []string{lineInvited, lineCreated, linePresent, lineDuplicate, lineInvalid, lineStaff, lineBlocked, lineFailed, lineMail, "waiting"}

// showImport shows how far an import is: ?result= one of results, ?page=.
func (p *People) showImport(w http.ResponseWriter, r *http.Request) {
	u, ok := p.importOf(w, r)
	if !ok {
		return
	}
	found, err := p.store.lineCounts(r.Context(), u.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	open := found[lineWaiting] + found[lineMail]
	found["waiting"] = found[lineWaiting]
	counts, chosen, total := []resultCount{}, r.URL.Query().Get("result"), int64(u.Lines)
	for _, one := range results {
		if found[one] > 0 {
			counts = append(counts, resultCount{one, found[one]})
		}
	}
	var only []string
	if slices.Contains(results, chosen) {
		if only, total = []string{chosen}, found[chosen]; chosen == "waiting" {
			only = []string{lineWaiting}
		}
	} else {
		chosen = ""
	}
	page, _ := site.Page(r, linesOnPage)
	lines, err := p.store.linesToShow(r.Context(), u.ID, only, (page-1)*linesOnPage, linesOnPage)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]lineView, 0, len(lines))
	for i := range lines {
		views = append(views, viewOfLine(&lines[i]))
	}
	v := sdk.View{Template: "people_import_progress", Title: "Import of customers", Breadcrumbs: []sdk.Link{Top, {Title: "Import customers", Path: root + "/import"}},
		Data: map[string]any{"import": viewOfImport(u), "counts": counts, "open": open, "tried": int64(u.Lines) - open, "lines": views, "result": chosen,
			"total": total, "page": page, "per_page": linesOnPage}}
	if u.State == importRunning {
		v.Refresh = 10
	}
	sdk.Render(w, r, v)
}

// steerImport stops an import or lets it go on: do=stop or do=go.
func (p *People) steerImport(w http.ResponseWriter, r *http.Request) {
	u, ok := p.importOf(w, r)
	if !ok {
		return
	}
	from, to, said := importStopped, importRunning, "The import goes on."
	if r.PostFormValue("do") == "stop" {
		from, to, said = importRunning, importStopped, "The import is stopped. What was done stays; the rest is not tried."
	}
	changed, err := p.store.setImport(r.Context(), u.ID, from, map[string]any{"state": to, "waiting": ""})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	message := sdk.Message{Tone: sdk.Good, Text: said}
	if !changed {
		message = sdk.Message{Tone: sdk.Info, Text: "The import is done, or somebody else did this a moment ago."}
	} else if to == importRunning {
		p.importSoon()
	}
	sdk.Redirect(w, r, importPath(u.ID), message)
}

// report gives every line with its result as a CSV file.
func (p *People) report(w http.ResponseWriter, r *http.Request) {
	u, ok := p.importOf(w, r)
	if !ok {
		return
	}
	p.writeCSV(w, r, "import-"+strconv.FormatInt(u.ID, 10)+".csv", []string{"Line", "E-mail", "Name", "Result", "What became of it"}, func(after int64) (rows [][]string, last int64, err error) {
		lines, err := p.store.lines(r.Context(), u.ID, nil, int(after), rowsAtOnce)
		for i := range lines {
			v := viewOfLine(&lines[i])
			rows, last = append(rows, []string{strconv.Itoa(v.Number), v.Email, v.Name, v.Result, v.Sentence}), int64(v.Number)
		}
		return rows, last, err
	})
}
