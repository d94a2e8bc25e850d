package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/productapi"
)

// Owners is what this part needs of ownership.
type Owners interface {
	AttachIn(tx *gorm.DB, a ownership.Attach) (ownership.Attachment, error)
	DetachIn(tx *gorm.DB, deviceID string, userID int64, by history.Actor) (ownership.Attachment, error)
	AfterAttach(ctx context.Context, a ownership.Attachment)
	AfterDetach(ctx context.Context, a ownership.Attachment)
	// OfDevice tells whose a device is; fault.NotFound when it is nobody's.
	OfDevice(ctx context.Context, deviceID string) (ownership.Attachment, error)
	// HoldersOf tells which of up to 500 devices belong to whom; those that are nobody's are left out.
	HoldersOf(ctx context.Context, deviceIDs []string) (map[string]int64, error)
	// ClaimCode makes a code with which a device claims itself for the person of ctx.
	ClaimCode(ctx context.Context, userID, workspaceID int64, productID string) (ownership.Claim, error)
	// Shadows lists the shadow customers of a person, as JSON with workspace_id, product_id and username.
	Shadows(ctx context.Context, userID int64) (any, error)
}

// People is what this part needs of the list of customers.
type People interface {
	// Get finds a customer, and puts a newcomer on the list; fault.NotFound for who is none.
	Get(ctx context.Context, id int64) (people.Person, error)
	// Ensure finds the customer with an address or makes one, and invites who has no password.
	Ensure(ctx context.Context, name, email string, invite bool) (p people.Person, created bool, err error)
}

// The permissions of the module that decide here.
const (
	mayOwn     = "customers.own"
	mayView    = "customers.view"
	mayAttach  = "customers.attach"
	mayInstall = "customers.install"
)

// claimKey is the name of sealed values, as in module.yaml.
const claimKey = "claimkey"

// Handover is this part of the module.
type Handover struct {
	site    *site.Site
	owners  Owners
	people  People
	fleet   productapi.Client
	records *records
}

// New makes the part.
func New(s *site.Site, o Owners, p People) *Handover {
	return &Handover{site: s, owners: o, people: p, fleet: productapi.Client{Call: s.Host.Call}, records: &records{db: s.DB}}
}

const (
	root      = "/admin/customers/records"
	claimPath = "/customers/claim"
	setupPath = "/customers/setup"
)

// Routes adds the pages.
func (h *Handover) Routes(mux *http.ServeMux) {
	const one = root + "/{record}"
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET " + root:             h.list,
		"GET " + root + "/new":    h.newRecords,
		"POST " + root + "/new":   h.createRecords,
		"GET " + root + "/labels": h.labels,
		"POST " + root + "/keys":  h.makeMissingKeys,
		"GET " + one:              h.show,
		"POST " + one:             h.change,
		"POST " + one + "/key":    h.changeKey,
		"GET " + one + "/qr.svg":  h.drawQR,
		"POST " + one + "/mail":   h.mail,
		"POST " + one + "/take":   h.take,
		"GET " + one + "/assign":  h.chooseCustomer,
		"POST " + one + "/assign": h.assign,
		"POST " + one + "/undo":   h.undo,
		"GET " + one + "/delete":  h.confirmDelete,
		"POST " + one + "/delete": h.delete,
		"GET " + claimPath:        h.showClaim,
		"POST " + claimPath:       h.claim,
		"GET " + setupPath:        h.showSetup,
		"POST " + setupPath:       h.makeCode,
	} {
		mux.HandleFunc(pattern, handler)
	}
}

// MoveIn takes the records of a product to another workspace, in the transaction that moves whose the devices are.
func (h *Handover) MoveIn(tx *gorm.DB, from, to int64, productID string) error {
	return h.records.moveProduct(tx, from, to, productID)
}

// Deliver follows what happens to devices and people elsewhere. Repeating it does no harm.
func (h *Handover) Deliver(ctx context.Context, event sdk.Event) error {
	switch event.Name {
	case attachapi.DeviceAttached, attachapi.DeviceDetached:
		var fact attachapi.DeviceFact
		if err := json.Unmarshal(event.Payload, &fact); err != nil {
			return fmt.Errorf("read the payload of %s: %w", event.Name, err)
		}
		return h.follow(ctx, fact.DeviceID)
	case "user.erase_requested", "user.deleted":
		id, ok := site.PersonOf(event)
		if !ok {
			return fault.New(fault.Invalid, "%s is about %q; expected user/<number>", event.Name, event.Subject)
		}
		return h.transaction(ctx, func(tx *gorm.DB) error { return h.records.leave(tx, id) })
	}
	return nil
}

// follow brings a record into line with whose its device is now.
func (h *Handover) follow(ctx context.Context, deviceID string) error {
	r, err := h.records.ofDevice(h.site.DB.WithContext(ctx), deviceID)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := h.owners.OfDevice(ctx, deviceID) // after the record was read: what has changed since has another version
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if a.UserID == r.UserID {
		return nil
	}
	now := h.site.Now()
	columns, entry := map[string]any{"user_id": a.UserID, "claimed_at": now, "state": stateClaimed}, history.Entry{UserID: a.UserID, RecordID: r.ID, Kind: "record_attached", Sentence: "The device was attached to a customer."}
	switch {
	case a.UserID == 0:
		columns["state"], columns["claimed_at"] = stateBench, nil
		entry.Kind, entry.Sentence = "record_detached", "The device is nobody's any more. It needs a new key."
	case r.UserID != 0:
		columns["state"] = stateTransferred
		entry.Kind, entry.Sentence = "record_transferred", "The device was given to another customer."
	}
	err = h.transaction(ctx, func(tx *gorm.DB) error {
		ok, err := h.records.set(tx, r, columns)
		if err == nil && !ok {
			err = fault.New(fault.Conflict, "the record %d has changed meanwhile; the fact must come again", r.ID)
		}
		if err == nil {
			err = h.records.endKeys(tx, []int64{r.ID}, keyUsed, now)
		}
		if err == nil {
			err = history.Add(tx, entry)
		}
		return err
	})
	h.eraseEnded(ctx, r.ID)
	return err
}

// Run does this part's share of a job.
func (h *Handover) Run(ctx context.Context, job string) (mine bool, err error) {
	switch job {
	case "resume":
		return true, h.sweep(ctx)
	case "retention":
		return true, h.records.forgetTries(ctx, h.site.Now().Add(-24*time.Hour))
	}
	return false, nil
}

// Check tells when somebody seems to guess keys.
func (h *Handover) Check(ctx context.Context) ([]sdk.Finding, error) {
	n, err := h.records.tries(h.site.DB.WithContext(ctx), 0, tryGuess, h.site.Now().Add(-guessTime))
	if err != nil || n < sitesGuesses {
		return nil, err
	}
	return []sdk.Finding{{Level: sdk.LevelWarning, Title: fmt.Sprintf("%d wrong claim keys were entered within an hour.", n),
		Remedy: "Until there are fewer, each person may be wrong only three times. Look for accounts that were registered lately, and block those that you do not know.",
		Link:   "/admin/customers?sort=-created"}}, nil
}

func (h *Handover) transaction(ctx context.Context, do func(tx *gorm.DB) error) error {
	return h.site.DB.WithContext(ctx).Transaction(do)
}

// only is whose jobs the visitor may see: for an installer the own ones, 0 for all.
func only(r *http.Request) int64 {
	if user := sdk.UserFrom(r.Context()); !user.Can(mayAttach) {
		return user.UserID
	}
	return 0
}

// may refuses who has not one of the permissions. What is refused was not looked up.
func may(w http.ResponseWriter, r *http.Request, permissions ...string) bool {
	user := sdk.UserFrom(r.Context())
	for _, p := range permissions {
		if user.SignedIn() && user.Can(p) {
			return true
		}
	}
	sdk.Fail(w, r, fault.New(fault.Denied, "You may not do this. An administrator can give you the permission."))
	return false
}

// recordOf finds the record of the path among those that the visitor may see. It has answered when ok is false.
func (h *Handover) recordOf(w http.ResponseWriter, r *http.Request) (rec *record, ok bool) {
	if !may(w, r, mayAttach, mayInstall) {
		return nil, false
	}
	id, err := site.ID(r, "record")
	if err == nil {
		rec, err = h.records.one(r.Context(), id, only(r))
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return rec, true
}
