package ownership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	opLimit    = 25 * time.Second // for the calls of one operation
	nowLimit   = 8 * time.Second  // for what is tried at once while a person waits; the job does the rest
	nowMost    = 5                // operations that are tried while a person waits
	resumeMost = 60               // operations of one run of the job
	maxTries   = 30               // with growing pauses: about a day
	waitClient = 15 * time.Minute // until it is looked again whether there is an OAuth client
	keepFor    = 365 * 24 * time.Hour
)

// end records what became of an operation.
func (o *Ownership) end(ctx context.Context, op *operation, state, sentence string) error {
	now := o.site.Now()
	op.State, op.Sentence, op.EndedAt = state, sentence, &now
	return o.records.saveOperation(context.WithoutCancel(ctx), op)
}

// leave lets an operation be carried out again by the job: its outcome is not known.
func (o *Ownership) leave(ctx context.Context, op *operation, sentence string) error {
	op.Tries++
	op.Sentence, op.NextAt = sentence, o.site.Now().Add(min(time.Duration(op.Tries)*time.Duration(op.Tries)*10*time.Second, time.Hour))
	if op.Tries >= maxTries {
		now := o.site.Now()
		op.State, op.EndedAt = opUnclear, &now
	}
	return o.records.saveOperation(context.WithoutCancel(ctx), op)
}

// AfterAttach does at once what an attachment needs at Particle, as far as that does not take long; the rest is done by the job.
// It never fails: the attachment counts already.
func (o *Ownership) AfterAttach(ctx context.Context, a Attachment) {
	if a.Way == attachapi.Shadow {
		o.pursue(ctx, a.UserID)
	}
}

// AfterDetach does the same after a detachment.
func (o *Ownership) AfterDetach(ctx context.Context, a Attachment) { o.AfterAttach(ctx, a) }

// pursue carries out what is due of one customer, for a few seconds.
func (o *Ownership) pursue(ctx context.Context, userID int64) {
	// A person who closes the page does not leave half an operation.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), nowLimit)
	defer cancel()
	list, err := o.records.due(ctx, userID, nowMost)
	for i := 0; err == nil && i < len(list) && ctx.Err() == nil; i++ {
		err = o.carryOut(ctx, list[i].ID)
	}
	if err != nil {
		o.site.Host.Log().Warn("what an attachment needs at Particle was not done at once; the job does it", "error", err)
	}
}

// pursueSubjects carries out what is due about some shadow customers, for a few seconds.
func (o *Ownership) pursueSubjects(ctx context.Context, rows []shadow) {
	if len(rows) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), nowLimit)
	defer cancel()
	names := make([]string, 0, nowMost)
	for i := 0; i < len(rows) && i < nowMost; i++ {
		names = append(names, rows[i].Username)
	}
	list, err := o.records.dueAbout(ctx, names)
	for i := 0; err == nil && i < len(list) && ctx.Err() == nil; i++ {
		err = o.carryOut(ctx, list[i].ID)
	}
	if err != nil {
		o.site.Host.Log().Warn("shadow customers were not deleted at once; the job does it", "error", err)
	}
}

// resume carries out what is due.
func (o *Ownership) resume(ctx context.Context) error {
	list, err := o.records.due(ctx, 0, resumeMost)
	if err != nil {
		return err
	}
	failed := []error{o.records.dropResets(ctx)}
	for i := range list {
		if ctx.Err() != nil {
			break // the next run goes on
		}
		failed = append(failed, o.carryOut(ctx, list[i].ID))
	}
	return errors.Join(failed...)
}

// carryOut does one operation, the first time and after a crash. It reads it once more: it may have ended between the list and the lock.
func (o *Ownership) carryOut(ctx context.Context, id int64) error {
	op, err := o.records.operation(ctx, id)
	if err != nil {
		return err
	}
	defer o.locks.lock(op.Subject)()
	if op, err = o.records.operation(ctx, id); err != nil || op.State != opRunning || op.NextAt.After(o.site.Now()) {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	if err := o.do(limited, op); err != nil {
		return errors.Join(err, o.leave(ctx, op, "Something went wrong here. It is tried again by itself; the log of the site tells more."))
	}
	return nil
}

func (o *Ownership) do(ctx context.Context, op *operation) error {
	switch op.Kind {
	case opShadowCreate:
		return o.doShadowCreate(ctx, op)
	case opShadowRevoke:
		return o.doShadowRevoke(ctx, op)
	case opShadowDelete, opCustomerDelete:
		return o.doCustomerDelete(ctx, op)
	case opDeviceRelease:
		return o.doDeviceRelease(ctx, op)
	}
	return o.end(ctx, op, opUnclear, "Was cut short; this version does not know the kind "+op.Kind+".")
}

func (op *operation) product() productapi.Product {
	return productapi.Product{WorkspaceID: op.WorkspaceID, ProductID: op.ProductID}
}

// doCustomerDelete deletes a customer at Particle. One that is gone already is a success.
func (o *Ownership) doCustomerDelete(ctx context.Context, op *operation) error {
	if err := o.site.Host.Secrets().Delete(ctx, secretShadow, op.Subject); err != nil {
		return err
	}
	err := o.cloudOf.DeleteCustomer(ctx, op.product(), op.Subject)
	switch {
	case err == nil:
		op.Subject = masked(op.Subject)
		return o.end(ctx, op, opDone, "The customer is deleted at Particle, with its tokens. Its devices have no owner there any more.")
	case particle.IsGone(err):
		op.Subject = masked(op.Subject)
		return o.end(ctx, op, opDone, "Particle does not know the customer (any more); there is nothing to delete.")
	}
	return o.refusedOrUnknown(ctx, op, err)
}

// masked keeps of a deleted customer's address what is needed to recognise it: "c…@example.com". Other names stay as they are.
func masked(username string) string {
	local, domain, ok := strings.Cut(username, "@")
	if !ok || opaqueName.MatchString(username) { // a shadow customer's name says nothing about anybody
		return username
	}
	first, _ := utf8.DecodeRuneInString(local)
	return string(first) + "…@" + domain
}

// doDeviceRelease takes a device from its shadow customer at Particle, unless it has another owner by now or is attached again.
func (o *Ownership) doDeviceRelease(ctx context.Context, op *operation) error {
	row, err := o.records.device(ctx, op.Subject)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err == nil && row.DetachedAt == nil && row.UserID == op.CustomerID && row.Way == attachapi.Shadow {
		return o.end(ctx, op, opUndone, "The device is attached to the same customer again and keeps its owner at Particle.")
	}
	d, err := o.cloudOf.Device(ctx, op.product(), op.Subject)
	switch {
	case particle.IsGone(err):
		return o.end(ctx, op, opDone, "The device is not in the product any more; there is nothing to release.")
	case err != nil:
		return o.refusedOrUnknown(ctx, op, err)
	case d.Owner != op.Owner:
		return o.end(ctx, op, opDone, "At Particle the device does not belong to this shadow customer; there is nothing to release.")
	}
	err = o.cloudOf.Release(ctx, op.product(), op.Subject)
	if err == nil || particle.IsGone(err) {
		return o.end(ctx, op, opDone, "The device has no owner at Particle any more.")
	}
	return o.refusedOrUnknown(ctx, op, err)
}

// refusedOrUnknown ends an operation that was refused, and keeps one of which nobody knows whether it happened.
func (o *Ownership) refusedOrUnknown(ctx context.Context, op *operation, err error) error {
	t := explain(err)
	if mayHaveHappened(err) {
		return o.leave(ctx, op, t.Sentence+" It is tried again by itself.")
	}
	return o.end(ctx, op, opFailed, t.Sentence+" "+t.Remedy)
}

// mayHaveHappened tells that trying again may help, be it because nobody knows whether the change happened, or because the way to
// Particle was closed.
func mayHaveHappened(err error) bool {
	switch particle.KindOf(err) {
	case particle.NoAnswer, particle.Upstream, particle.Unreachable, particle.NotParticle, particle.Cancelled, particle.RateLimited:
		return true
	case "":
		switch fault.KindOf(err) {
		case fault.Unavailable, fault.Timeout, fault.TooMany, fault.Internal:
			return true
		case fault.Conflict, fault.Denied, fault.Invalid, fault.NotFound, fault.SignedOut, fault.TooLarge:
		}
	}
	return false
}

// Run does this part's share of a job.
func (o *Ownership) Run(ctx context.Context, job string) (mine bool, err error) {
	switch job {
	case "resume":
		return true, o.resume(ctx)
	case "tokens":
		return true, o.renewEnding(ctx)
	case "retention":
		return true, errors.Join(o.records.trim(ctx, keepFor), o.records.forgetDetached(ctx, keepFor))
	}
	return false, nil
}

// CountDevices tells how many devices people have; whole products count as one. It is for the list of customers.
func (o *Ownership) CountDevices(tx *gorm.DB, userIDs []int64) (map[int64]int, error) {
	return o.records.counts(tx, userIDs)
}

// Follows says what deleting a person leads to.
func (o *Ownership) Follows(ctx context.Context, userID int64) ([]string, error) {
	devices, grants, err := o.OfPerson(ctx, userID)
	if err != nil {
		return nil, err
	}
	rows, err := o.records.shadowsOf(o.site.DB.WithContext(ctx), userID)
	if err != nil {
		return nil, err
	}
	said := []string{}
	if n := len(devices); n > 0 {
		said = append(said, devicesAre(n)+" detached; they stay in their products.")
	}
	for _, g := range grants {
		said = append(said, "The product "+nameOf(g.Product, g.ProductID)+" is detached; it stays as it is.")
	}
	if n := len(rows); n > 0 {
		said = append(said, fmt.Sprintf("%s deleted at Particle, with the tokens; devices that were claimed there have no owner any more.", countedAre(n, "shadow customer")))
	}
	return said, nil
}

func countedAre(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return fmt.Sprintf("%d %ss are", n, noun)
}
