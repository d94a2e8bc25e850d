package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

const (
	importBatch   = 100 // ids in one call
	maxOpen       = 10  // imports under way in one workspace
	importTries   = 20  // failures in a row until a person is asked: about six hours
	firstPause    = 15 * time.Second
	slowDownPause = time.Minute // Particle's limits are counted over five minutes
	longestPause  = 30 * time.Minute
)

// wake goes on with an import in the background, unless somebody is at it. The channel is closed when it is at an end or waits.
func (m *Organizations) wake(id int64) <-chan struct{} {
	done := make(chan struct{})
	m.background.Go(func() {
		defer close(done)
		lock, _ := m.importing.LoadOrStore(id, &sync.Mutex{})
		if !lock.(*sync.Mutex).TryLock() {
			return
		}
		defer lock.(*sync.Mutex).Unlock()
		ctx := m.host.Context()
		if err := m.runImport(ctx, id); err != nil && ctx.Err() == nil {
			m.host.Log().Warn("an import could not go on; the job does it again", "import", id, "error", err)
		}
	})
	return done
}

// resumeImports goes on with every import that may. It waits for them as long as ctx lives; they go on after that.
func (m *Organizations) resumeImports(ctx context.Context) error {
	ids, err := m.records.openImports(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		select {
		case <-m.wake(id):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// running is an import that is worked on.
type running struct {
	m     *Organizations
	imp   *deviceImport
	a     *access
	cloud *particle.Client // of the product
}

// runImport goes on with an import until it ends, is stopped, has to wait, or ctx ends. Each step is recorded before and
// after, so that it may be cut short anywhere. One at a time works on an import.
func (m *Organizations) runImport(ctx context.Context, id int64) error {
	for ctx.Err() == nil {
		imp, err := m.records.importOf(ctx, id)
		if fault.Is(err, fault.NotFound) { // its workspace was removed
			return nil
		}
		if err != nil || imp.NextAt.After(m.now()) || imp.State != importRunning && imp.State != importCancelling {
			return err
		}
		w, err := m.records.workspace(ctx, imp.WorkspaceID)
		if err != nil {
			return err
		}
		run := &running{m: m, imp: imp}
		a, t := m.access(ctx, w)
		if t != nil {
			return run.stop(ctx, t)
		}
		run.a, run.cloud = a, a.in(imp.ProductID)
		more, err := run.step(ctx)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// step does the next piece of work, and tells whether there is more to do at once.
func (r *running) step(ctx context.Context) (more bool, err error) {
	if r.imp.State == importCancelling {
		return r.settle(ctx)
	}
	lines, err := r.m.records.linesToAsk(ctx, r.imp.ID, []string{lineAsked, lineWaiting}, importBatch)
	if err != nil {
		return false, err
	}
	if len(lines) > 0 {
		return r.add(ctx, lines)
	}
	if lines, err = r.m.records.linesWithDetails(ctx, r.imp.ID, importBatch); err != nil {
		return false, err
	}
	if len(lines) > 0 {
		return r.describe(ctx, lines)
	}
	return false, r.finish(ctx, importDone)
}

// add asks Particle to add the devices of some lines.
func (r *running) add(ctx context.Context, lines []importLine) (more bool, err error) {
	ids, devices := make([]int64, len(lines)), make([]string, len(lines))
	for i := range lines {
		ids[i], devices[i] = lines[i].ID, lines[i].DeviceID
	}
	if err := r.m.records.markAsked(ctx, ids); err != nil {
		return false, err
	}
	defer r.m.fleets.renew(productKey{r.a.workspace.ID, r.imp.ProductID})
	result, err := r.cloud.AddDevices(ctx, r.a.token, r.imp.ProductID, devices, particle.ImportOptions{})
	if aboutOne(err) { // find the line that it is about
		if len(lines) == 1 {
			sentence := r.m.troubleIn(ctx, r.a.workspace, err, "devices:import").Sentence
			return r.save(ctx, map[outcome][]int64{{lineRefused, sentence, true}: ids})
		}
		half := len(lines) / 2
		if more, err = r.add(ctx, lines[:half]); err != nil || !more {
			return more, err
		}
		return r.add(ctx, lines[half:])
	}
	if err != nil {
		if certainlyNot(err) {
			if err := r.m.records.markWaiting(context.WithoutCancel(ctx), ids); err != nil {
				return false, err
			}
		}
		return false, r.fail(ctx, err, "devices:import")
	}
	outcomes, err := r.outcomes(ctx, lines, result)
	if err != nil {
		return false, r.fail(ctx, err, "devices:list")
	}
	return r.save(ctx, outcomes)
}

// aboutOne tells that Particle did not like what was sent, not who sent it: one line spoils the others.
func aboutOne(err error) bool {
	return particle.Is(err, particle.Invalid) || particle.Is(err, particle.UnknownDevice) && !refused(err)
}

// certainlyNot tells that Particle has not even begun with what it was asked for.
func certainlyNot(err error) bool { return particle.Is(err, particle.RateLimited) || !uncertain(err) }

func (r *running) save(ctx context.Context, outcomes map[outcome][]int64) (more bool, err error) {
	ctx = context.WithoutCancel(ctx)
	if err := r.m.records.saveOutcomes(ctx, outcomes); err != nil {
		return false, err
	}
	return true, r.calm(ctx)
}

// calm forgets about failures once something has succeeded again.
func (r *running) calm(ctx context.Context) error {
	if r.imp.Tries == 0 && r.imp.Sentence == "" {
		return nil
	}
	r.imp.Tries, r.imp.Sentence, r.imp.Remedy = 0, "", ""
	_, err := r.m.records.moveImport(ctx, r.imp, []string{importRunning, importCancelling}, map[string]any{"tries": 0, "sentence": "", "remedy": ""}, opRunning, "Goes on.")
	return err
}

// Sentences of results.
const (
	perhapsOurs   = "An answer of Particle was lost: this import may have added it."
	saysForeign   = "It belongs to somebody outside of the product's team. Its owner has to release it first."
	saysInvalid   = "Particle does not know the id, or the device is of another platform or in another product."
	saysProtected = "The device is protected. It must be unlocked before it can be added."
	saysNothing   = "Particle does not say what became of it, and the product does not have it."
)

// outcomes sorts lines by what became of them. What Particle does not mention is looked up.
func (r *running) outcomes(ctx context.Context, lines []importLine, result particle.ImportResult) (map[outcome][]int64, error) {
	all := map[outcome][]int64{}
	for _, l := range lines {
		o := outcome{result: lineRefused, noDetails: true}
		switch result.Outcome(l.DeviceID) {
		case particle.ImportAdded:
			o = outcome{result: lineAdded}
		case particle.ImportExisting:
			o = r.existing(l)
		case particle.ImportNotMember:
			o = outcome{lineForeign, saysForeign, true}
		case particle.ImportInvalid:
			o.sentence = saysInvalid
		case particle.ImportProtected:
			o.sentence = saysProtected
		default:
			there, err := r.has(ctx, l.DeviceID)
			if err != nil {
				return nil, err
			}
			if o.sentence = saysNothing; there {
				o = r.existing(l)
			}
		}
		all[o] = append(all[o], l.ID)
	}
	return all, nil
}

// existing is the outcome of a device that is in the product: perhaps because this import had asked for it before. lines are
// as they were read, before they were asked for this time.
func (r *running) existing(l importLine) outcome {
	if l.Asked > 0 {
		return outcome{lineExisting, perhapsOurs, false}
	}
	return outcome{lineExisting, "", !r.imp.Overwrite}
}

// has tells whether the product has a device. It asks for a list: the answer for one device would be the same for a device
// that is not there and for a credential that may not look.
func (r *running) has(ctx context.Context, id string) (bool, error) {
	found, err := r.cloud.FindProductDevices(ctx, r.a.token, r.imp.ProductID, particle.DeviceQuery{ID: id, Page: particle.Page{Size: 1}})
	return err == nil && len(found.Devices) == 1 && particle.NormalID(found.Devices[0].ID) == id, err
}

// describe writes name, groups and notes of some lines. Each call sets a value and may be repeated.
func (r *running) describe(ctx context.Context, lines []importLine) (more bool, err error) {
	for _, l := range lines {
		state, sentence := detailsDone, ""
		if err := r.describeOne(ctx, l); err != nil {
			if uncertain(err) || ctx.Err() != nil || particle.Is(err, particle.DeadToken) {
				return false, r.fail(ctx, err, "devices:update")
			}
			there, listed := r.has(ctx, l.DeviceID)
			switch {
			case listed != nil:
				return false, r.fail(ctx, listed, "devices:list")
			case there && !aboutOne(err):
				return false, r.fail(ctx, err, "devices:update")
			case there:
				state, sentence = detailsRefused, "Name, groups and notes were refused. "+r.m.troubleIn(ctx, r.a.workspace, err, "").Sentence
			default:
				state, sentence = detailsRefused, "It has left the product before name, groups and notes were written."
			}
		}
		if err := r.m.records.saveDetails(context.WithoutCancel(ctx), l.ID, state, sentence); err != nil {
			return false, err
		}
	}
	return true, r.calm(ctx)
}

func (r *running) describeOne(ctx context.Context, l importLine) error {
	do := []func() error{}
	if l.Name != "" {
		do = append(do, func() error { return r.cloud.Rename(ctx, r.a.token, l.DeviceID, l.Name) })
	}
	if l.Groups != "" {
		do = append(do, func() error { return r.cloud.SetGroups(ctx, r.a.token, l.DeviceID, strings.Split(l.Groups, ",")) })
	}
	if l.Notes != "" {
		do = append(do, func() error { return r.cloud.SetNotes(ctx, r.a.token, l.DeviceID, l.Notes) })
	}
	for _, call := range do {
		if err := r.pause(ctx); err != nil {
			return err
		}
		if err := call(); err != nil {
			return err
		}
	}
	return nil
}

// pause keeps calls that are made one by one below what Particle allows to the whole site: 10,000 in five minutes.
func (r *running) pause(ctx context.Context) error {
	if r.m.pace <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(r.m.pace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle ends a cancelled import: lines whose answer was lost are looked up, without asking for anything to be added.
func (r *running) settle(ctx context.Context) (more bool, err error) {
	lines, err := r.m.records.linesToAsk(ctx, r.imp.ID, []string{lineAsked}, importBatch)
	if err != nil {
		return false, err
	}
	outcomes := map[outcome][]int64{}
	for _, l := range lines {
		if err := r.pause(ctx); err != nil {
			return false, err
		}
		there, err := r.has(ctx, l.DeviceID)
		if err != nil {
			return false, r.fail(ctx, err, "devices:list")
		}
		o := outcome{result: lineWaiting}
		if there {
			o = outcome{lineExisting, perhapsOurs, false}
		}
		outcomes[o] = append(outcomes[o], l.ID)
	}
	if len(lines) > 0 {
		return r.save(ctx, outcomes)
	}
	return false, r.finish(ctx, importCancelled)
}

// fail decides after a failed call: to wait and go on by itself, or to wait for a person. A caller who gave up is no failure.
func (r *running) fail(ctx context.Context, err error, scope string) error {
	if ctx.Err() != nil {
		return nil // the program ends; the next one goes on
	}
	t := r.m.troubleIn(ctx, r.a.workspace, err, scope)
	if !uncertain(err) {
		if particle.Is(err, particle.NotFound) {
			t.Sentence, t.Remedy = "Particle does not know the product "+r.imp.ProductID+" any more.", "Fetch the products again and look whether it is still there."
		}
		return r.stop(ctx, t)
	}
	r.imp.Tries++
	if r.imp.Tries >= importTries {
		t.Remedy = "It was tried " + strconv.Itoa(r.imp.Tries) + " times. Look at status.particle.io, and go on when all is well there."
		return r.stop(ctx, t)
	}
	_, err = r.m.records.moveImport(ctx, r.imp, []string{importRunning, importCancelling}, map[string]any{"tries": r.imp.Tries, "next_at": r.m.now().Add(pauseAfter(r.imp.Tries, err)),
		"sentence": t.Sentence, "remedy": t.Remedy}, opRunning, t.Sentence+" It goes on by itself.")
	return err
}

// pauseAfter grows with each failure in a row: 15 s, 30 s, 1 min … half an hour; from a minute when Particle asks to slow down.
func pauseAfter(tries int, err error) time.Duration {
	first := firstPause
	if particle.Is(err, particle.RateLimited) {
		first = slowDownPause
	}
	return min(first<<min(tries-1, 10), longestPause)
}

// stop lets an import wait for a person. One that is being cancelled ends: what cannot be looked up stays unknown.
func (r *running) stop(ctx context.Context, t *trouble) error {
	if r.imp.State == importCancelling {
		return r.finish(ctx, importCancelled)
	}
	_, err := r.m.records.moveImport(context.WithoutCancel(ctx), r.imp, []string{importRunning}, map[string]any{"state": importStopped, "sentence": t.Sentence, "remedy": t.Remedy, "scope": t.Scope},
		opUnclear, "Was stopped. "+t.Sentence+" "+t.Remedy)
	return err
}

// finish ends an import and says in a sentence what became of it.
func (r *running) finish(ctx context.Context, state string) error {
	ctx = context.WithoutCancel(ctx)
	counts, err := r.m.records.countLines(ctx, r.imp.ID)
	if err != nil {
		return err
	}
	sentence := summary(counts[r.imp.ID])
	if state == importCancelled {
		sentence = "Was cancelled. " + sentence
	}
	_, err = r.m.records.moveImport(ctx, r.imp, []string{importRunning, importCancelling}, map[string]any{"state": state, "sentence": sentence, "remedy": "", "scope": "", "ended_at": r.m.now()}, opDone, sentence)
	return err
}

// resultWords name results for people.
var resultWords = map[string]string{lineAdded: "added", lineExisting: "already here", lineForeign: "owned by somebody else", lineNotID: "not an id",
	lineDuplicate: "duplicate", lineRefused: "refused by Particle", lineWaiting: "not tried yet", lineAsked: "with unknown outcome"}

// summary is "493 added, 4 not an id, 3 duplicate."
func summary(counts map[string]int) string {
	var parts []string
	for _, result := range lineResults {
		if n := counts[result]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+resultWords[result])
		}
	}
	if len(parts) == 0 {
		return "There was nothing to do."
	}
	return strings.Join(parts, ", ") + "."
}

// knownResult tells whether a word is a result of lines.
func knownResult(word string) bool { return slices.Contains(lineResults, word) }
