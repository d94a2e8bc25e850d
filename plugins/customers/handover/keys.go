package handover

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

const (
	keysAtOnce  = 500
	abandonedIn = time.Hour // after which a key that never came into force is given up
	longestLife = 3650      // days of a key
)

// prepare makes a key for each record and seals it. The keys open nothing before enforce; those that never get there, also
// because the program was stopped, are swept away later.
func (h *Handover) prepare(ctx context.Context, recordIDs []int64, expires *time.Time) ([]keyRow, error) {
	now := h.site.Now()
	keys, rows := make([]key, len(recordIDs)), make([]keyRow, len(recordIDs))
	for i, id := range recordIDs {
		keys[i] = newKey()
		rows[i] = keyRow{RecordID: id, Hash: keys[i].hash(), State: keyMaking, Sealed: true, ExpiresAt: expires, MadeAt: now, EndedAt: &now}
	}
	if err := h.records.addKeys(ctx, rows); err != nil {
		return nil, err
	}
	for i := range rows {
		if err := h.site.Host.Secrets().Set(ctx, claimKey, sealedAs(rows[i].ID), string(keys[i])); err != nil {
			return nil, fmt.Errorf("seal a claim key: %w", err)
		}
	}
	return rows, nil
}

func sealedAs(keyID int64) string { return strconv.FormatInt(keyID, 10) }

// errKeyGone is the answer when a key cannot be printed.
var errKeyGone = fault.New(fault.Conflict, "There is no key to print. Make a new one.")

// unseal gives the key of a row that is in force.
func (h *Handover) unseal(ctx context.Context, row *keyRow) (key, error) {
	if row == nil || row.expired(h.site.Now()) {
		return "", errKeyGone
	}
	text, err := h.site.Host.Secrets().Get(ctx, claimKey, sealedAs(row.ID))
	if fault.Is(err, fault.NotFound) || err == nil && key(text).hash() != row.Hash {
		return "", errKeyGone
	}
	if err != nil {
		return "", fmt.Errorf("open a claim key: %w", err)
	}
	return key(text), nil
}

// keyOfRecord gives the key of a record that is ready.
func (h *Handover) keyOfRecord(ctx context.Context, rec *record) (key, error) {
	if rec.State != stateReady {
		return "", errKeyGone
	}
	live, err := h.records.liveKeys(ctx, []int64{rec.ID})
	if err != nil {
		return "", err
	}
	return h.unseal(ctx, live[rec.ID])
}

// renewIn brings a prepared key of one record into force in place of all before, as part of a change of the record. ok is false when
// the record has changed meanwhile.
func (h *Handover) renewIn(tx *gorm.DB, rec *record, fresh keyRow, entry history.Entry) (ok bool, err error) {
	ok, err = h.records.set(tx, rec, map[string]any{"state": stateReady, "user_id": 0, "claimed_at": nil})
	if err != nil || !ok {
		return ok, err
	}
	if err := h.records.endKeys(tx, []int64{rec.ID}, keyRevoked, h.site.Now()); err != nil {
		return false, err
	}
	if err := h.records.enforce(tx, []int64{fresh.ID}); err != nil {
		return false, err
	}
	return true, history.Add(tx, entry)
}

// makeKeys makes the keys of records at the bench that fit, up to keysAtOnce of them, and tells how many.
func (h *Handover) makeKeys(ctx context.Context, f filter, expires *time.Time) (made int, err error) {
	f.State = stateBench
	list, err := h.records.first(ctx, f, keysAtOnce, 0)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	rows, err := h.prepare(ctx, idsOf(list), expires)
	if err != nil {
		return 0, err
	}
	by := history.By(ctx)
	err = h.transaction(ctx, func(tx *gorm.DB) error {
		still := map[int64]bool{}
		ids, err := h.records.atBench(tx, idsOf(list))
		if err != nil {
			return err
		}
		for _, id := range ids {
			still[id] = true
		}
		var keyIDs []int64
		var entries []history.Entry
		for _, row := range rows {
			if still[row.RecordID] {
				keyIDs = append(keyIDs, row.ID)
				entries = append(entries, history.Entry{RecordID: row.RecordID, Kind: "key_made", Sentence: "A claim key was made.", At: h.site.Now()}.With(by))
			}
		}
		made = len(keyIDs)
		if err := h.records.enforce(tx, keyIDs); err != nil {
			return err
		}
		if err := h.records.readied(tx, ids); err != nil {
			return err
		}
		return history.Add(tx, entries...)
	})
	return made, err
}

func idsOf(list []record) []int64 {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}

// makeMissingKeys makes the keys of all records at the bench that fit the filter of the list.
func (h *Handover) makeMissingKeys(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach, mayInstall) {
		return
	}
	expires, wrong := h.readLife(r)
	if wrong != "" {
		sdk.Fail(w, r, fault.InvalidFields(wrong, map[string]string{"days": wrong}))
		return
	}
	n, err := h.makeKeys(r.Context(), readFilter(r, r.PostFormValue), expires)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, root+"?state="+stateReady, sdk.Message{Tone: sdk.Good, Text: keysWereMade(n)})
}

func keysWereMade(n int) string {
	switch n {
	case 0:
		return "Every record had a key already."
	case 1:
		return "One key was made."
	}
	return fmt.Sprintf("%d keys were made.", n)
}

// readLife reads after how many days a key ends; "" is never. wrong is a sentence, or "".
func (h *Handover) readLife(r *http.Request) (expires *time.Time, wrong string) {
	typed := site.Readable(r.PostFormValue("days"), 20)
	if typed == "" {
		return nil, ""
	}
	days, err := strconv.Atoi(typed)
	if err != nil || days < 1 || days > longestLife {
		return nil, fmt.Sprintf("Expected a number of days from 1 to %d, or nothing for a key that does not expire.", longestLife)
	}
	at := h.site.Now().AddDate(0, 0, days)
	return &at, ""
}

// changeKey makes a new key, which ends the one before, or takes the key back.
func (h *Handover) changeKey(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok {
		return
	}
	if !h.unchanged(w, r, rec) {
		return
	}
	var err error
	var text string
	switch r.PostFormValue("action") {
	case "new":
		expires, wrong := h.readLife(r)
		if wrong != "" {
			h.renderRecord(w, r, rec, recordForm{}, sdk.Fields{"days": wrong})
			return
		}
		text = "There is a new key. Print its label: the old one opens nothing any more."
		err = h.newKey(r.Context(), rec, expires)
	case "revoke":
		text = "The key was taken back. Nobody can claim the device until there is a new one."
		err = h.revoke(r.Context(), rec)
	default:
		err = fault.New(fault.Invalid, "Choose what to do with the key.")
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Good, Text: text})
}

var (
	errChanged = fault.New(fault.Conflict, "Somebody has changed this record meanwhile. Open it again and look at it.")
	errOwned   = fault.New(fault.Conflict, "A customer has this device already. Undo the hand-over first.")
)

func (h *Handover) newKey(ctx context.Context, rec *record, expires *time.Time) error {
	if rec.UserID != 0 {
		return errOwned
	}
	rows, err := h.prepare(ctx, []int64{rec.ID}, expires)
	if err != nil {
		return err
	}
	entry := history.Entry{RecordID: rec.ID, Kind: "key_made", Sentence: "A claim key was made. Any key before it is void.", At: h.site.Now()}.With(history.By(ctx))
	err = h.transaction(ctx, func(tx *gorm.DB) error {
		ok, err := h.renewIn(tx, rec, rows[0], entry)
		if err == nil && !ok {
			err = errChanged
		}
		return err
	})
	h.eraseEnded(ctx, rec.ID)
	return err
}

func (h *Handover) revoke(ctx context.Context, rec *record) error {
	if rec.State != stateReady {
		return fault.New(fault.Conflict, "There is no key to take back.")
	}
	now := h.site.Now()
	err := h.transaction(ctx, func(tx *gorm.DB) error {
		ok, err := h.records.set(tx, rec, map[string]any{"state": stateRevoked})
		if err == nil && !ok {
			err = errChanged
		}
		if err == nil {
			err = h.records.endKeys(tx, []int64{rec.ID}, keyRevoked, now)
		}
		if err == nil {
			err = history.Add(tx, history.Entry{RecordID: rec.ID, Kind: "key_revoked", Sentence: "The claim key was taken back.", At: now}.With(history.By(ctx)))
		}
		return err
	})
	h.eraseEnded(ctx, rec.ID)
	return err
}

// eraseEnded erases the sealed copies of a record's keys that have ended. When that fails the job does it.
func (h *Handover) eraseEnded(ctx context.Context, recordID int64) {
	ctx = context.WithoutCancel(ctx)
	ids, err := h.records.ended(ctx, recordID)
	if err == nil {
		err = h.erase(ctx, ids)
	}
	if err != nil {
		h.site.Host.Log().Warn("the sealed copy of an ended claim key could not be erased; the job tries again", "record", recordID, "error", err)
	}
}

func (h *Handover) erase(ctx context.Context, keyIDs []int64) error {
	if len(keyIDs) == 0 {
		return nil
	}
	for _, id := range keyIDs {
		if err := h.site.Host.Secrets().Delete(ctx, claimKey, sealedAs(id)); err != nil {
			return err
		}
	}
	return h.records.unsealed(ctx, keyIDs)
}

// sweep erases sealed copies that are of no use any more.
func (h *Handover) sweep(ctx context.Context) error {
	ids, err := h.records.sealedInVain(ctx, h.site.Now().Add(-abandonedIn), keysAtOnce)
	if err != nil {
		return err
	}
	return h.erase(ctx, ids)
}
