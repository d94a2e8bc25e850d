package people

import (
	"net/http"
	"strconv"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// resend mails another invitation.
func (p *People) resend(w http.ResponseWriter, r *http.Request) {
	once, err := site.ReadOnce(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	person, ok := p.personOf(w, r)
	if !ok {
		return
	}
	path := PathOf(person.ID)
	if !p.recent.begin(once, person.ID) {
		sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Info, Text: "The form came twice; the invitation is mailed once."})
		return
	}
	began := p.site.Now()
	if _, err = p.accounts.resend(r.Context(), person.ID); err != nil {
		p.recent.drop(once)
	} else {
		err = p.refresh(r.Context(), person.ID, change{by: history.By(r.Context()), invited: true, at: p.site.Now(), since: began, kinds: []string{kindInvited}})
	}
	switch {
	case fault.Is(err, fault.TooMany):
		sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Warn, Text: "Too many mails were sent just now. Try again in a few minutes."})
	case fault.Is(err, fault.Conflict):
		message, _ := fault.Visible(err)
		sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Warn, Text: "No mail was sent: " + message})
	case err != nil:
		sdk.Fail(w, r, err)
	default:
		sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Good, Text: "The invitation is on its way. The link in it is good for three days; earlier links do not work any more."})
	}
}

func (p *People) confirmBlock(w http.ResponseWriter, r *http.Request) {
	if person, ok := p.personOf(w, r); ok {
		p.renderBlock(w, r, person, false, "")
	}
}

// renderBlock asks whether to block or to unblock. With conflict, the account was changed since the person saw it.
func (p *People) renderBlock(w http.ResponseWriter, r *http.Request, person Person, conflict bool, problem string) {
	title := "Block " + person.Name
	if person.Blocked {
		title = "Unblock " + person.Name
	}
	v := sdk.View{Template: "people_block", Title: title, Breadcrumbs: Crumbs(person),
		Data: map[string]any{"person": View(person), "conflict": conflict, "problem": problem}}
	if conflict || problem != "" {
		v.Status = http.StatusConflict
	}
	sdk.Render(w, r, v)
}

// seen tells whether the form was made of the customer as they are now.
func seen(r *http.Request, person Person) bool {
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	return err == nil && version == person.Version
}

// block blocks or unblocks: do=block or do=unblock, version= the one that was seen.
func (p *People) block(w http.ResponseWriter, r *http.Request) {
	person, ok := p.personOf(w, r)
	if !ok {
		return
	}
	block := r.PostFormValue("do") == "block"
	done := sdk.Message{Tone: sdk.Good, Text: person.Name + " is blocked. All sessions are over; devices stay attached."}
	if !block {
		done.Text = person.Name + " can sign in again."
	}
	if person.Blocked == block { // somebody else did the same; nothing is lost
		done.Tone = sdk.Info
		sdk.Redirect(w, r, PathOf(person.ID), done)
		return
	}
	if !seen(r, person) {
		p.renderBlock(w, r, person, true, "")
		return
	}
	began := p.site.Now()
	err := p.accounts.block(r.Context(), person.ID, block)
	if err == nil {
		err = p.refresh(r.Context(), person.ID, change{by: history.By(r.Context()), since: began, kinds: []string{kindBlocked, kindUnblocked}})
	}
	if message, _ := fault.Visible(err); fault.Is(err, fault.Conflict) {
		p.renderBlock(w, r, person, false, message)
		return
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, PathOf(person.ID), done)
}

func (p *People) confirmDelete(w http.ResponseWriter, r *http.Request) {
	if person, ok := p.personOf(w, r); ok {
		p.renderDelete(w, r, person, nil, false, "")
	}
}

// renderDelete says what deleting leads to. With conflict, the account was changed since the person saw it; problem is why a module refuses.
func (p *People) renderDelete(w http.ResponseWriter, r *http.Request, person Person, wrong sdk.Fields, conflict bool, problem string) {
	follows := []string{}
	if p.owner != nil {
		list, err := p.owner.Follows(r.Context(), person.ID)
		if err != nil {
			sdk.Fail(w, r, err)
			return
		}
		follows = append(follows, list...)
	}
	v := sdk.View{Template: "people_delete", Title: "Delete " + person.Name, Breadcrumbs: Crumbs(person), FieldErrors: wrong,
		Data: map[string]any{"person": View(person), "follows": follows, "once": site.Once(), "conflict": conflict, "problem": problem}}
	switch {
	case conflict || problem != "":
		v.Status = http.StatusConflict
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// delete deletes a customer's account: confirm= the address, version= the one that was seen.
func (p *People) delete(w http.ResponseWriter, r *http.Request) {
	once, err := site.ReadOnce(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if _, again := p.recent.get(once); again {
		sdk.Redirect(w, r, root, sdk.Message{Tone: sdk.Info, Text: "This customer was deleted already; the form came twice."})
		return
	}
	person, ok := p.personOf(w, r)
	if !ok {
		return
	}
	if !seen(r, person) {
		p.renderDelete(w, r, person, nil, true, "")
		return
	}
	if !strings.EqualFold(strings.TrimSpace(r.PostFormValue("confirm")), person.Email) {
		p.renderDelete(w, r, person, sdk.Fields{"confirm": "type the address exactly as it is shown"}, false, "")
		return
	}
	err = p.accounts.delete(r.Context(), person.ID)
	if message, _ := fault.Visible(err); fault.Is(err, fault.Conflict) {
		p.renderDelete(w, r, person, nil, false, message)
		return
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		sdk.Fail(w, r, err)
		return
	}
	p.recent.put(once, person.ID)
	p.afterDelete(r, person.ID)
	sdk.Redirect(w, r, root, sdk.Message{Tone: sdk.Good, Text: person.Name + " was deleted."})
}

// afterDelete erases at once what the fact of the deletion would erase a moment later. What fails here is done by the fact.
func (p *People) afterDelete(r *http.Request, id int64) {
	err := p.Forget(r.Context(), id)
	if err == nil && p.owner != nil {
		err = p.owner.Forget(r.Context(), id)
	}
	if err != nil {
		p.site.Host.Log().Warn("what belongs to a deleted customer is left to the fact", "error", err)
	}
}
