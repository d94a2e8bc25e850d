package people

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

const historyPage = 20 // entries

// personOf finds the customer of the path, as the site knows them now. It has answered when ok is false.
func (p *People) personOf(w http.ResponseWriter, r *http.Request) (person Person, ok bool) {
	id, err := site.ID(r, "person")
	if err != nil {
		sdk.Fail(w, r, err)
		return person, false
	}
	if err := p.refresh(r.Context(), id, change{}); err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		sdk.Fail(w, r, err)
		return person, false
	}
	if person, err = p.Get(r.Context(), id); err != nil {
		sdk.Fail(w, r, err)
		return person, false
	}
	return person, true
}

// noteView is a note as pages and programs see it.
type noteView struct {
	ID        int64      `json:"id"`
	Text      string     `json:"text"`
	Lines     []string   `json:"lines"` // of the text
	ByName    string     `json:"by_name"`
	At        time.Time  `json:"at"`
	ChangedBy string     `json:"changed_by"`
	ChangedAt *time.Time `json:"changed_at"`
	Version   int64      `json:"version"`
	Own       bool       `json:"own"` // the visitor wrote it, or nobody who is still here, and may delete it
	Path      string     `json:"path"`
}

func viewOfNote(r *http.Request, n *note) noteView {
	return noteView{ID: n.ID, Text: n.Text, Lines: strings.Split(n.Text, "\n"), ByName: n.ByName, At: n.At, ChangedBy: n.ChangedBy, ChangedAt: n.ChangedAt, Version: n.Version,
		Own: n.ByID == sdk.UserFrom(r.Context()).UserID || n.ByID == 0, Path: PathOf(n.UserID) + "/notes/" + strconv.FormatInt(n.ID, 10)}
}

// showPerson shows what is known of a customer, the notes and the history; ?before= pages through the latter.
func (p *People) showPerson(w http.ResponseWriter, r *http.Request) {
	if person, ok := p.personOf(w, r); ok {
		p.renderPerson(w, r, person, "", nil)
	}
}

// renderPerson draws the page; text is what was typed for a new note, and wrong what is the matter with it.
func (p *People) renderPerson(w http.ResponseWriter, r *http.Request, person Person, text string, wrong sdk.Fields) {
	notes, err := p.store.notes(r.Context(), person.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]noteView, 0, len(notes))
	for i := range notes {
		views = append(views, viewOfNote(r, &notes[i]))
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	entries, more, err := history.List(r.Context(), p.store.db, history.Filter{UserID: person.ID, Before: max(before, 0), Limit: historyPage})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	older := int64(0)
	if more {
		older = entries[len(entries)-1].ID
	}
	v := sdk.View{Template: "people_person", Title: person.Name, Breadcrumbs: []sdk.Link{Top}, FieldErrors: wrong,
		Data: map[string]any{"person": View(person), "notes": views, "text": text, "history": entries, "before": before, "older": older, "once": site.Once(),
			"may_manage": mayManage(r)}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// addNote writes a note.
func (p *People) addNote(w http.ResponseWriter, r *http.Request) {
	once, err := site.ReadOnce(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	person, ok := p.personOf(w, r)
	if !ok {
		return
	}
	text, wrong := noteText(r)
	if wrong != nil {
		p.renderPerson(w, r, person, text, wrong)
		return
	}
	if err := p.store.addNote(r.Context(), note{UserID: person.ID, Text: text, Once: once, At: p.site.Now()}, history.By(r.Context())); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, PathOf(person.ID)+"#notes", sdk.Message{Tone: sdk.Good, Text: "The note is written."})
}

// noteText reads the text of a note from a form, and says what is wrong with it.
func noteText(r *http.Request) (text string, wrong sdk.Fields) {
	text = site.ReadableLines(r.PostFormValue("text"), mostNote+1)
	switch n := len([]rune(text)); {
	case n == 0:
		wrong = sdk.Fields{"text": "write at least one word"}
	case n > mostNote:
		wrong = sdk.Fields{"text": "a note has at most " + strconv.Itoa(mostNote) + " characters; take some out"}
	}
	return text, wrong
}

// noteOf finds the note of the path. It has answered when ok is false.
func (p *People) noteOf(w http.ResponseWriter, r *http.Request) (person Person, n *note, ok bool) {
	if person, ok = p.personOf(w, r); !ok {
		return person, nil, false
	}
	id, err := site.ID(r, "note")
	if err == nil {
		n, err = p.store.note(r.Context(), person.ID, id)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return person, nil, false
	}
	return person, n, true
}

func (p *People) showNote(w http.ResponseWriter, r *http.Request) {
	if person, n, ok := p.noteOf(w, r); ok {
		p.renderNote(w, r, person, n, n.Text, nil, false)
	}
}

// renderNote draws the form of a note. With conflict, the note was changed since the person saw it: text is theirs, n what is there now.
func (p *People) renderNote(w http.ResponseWriter, r *http.Request, person Person, n *note, text string, wrong sdk.Fields, conflict bool) {
	v := sdk.View{Template: "people_note", Title: "Note about " + person.Name, Breadcrumbs: Crumbs(person), FieldErrors: wrong,
		Data: map[string]any{"person": View(person), "note": viewOfNote(r, n), "text": text, "conflict": conflict}}
	switch {
	case conflict:
		v.Status = http.StatusConflict
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// changeNote changes a note, or deletes one's own: do=save or do=delete, version= the one that was seen.
func (p *People) changeNote(w http.ResponseWriter, r *http.Request) {
	person, n, ok := p.noteOf(w, r)
	if !ok {
		return
	}
	version, _ := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	ctx, by, done := r.Context(), history.By(r.Context()), false
	var err error
	text, said := n.Text, "The note is changed."
	switch r.PostFormValue("do") {
	case "delete":
		if n.ByID != by.ID && n.ByID != 0 {
			sdk.Fail(w, r, fault.New(fault.Denied, "Only %s, who wrote this note, can delete it.", n.ByName))
			return
		}
		said = "The note is deleted."
		done, err = p.store.deleteNote(ctx, n, version, by, p.site.Now())
	default:
		var wrong sdk.Fields
		if text, wrong = noteText(r); wrong != nil {
			p.renderNote(w, r, person, n, text, wrong, false)
			return
		}
		done, err = p.store.changeNote(ctx, n, version, text, by, p.site.Now())
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if !done {
		if n, err = p.store.note(ctx, person.ID, n.ID); err != nil { // deleted in this moment
			sdk.Fail(w, r, err)
			return
		}
		p.renderNote(w, r, person, n, text, nil, true)
		return
	}
	sdk.Redirect(w, r, PathOf(person.ID)+"#notes", sdk.Message{Tone: sdk.Good, Text: said})
}
