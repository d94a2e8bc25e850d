package ownership

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"time"
	"unicode/utf8"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	resetLife  = time.Hour
	resetMost  = 3  // mails to one customer within an hour
	resetTries = 10 // of one key at Particle
)

func (o *Ownership) confirmReset(w http.ResponseWriter, r *http.Request) {
	if p, username, ok := o.customerOf(w, r); ok {
		o.renderReset(w, r, p, username)
	}
}

func (o *Ownership) renderReset(w http.ResponseWriter, r *http.Request, p Product, username string) {
	if !looksLikeAddress(username) || opaqueName.MatchString(username) {
		sdk.Fail(w, r, fault.New(fault.Conflict, "This customer's name is not an address, so no mail can be sent. A shadow customer has no password at all."))
		return
	}
	o.renderCustomer(w, r, "owner_customer_reset", "Let a customer choose a new password", p, username, nil)
}

// sendReset mails a link with which a customer at Particle chooses a new password.
func (o *Ownership) sendReset(w http.ResponseWriter, r *http.Request) {
	p, username, ok := o.customerOf(w, r)
	if !ok {
		return
	}
	if !looksLikeAddress(username) || opaqueName.MatchString(username) {
		o.renderReset(w, r, p, username)
		return
	}
	err := o.mailReset(r.Context(), p, username)
	switch {
	case fault.Is(err, fault.TooMany):
		sdk.Redirect(w, r, particlePath(p), sdk.Message{Tone: sdk.Warn, Text: "Too many mails were sent. Wait a while and try again; at most three go to one customer within an hour."})
	case err != nil:
		sdk.Fail(w, r, err)
	default:
		sdk.Redirect(w, r, particlePath(p), sdk.Message{Tone: sdk.Good, Text: "A mail is on its way. Its link is good for one hour and for one change."})
	}
}

func (o *Ownership) mailReset(ctx context.Context, p Product, username string) error {
	n, err := o.records.countResets(ctx, p.WorkspaceID, p.ProductID, username)
	if err != nil {
		return err
	}
	if n >= resetMost {
		return fault.New(fault.TooMany, "Too many mails were sent to this customer.")
	}
	key := rand.Text()
	now := o.site.Now()
	row := reset{Hash: hashOf(key), WorkspaceID: p.WorkspaceID, ProductID: p.ProductID, Product: p.Name, Username: username, CreatedAt: now, ExpiresAt: now.Add(resetLife)}
	if err := o.records.saveReset(ctx, &row); err != nil {
		return err
	}
	at, name := o.site.Host.Site(), site.Readable(p.Name, 100)
	text := "Hello,\n\nwith this link you choose a new password for your account with " + name + ":\n\n" + at.PublicURL + "/customers/password?key=" + url.QueryEscape(key) +
		"\n\nIt is good for one hour and for one change. If you did not ask for this, do nothing: your password stays as it is.\n\n" + at.Name + "\n"
	return o.site.Host.Mail(ctx, sdk.Mail{To: username, Subject: site.Subject("Choose a new password for " + name), Text: text})
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

var resetKey = regexp.MustCompile(`^[A-Z2-7]{20,40}$`)

// resetOf finds what a key is for. Wrong keys are counted.
func (o *Ownership) resetOf(r *http.Request) (*reset, string, error) {
	key := r.FormValue("key")
	if !resetKey.MatchString(key) {
		return nil, "", o.wrongKey(errNoReset())
	}
	row, err := o.records.reset(r.Context(), hashOf(key))
	if fault.Is(err, fault.NotFound) {
		err = o.wrongKey(err)
	}
	return row, key, err
}

func (o *Ownership) wrongKey(err error) error {
	if o.guesses.wrong(o.site.Now()) {
		return fault.New(fault.TooMany, "Too many wrong links were opened. Wait ten minutes and try again.")
	}
	return err
}

// showPassword is public: whoever has the key may choose the password.
func (o *Ownership) showPassword(w http.ResponseWriter, r *http.Request) {
	row, key, err := o.resetOf(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	o.renderPassword(w, r, row, key, nil, nil)
}

func (o *Ownership) renderPassword(w http.ResponseWriter, r *http.Request, row *reset, key string, wrong sdk.Fields, t *trouble) {
	v := sdk.View{Template: "owner_password", Title: "Choose a new password", FieldErrors: wrong,
		Data: map[string]any{"product": nameOf(row.Product, row.ProductID), "key": key, "expires_at": row.ExpiresAt, "trouble": t, "done": false}}
	switch {
	case t != nil:
		v.Status = t.fault.Status()
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// choosePassword passes the new password on to Particle. It is kept nowhere.
func (o *Ownership) choosePassword(w http.ResponseWriter, r *http.Request) {
	row, key, err := o.resetOf(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	password := r.PostFormValue("password")
	wrong := sdk.Fields{}
	if n := utf8.RuneCountInString(password); n < 8 || n > 200 {
		wrong["password"] = "choose 8 to 200 characters"
	} else if r.PostFormValue("again") != password {
		wrong["again"] = "this is not the same"
	}
	if row.Tries >= resetTries {
		wrong["password"] = "this link was tried too often; ask for a new one"
	}
	if len(wrong) > 0 {
		o.renderPassword(w, r, row, key, wrong, nil)
		return
	}
	ctx := withoutCancel(r)
	if err := o.records.useReset(ctx, row.ID); err != nil { // from here on nobody else can use it
		sdk.Fail(w, r, err)
		return
	}
	err = o.cloudOf.SetCustomerPassword(ctx, productapi.Product{WorkspaceID: row.WorkspaceID, ProductID: row.ProductID}, row.Username, password)
	if err == nil {
		o.site.Host.Log().Info("a customer at Particle has a new password", "product", row.ProductID)
		sdk.Render(w, r, sdk.View{Template: "owner_password", Title: "Your password is changed",
			Data: map[string]any{"product": nameOf(row.Product, row.ProductID), "key": "", "expires_at": row.ExpiresAt, "trouble": nil, "done": true}})
		return
	}
	if err := o.records.returnReset(ctx, row.ID); err != nil {
		o.site.Host.Log().Warn("a link for a password could not be made good again", "error", err)
	}
	o.site.Host.Log().Info("a password was not changed at Particle", "product", row.ProductID, "reason", string(particle.KindOf(err)))
	o.renderPassword(w, r, row, key, nil, passwordTrouble(err))
}

// passwordTrouble says to a visitor why it did not work, without the maker's business.
func passwordTrouble(err error) *trouble {
	t := &trouble{Kind: string(particle.KindOf(err)), Sentence: "The password could not be changed just now.", Remedy: "Try again in a few minutes; the link is good until its hour is over.", fault: fault.Unavailable}
	switch {
	case particle.IsGone(err):
		t.Sentence, t.Remedy, t.fault = "This account does not exist any more.", "Ask whoever sent you the link.", fault.Conflict
	case particle.Is(err, particle.Invalid):
		t.Sentence, t.Remedy, t.fault = "Particle does not accept this password.", "Choose another one, longer and without unusual characters.", fault.Invalid
	}
	return t
}

// withoutCancel is the request's context for what must not be left half done when the visitor leaves.
func withoutCancel(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }
