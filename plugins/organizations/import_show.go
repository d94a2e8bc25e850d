package main

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// lineView is a line of an import as pages and programs see it.
type lineView struct {
	Number   int    `json:"number"`
	Read     string `json:"read"`
	DeviceID string `json:"device_id"` // "" when it is none
	Name     string `json:"name"`
	Result   string `json:"result"` // added, existing, foreign, not_id, duplicate, refused, waiting, asked
	Sentence string `json:"sentence"`
	Details  string `json:"details"` // "", waiting, done, refused
}

// resultCount is a choice of the filter.
type resultCount struct {
	Result string `json:"result"`
	Words  string `json:"words"`
	Count  int    `json:"count"`
	Tone   string `json:"tone"` // of the summary: "" or warn
}

// importOf finds the import of the path in its workspace. It has answered when ok is false.
func (m *Organizations) importOf(w http.ResponseWriter, r *http.Request) (ws *workspace, imp *deviceImport, ok bool) {
	if ws, ok = m.workspaceOf(w, r); !ok {
		return nil, nil, false
	}
	id, err := strconv.ParseInt(r.PathValue("import"), 10, 64)
	if err != nil || id <= 0 {
		err = fault.New(fault.NotFound, "There is no such import.")
	} else {
		imp, err = m.records.importIn(r.Context(), ws.ID, id)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, nil, false
	}
	return ws, imp, true
}

// showImport shows how far an import is and what became of its lines: ?result=, ?page=.
func (m *Organizations) showImport(w http.ResponseWriter, r *http.Request) {
	ws, imp, ok := m.importOf(w, r)
	if !ok {
		return
	}
	result, page := r.URL.Query().Get("result"), pageOf(r)
	if !knownResult(result) {
		result = ""
	}
	list, total, err := m.records.lines(r.Context(), imp.ID, result, page, perPage)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	counts, err := m.records.countLines(r.Context(), imp.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	details, err := m.records.countDetails(r.Context(), imp.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]lineView, 0, len(list))
	for _, l := range list {
		views = append(views, lineView{l.Number, l.Read, l.DeviceID, l.Name, l.Result, l.Sentence, l.Details})
	}
	v := m.viewOfImport(imp, counts[imp.ID])
	sdk.Render(w, r, sdk.View{Template: "import", Title: "Import into " + imp.Product, Breadcrumbs: crumbsOf(ws, sdk.Link{Title: "Imports of devices", Path: importsPath(ws.ID)}),
		Data: map[string]any{"workspace": m.viewOf(ws), "import": v, "lines": views, "choices": choicesOf(v.Counts), "result": result, "details_waiting": details[detailsWaiting],
			"details_done": details[detailsDone], "total": total, "page": page, "per_page": perPage, "devices_path": m.viewOf(ws).Path + "/devices?product=" + imp.ProductID}})
}

// choicesOf are the results that occur, with their counts.
func choicesOf(counts map[string]int) []resultCount {
	list := []resultCount{}
	for _, result := range lineResults {
		if n := counts[result]; n > 0 {
			c := resultCount{Result: result, Words: resultWords[result], Count: n}
			switch result {
			case lineForeign, lineNotID, lineRefused, lineAsked:
				c.Tone = "warn"
			}
			list = append(list, c)
		}
	}
	return list
}

// cancelImport stops what is not sent yet.
func (m *Organizations) cancelImport(w http.ResponseWriter, r *http.Request) {
	_, imp, ok := m.importOf(w, r)
	if !ok {
		return
	}
	fields := map[string]any{"state": importCancelling, "sentence": "", "remedy": "", "scope": "", "tries": 0, "next_at": m.now()}
	moved, err := m.records.moveImport(r.Context(), imp, []string{importRunning, importStopped}, fields, opRunning, "Is being cancelled.")
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	message := sdk.Message{Tone: sdk.Info, Text: "The import is at its end already."}
	if moved {
		m.wake(imp.ID)
		message = sdk.Message{Tone: sdk.Good, Text: "What was not sent yet is not sent any more. What was added stays in the product."}
	}
	sdk.Redirect(w, r, m.viewOfImport(imp, nil).Path, message)
}

// goOn lets an import go on that was stopped, or that waits to try again.
func (m *Organizations) goOn(w http.ResponseWriter, r *http.Request) {
	_, imp, ok := m.importOf(w, r)
	if !ok {
		return
	}
	fields := map[string]any{"state": importRunning, "sentence": "", "remedy": "", "scope": "", "tries": 0, "next_at": m.now()}
	moved, err := m.records.moveImport(r.Context(), imp, []string{importRunning, importStopped}, fields, opRunning, "Goes on.")
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	message := sdk.Message{Tone: sdk.Info, Text: "The import is at its end already."}
	if moved {
		m.wake(imp.ID)
		message = sdk.Message{Tone: sdk.Good, Text: "The import goes on."}
	}
	sdk.Redirect(w, r, m.viewOfImport(imp, nil).Path, message)
}

// reportImport gives every line with its result as a CSV.
func (m *Organizations) reportImport(w http.ResponseWriter, r *http.Request) {
	_, imp, ok := m.importOf(w, r)
	if !ok {
		return
	}
	first, err := m.records.linesAfter(r.Context(), imp.ID, 0, reportPart)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="import-`+keyOf(imp.ID)+`.csv"`)
	_, _ = w.Write([]byte("\ufeff")) // spreadsheets read it as UTF-8 then
	out := csv.NewWriter(w)
	_ = out.Write([]string{"line", "read", "device id", "result", "what", "name", "groups", "notes"}) // Flush tells of failures
	for lines := first; len(lines) > 0; {
		for _, l := range lines {
			_ = out.Write(harmless(strconv.Itoa(l.Number), l.Read, l.DeviceID, resultWords[l.Result], l.Sentence, l.Name, l.Groups, l.Notes))
		}
		if out.Flush(); out.Error() != nil { // the visitor has left
			return
		}
		if lines, err = m.records.linesAfter(r.Context(), imp.ID, lines[len(lines)-1].Number, reportPart); err != nil {
			m.host.Log().Warn("the report of an import ends too early", "import", imp.ID, "error", err)
			return
		}
	}
	out.Flush()
}

// reportPart is how many lines of a report are read at once.
const reportPart = 1000

// harmless keeps spreadsheets from taking what somebody wrote for a formula.
func harmless(cells ...string) []string {
	for i, c := range cells {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			cells[i] = "'" + c
		}
	}
	return cells
}
