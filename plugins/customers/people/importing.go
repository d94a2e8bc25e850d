package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mortise/core/fault"
	"mortise/plugins/customers/history"
)

const (
	linesAtOnce = 50 // asked about between two notes of what became of them
	tooManyMail = "The site has sent many mails just now. It goes on by itself with one every two seconds."
)

// Import goes on with every import that is not done. Only one call works at a time; another returns at once. Errors: the site cannot be
// asked at the moment; what was not tried is tried the next time.
func (p *People) Import(ctx context.Context) error {
	if !p.importing.CompareAndSwap(false, true) {
		return nil
	}
	defer p.importing.Store(false)
	list, err := p.store.running(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if err := p.workOn(ctx, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// importSoon begins with an import without waiting for the job.
func (p *People) importSoon() {
	p.background.Go(func() {
		ctx := p.site.Host.Context()
		if err := p.Import(ctx); err != nil && ctx.Err() == nil {
			p.site.Host.Log().Warn("an import was cut short; the job goes on with it", "error", err)
		}
	})
}

// workOn tries the lines of one import that were not tried yet. When too many mails were sent, it goes on with those lines that need none.
func (p *People) workOn(ctx context.Context, u *upload) error {
	results, last := []string{lineWaiting, lineMail}, 0
	for {
		now, err := p.store.upload(ctx, u.ID)
		if err != nil || now.State != importRunning { // stopped by a person
			return err
		}
		lines, err := p.store.lines(ctx, u.ID, results, last, linesAtOnce)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			return p.rest(ctx, u)
		}
		last = lines[len(lines)-1].Number
		mailsOver, err := p.tryLines(ctx, u, lines, len(results) == 1)
		if err != nil {
			return err
		}
		if mailsOver {
			results = []string{lineWaiting}
		}
	}
}

// rest ends an import of which every line has been tried, or says what it waits for.
func (p *People) rest(ctx context.Context, u *upload) error {
	counts, err := p.store.lineCounts(ctx, u.ID)
	if err != nil {
		return err
	}
	now := p.site.Now()
	fields := map[string]any{"state": importDone, "waiting": "", "ended_at": &now}
	if counts[lineWaiting]+counts[lineMail] > 0 {
		fields = map[string]any{"waiting": tooManyMail}
	}
	_, err = p.store.setImport(ctx, u.ID, importRunning, fields)
	return err
}

// batch is what became of some lines.
type batch struct {
	done    []importLine
	created map[int64]bool // customers who were made, to whether they were invited
	again   []int64        // customers who were there and got another invitation
}

// tryLines asks the site about lines and writes what became of them. mailsOver tells that no more mails can be sent now; it is so from the
// start when noMail. A line without a result is asked about again after a crash: all that is asked may be repeated.
func (p *People) tryLines(ctx context.Context, u *upload, lines []importLine, noMail bool) (mailsOver bool, err error) {
	began, ids := p.site.Now(), make([]int64, 0, len(lines))
	for i := range lines {
		if !noMail || !lines[i].Invite {
			ids = append(ids, lines[i].ID)
		}
	}
	if len(ids) > 0 {
		if err := p.store.asking(ctx, ids, began); err != nil {
			return noMail, err
		}
	}
	b := batch{created: map[int64]bool{}}
	mailsOver = noMail
	var stopped error
	for _, l := range lines {
		if mailsOver && l.Invite {
			l.Result, l.Sentence, l.AskedAt = lineMail, "Not tried yet: too many mails.", nil
			b.done = append(b.done, l)
			continue
		}
		if stopped = p.tryLine(ctx, &l, &b); stopped != nil {
			break // the site cannot be asked now; what was answered counts
		}
		mailsOver = mailsOver || l.Result == lineMail
		b.done = append(b.done, l)
	}
	if err := p.record(context.WithoutCancel(ctx), u, b, began); err != nil {
		return mailsOver, err
	}
	return mailsOver, stopped
}

// tryLine asks the site about one line. An error means that the site gave no answer.
func (p *People) tryLine(ctx context.Context, l *importLine, b *batch) error {
	if l.AskedAt != nil { // cut short: perhaps it was done
		if done, err := p.wasDone(ctx, l, b); err != nil || done {
			return err
		}
	}
	l.UserID = 0
	id, created, mailed, err := p.ensure(ctx, l.Name, l.Email, l.Invite)
	switch {
	case err == nil:
		p.outcome(l, b, id, created, mailed)
	case errors.Is(err, ErrStaff):
		l.Result, l.Sentence = lineStaff, "The address belongs to somebody of the staff."
	case fault.Is(err, fault.TooMany):
		l.Result, l.Sentence, l.AskedAt = lineMail, "Not tried yet: too many mails.", nil
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.Timeout), ctx.Err() != nil:
		return err
	case fault.Is(err, fault.Conflict):
		return p.blockedLine(ctx, l)
	case fault.Is(err, fault.Invalid):
		l.Result, l.Sentence = lineInvalid, wrongIn(err)
	default:
		message, visible := fault.Visible(err)
		if !visible {
			message = "Something went wrong; the site's log tells more."
		}
		l.Result, l.Sentence = lineFailed, message
	}
	return nil
}

// wrongIn says what the site has against a name or an address.
func wrongIn(err error) string {
	fields := fault.FieldsOf(err)
	if fields["email"] != "" {
		return "Not an e-mail address: " + fields["email"]
	}
	if fields["name"] != "" {
		return fields["name"]
	}
	message, _ := fault.Visible(err)
	return message
}

func (p *People) outcome(l *importLine, b *batch, id int64, created, mailed bool) {
	l.UserID = id
	switch {
	case created && mailed:
		b.created[id] = true
		l.Result, l.Sentence = lineInvited, "New, and an invitation was mailed."
	case created:
		b.created[id] = false
		l.Result, l.Sentence = lineCreated, "New. No mail was sent."
	case mailed:
		b.again = append(b.again, id)
		l.Result, l.Sentence = lineInvited, "Was there without a password; an invitation was mailed again."
	default:
		l.Result, l.Sentence = linePresent, "Was there already; nothing was changed."
	}
}

// wasDone looks whether a line that was cut short has been carried out: then its customer is as old as the question.
func (p *People) wasDone(ctx context.Context, l *importLine, b *batch) (bool, error) {
	found, err := p.accounts.find(ctx, l.Email)
	if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout) || ctx.Err() != nil {
		return false, err
	}
	if err != nil || found.CreatedAt.Before(l.AskedAt.Truncate(time.Second)) {
		return false, nil
	}
	p.outcome(l, b, found.ID, true, l.Invite)
	return true, nil
}

// blockedLine tells a blocked customer from other conflicts.
func (p *People) blockedLine(ctx context.Context, l *importLine) error {
	found, err := p.accounts.find(ctx, l.Email)
	switch {
	case err == nil && found.Blocked:
		l.UserID, l.Result, l.Sentence = found.ID, lineBlocked, "Was there already, and is blocked: no invitation was mailed."
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.Timeout), ctx.Err() != nil:
		return err
	default:
		l.Result, l.Sentence = lineFailed, "The site refused it. Try this address by hand."
	}
	return nil
}

// record writes what became of lines, and puts those who are new into the list at once.
func (p *People) record(ctx context.Context, u *upload, b batch, began time.Time) error {
	by, asked, now := history.Actor{ID: u.ByID, Name: u.ByName}, p.tick(), p.site.Now()
	var invited, silent []account
	if len(b.created) > 0 {
		ids := make([]int64, 0, len(b.created))
		for id := range b.created {
			ids = append(ids, id)
		}
		users, err := p.site.Host.Users().List(ctx, ids...)
		if err != nil {
			return fmt.Errorf("look up who is new: %w", err)
		}
		for _, x := range users {
			a := account{ID: x.ID, Name: x.Name, Email: x.Email, Blocked: x.Blocked, CreatedAt: x.CreatedAt} // a minute old: no password yet
			if b.created[x.ID] {
				invited = append(invited, a)
			} else {
				silent = append(silent, a)
			}
		}
	}
	c := change{by: by, since: began, kinds: added, at: now}
	if _, err := p.absorb(ctx, asked, silent, c); err != nil {
		return err
	}
	c.invited = true
	if _, err := p.absorb(ctx, asked, invited, c); err != nil {
		return err
	}
	if err := p.invitedAgain(ctx, b.again, c); err != nil {
		return err
	}
	notes, told, err := p.notesOf(ctx, u, b.done, now)
	if err != nil {
		return err
	}
	return p.store.answered(ctx, b.done, notes, told)
}

// notesOf makes the notes that lines bring, except those that stand there already.
func (p *People) notesOf(ctx context.Context, u *upload, lines []importLine, now time.Time) (notes []note, told []history.Entry, err error) {
	var ids []int64
	for _, l := range lines {
		if l.UserID != 0 && l.Note != "" {
			ids = append(ids, l.UserID)
		}
	}
	have, err := p.store.notesOf(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	by := history.Actor{ID: u.ByID, Name: u.ByName}
	for _, l := range lines {
		if l.UserID == 0 || l.Note == "" || slices.Contains(have[l.UserID], l.Note) || len(have[l.UserID]) >= mostNotes {
			continue
		}
		notes = append(notes, note{UserID: l.UserID, Text: l.Note, ByID: by.ID, ByName: by.Name, At: now, Version: 1, Once: fmt.Sprintf("import/%d/%d", u.ID, l.Number)})
		told = append(told, history.Entry{UserID: l.UserID, Kind: kindNote, Sentence: "Wrote a note, by an import.", At: now}.With(by))
	}
	return notes, told, nil
}
