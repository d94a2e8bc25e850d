package handover

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	netmail "net/mail"
	"strings"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

const (
	mailTime = time.Hour
	maxMails = 60 // of one person within mailTime
)

// mail sends the claim link of a record to an address. Sending it again does no harm: the key works once.
func (h *Handover) mail(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok || !h.unchanged(w, r, rec) {
		return
	}
	address := strings.TrimSpace(r.PostFormValue("email"))
	if parsed, err := netmail.ParseAddress(address); err != nil || len(address) > 254 || parsed.Address != address || parsed.Name != "" {
		h.renderRecord(w, r, rec, recordForm{}, sdk.Fields{"email": "Expected an e-mail address, such as ann@example.com."})
		return
	}
	k, err := h.keyOfRecord(r.Context(), rec)
	if fault.Is(err, fault.Conflict) {
		err = errNotReady
	}
	if err == nil {
		err = h.count(r.Context(), tryMail, maxMails, mailTime, "You have mailed many links within an hour. Wait a while.")
	}
	if err == nil {
		err = h.site.Host.Mail(r.Context(), sdk.Mail{To: address, Subject: site.Subject("Your device from " + h.site.Host.Site().Name), Text: h.letter(rec, k)})
	}
	if err == nil {
		err = history.Add(h.site.DB.WithContext(r.Context()), history.Entry{RecordID: rec.ID, Kind: "key_mailed", Sentence: "The claim link was mailed.", At: h.site.Now()}.With(history.By(r.Context())))
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Good, Text: "The link is on its way to " + address + "."})
}

func (h *Handover) letter(rec *record, k key) string {
	host, path := h.typed()
	return fmt.Sprintf(`Hello,

your device "%s" is waiting for you at %s.

Open this address, sign in or register, and add it to your devices:

  %s

Or open %s and type this key:

  %s

It works once. Keep this mail to yourself until then: whoever uses it first has the device.
`, title(rec), h.site.Host.Site().Name, h.linkTo(k), host+path, k)
}

// count counts one of the things that the person of ctx may do only so often.
func (h *Handover) count(ctx context.Context, kind string, most int64, within time.Duration, sentence string) error {
	now, userID := h.site.Now(), sdk.UserFrom(ctx).UserID
	return h.transaction(ctx, func(tx *gorm.DB) error {
		n, err := h.records.tries(tx, userID, kind, now.Add(-within))
		if err != nil {
			return err
		}
		if n >= most {
			return fault.New(fault.TooMany, "%s", sentence)
		}
		return h.records.note(tx, try{UserID: userID, Kind: kind, Hash: rand.Text(), At: now})
	})
}
