package handover

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
)

// Wrong keys are counted in the store, so that a restart forgives nothing. With 80 bits nobody finds a key in this way; the limits keep
// those who try from costing anything.
const (
	guessTime    = time.Hour
	maxGuesses   = 10  // wrong keys of one person within guessTime
	sitesGuesses = 200 // of everybody within guessTime; above it each person may be wrong fewGuesses times
	fewGuesses   = 3   // enough for whoever reads a label by torchlight, while others guess
)

// outcome is what becomes of somebody with a key.
type outcome string

const (
	outAsk     outcome = "ask"     // no key yet: the form
	outSignIn  outcome = "sign_in" // nobody is signed in; nothing was looked up
	outNotYou  outcome = "not_you" // the account may not own devices
	outShape   outcome = "shape"   // cannot be a key
	outWrong   outcome = "wrong"
	outLocked  outcome = "locked" // too many wrong ones
	outUsed    outcome = "used"   // somebody else has the device
	outMine    outcome = "mine"
	outRevoked outcome = "revoked"
	outExpired outcome = "expired"
	outReady   outcome = "ready" // can be claimed
)

// status is the HTTP status of the page.
func (o outcome) status() int {
	switch o {
	case outShape, outWrong:
		return http.StatusUnprocessableEntity
	case outUsed, outRevoked, outExpired:
		return http.StatusConflict
	case outLocked:
		return http.StatusTooManyRequests
	case outNotYou:
		return http.StatusForbidden
	}
	return http.StatusOK
}

// finding is what was found out about a key.
type finding struct {
	outcome outcome
	key     key
	record  *record   // nil unless the key is or was one of the site's
	again   time.Time // when a locked person may try again
}

// showClaim is where a QR code leads: ?key=. Anybody may open it; without a session nothing is looked up.
func (h *Handover) showClaim(w http.ResponseWriter, r *http.Request) {
	typed := r.URL.Query().Get("key")
	f := finding{outcome: outAsk}
	user := sdk.UserFrom(r.Context())
	var err error
	switch {
	case !user.SignedIn():
		f.outcome = outSignIn
	case !user.Can(mayOwn):
		f.outcome = outNotYou
	default:
		f.outcome, err = h.welcome(r.Context(), user.UserID)
		if err == nil && f.outcome == outAsk && typed != "" {
			f, err = h.examine(r.Context(), user.UserID, typed)
		}
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	h.renderClaim(w, r, f, typed)
}

// welcome tells whether the visitor is a customer: outAsk, or outNotYou for the staff, whose devices nobody could look after. Who has
// registered a moment ago is on the list of customers from here on.
func (h *Handover) welcome(ctx context.Context, userID int64) (outcome, error) {
	_, err := h.people.Get(ctx, userID)
	if fault.Is(err, fault.NotFound) {
		return outNotYou, nil
	}
	return outAsk, err
}

// examine looks at a key for a person, and counts it if it is wrong.
func (h *Handover) examine(ctx context.Context, userID int64, typed string) (f finding, err error) {
	k, err := readKey(typed)
	if err != nil {
		return finding{outcome: outShape}, nil // cannot be right, so it is no guess
	}
	err = h.transaction(ctx, func(tx *gorm.DB) error {
		f, err = h.lookIn(tx, userID, k)
		return err
	})
	return f, err
}

func (h *Handover) lookIn(tx *gorm.DB, userID int64, k key) (finding, error) {
	now := h.site.Now()
	since := now.Add(-guessTime)
	wrong, err := h.records.tries(tx, userID, tryGuess, since)
	if err != nil {
		return finding{}, err
	}
	most := int64(maxGuesses)
	if wrong > 0 {
		everybody, err := h.records.tries(tx, 0, tryGuess, since)
		if err != nil {
			return finding{}, err
		}
		if everybody >= sitesGuesses {
			most = fewGuesses
		}
	}
	if wrong >= most {
		first, err := h.records.oldest(tx, userID, tryGuess, since)
		return finding{outcome: outLocked, again: first.Add(guessTime)}, err
	}
	row, rec, err := h.records.keyOf(tx, k.hash())
	if err != nil {
		return finding{}, err
	}
	if row == nil {
		return finding{outcome: outWrong}, h.records.note(tx, try{UserID: userID, Kind: tryGuess, Hash: k.hash(), At: now})
	}
	f := finding{key: k, record: rec, outcome: outReady}
	switch {
	case rec.UserID == userID:
		f.outcome = outMine
	case row.State == keyUsed || rec.UserID != 0:
		f.outcome = outUsed
	case row.State != keyLive || rec.State != stateReady:
		f.outcome = outRevoked
	case row.expired(now):
		f.outcome = outExpired
	}
	return f, nil
}

// claim makes the device the person's own.
func (h *Handover) claim(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayOwn) {
		return
	}
	ctx, user, typed := r.Context(), sdk.UserFrom(r.Context()), r.PostFormValue("key")
	var f finding
	var err error
	if f.outcome, err = h.welcome(ctx, user.UserID); err == nil && f.outcome == outAsk {
		f, err = h.examine(ctx, user.UserID, typed)
	}
	if err == nil && f.outcome == outReady && r.PostFormValue("claim") != "" {
		var a ownership.Attachment
		if a, f, err = h.claimNow(ctx, user.UserID, f); err == nil && f.outcome == outReady {
			h.owners.AfterAttach(ctx, a)
			h.eraseEnded(ctx, f.record.ID)
			sdk.Redirect(w, r, h.onwards(ctx, a), sdk.Message{Tone: sdk.Good, Text: title(f.record) + " is yours now."})
			return
		}
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	h.renderClaim(w, r, f, typed)
}

// onwards is the page that follows: where a device must be claimed at Particle as well, that is explained first; where nobody shows devices,
// the person's own page names it.
func (h *Handover) onwards(ctx context.Context, a ownership.Attachment) string {
	if a.Way == attachapi.Product {
		return cmp.Or(h.site.DevicesPath(ctx, a.DeviceID), site.OwnPath)
	}
	return setupPath + "?device=" + a.DeviceID
}

// claimNow uses the key up and attaches the device, both or neither. Of two who come at once the second finds the key used: what came of
// it is in the finding.
func (h *Handover) claimNow(ctx context.Context, userID int64, f finding) (a ownership.Attachment, now finding, err error) {
	at, by, rec := h.site.Now(), history.By(ctx), f.record
	now = f
	err = h.transaction(ctx, func(tx *gorm.DB) error {
		ok, err := h.records.useKey(tx, f.key.hash(), at)
		if err != nil {
			return err
		}
		if !ok {
			now, err = h.lookIn(tx, userID, f.key)
			return err
		}
		if ok, err = h.records.claimed(tx, rec.ID, userID, at); err != nil {
			return err
		}
		if !ok {
			return errChanged
		}
		if a, err = h.owners.AttachIn(tx, attachOf(rec, userID, by)); err != nil {
			return err
		}
		return history.Add(tx, history.Entry{UserID: userID, RecordID: rec.ID, Kind: "record_claimed", Sentence: "Claimed with the key of the label.", At: at}.With(by))
	})
	if fault.Is(err, fault.Conflict) { // the device, or its whole product, is somebody else's by another way
		now.outcome, err = outUsed, nil
	}
	return a, now, err
}

// renderClaim draws the page. What it tells of a device is what the person needs to recognise it.
func (h *Handover) renderClaim(w http.ResponseWriter, r *http.Request, f finding, typed string) {
	back := claimPath
	shown := ""
	if k, err := readKey(typed); err == nil {
		shown = k.String()
		back += "?key=" + shown
	}
	data := map[string]any{"outcome": f.outcome, "site": h.site.Host.Site().Name, "key": shown, "name": "", "product": "", "device_path": "",
		"login_path": "/login?next=" + url.QueryEscape(back), "register_path": "/register?next=" + url.QueryEscape(back), "again": nil}
	if f.outcome == outReady || f.outcome == outMine {
		data["name"], data["product"] = title(f.record), f.record.Product
	}
	if f.outcome == outMine {
		data["device_path"] = h.site.DevicesPath(r.Context(), f.record.DeviceID)
	}
	if f.outcome == outLocked {
		data["again"] = f.again
	}
	sdk.Render(w, r, sdk.View{Template: "claim_page", Title: "Add a device", Data: data, Status: f.outcome.status()})
}
