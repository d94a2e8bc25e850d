package ownership

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	perPage    = 25
	statesTime = 6 * time.Second // for the states of the devices of a page
	undoTime   = 24 * time.Hour  // for which a person's page offers to undo a detachment; a device's page always does
	onPerson   = 50              // devices of a page
	mostStates = 10              // products of one page whose devices' states are asked
)

// The states of a device on a page.
const (
	online  = "online"
	offline = "offline"
	missing = "missing" // not in its product any more
	unknown = "unknown" // Particle could not be asked
)

// deviceView is an attached device as pages see it.
type deviceView struct {
	Attachment
	Path       string     `json:"path"`
	WayTitle   string     `json:"way_title"`
	State      string     `json:"state"` // online, offline, missing, unknown; "" when it was not asked
	LastHeard  *time.Time `json:"last_heard"`
	DetachedAt *time.Time `json:"detached_at"`
	Person     string     `json:"person"`      // the customer's name
	PersonPath string     `json:"person_path"` // "" when Stranger: there is no such page
	Stranger   bool       `json:"stranger"`    // whose it is, is not on the list of customers (any more)
}

func devicePath(id string) string { return "/admin/customers/devices/" + id }

// noCustomer names whose account belongs to the staff by now, or is gone.
const noCustomer = "somebody who is no customer any more"

// viewOfHeld is viewOfDevice with the name of whom it is attached to, or was last.
func viewOfHeld(d *attachment, names map[int64]string) deviceView {
	person, listed := names[d.UserID]
	v := viewOfDevice(d, person)
	if !listed {
		v.Person, v.PersonPath, v.Stranger = noCustomer, "", true
	}
	return v
}

func viewOfDevice(d *attachment, person string) deviceView {
	return deviceView{Attachment: d.view(), Path: devicePath(d.DeviceID), WayTitle: wordsOf(d.Way).Short, DetachedAt: d.DetachedAt, Person: person,
		PersonPath: personPath(d.UserID) + "/devices"}
}

// addStates asks how devices are, and fills that in. The trouble is the first one met.
func (o *Ownership) addStates(ctx context.Context, views []deviceView) *trouble {
	ctx, cancel := context.WithTimeout(ctx, statesTime)
	defer cancel()
	ids, order := map[productKey][]string{}, []productKey{}
	for i := range views {
		views[i].State = unknown
		key := productKey{views[i].WorkspaceID, views[i].ProductID}
		if ids[key] == nil {
			order = append(order, key)
		}
		ids[key] = append(ids[key], views[i].DeviceID)
	}
	var first *trouble
	for n, key := range order {
		if n >= mostStates {
			break
		}
		states, err := o.cloudOf.States(ctx, productapi.Product{WorkspaceID: key.workspaceID, ProductID: key.productID}, ids[key])
		if err == nil && states.Stale {
			err = states.Why.Err("states")
		}
		if err != nil && first == nil {
			first = explain(err)
		}
		fillStates(views, states)
	}
	return first
}

func fillStates(views []deviceView, states productapi.States) {
	byID := make(map[string]*productapi.Device, len(states.Devices))
	for i := range states.Devices {
		byID[states.Devices[i].ID] = &states.Devices[i]
	}
	gone := map[string]bool{}
	for _, id := range states.Missing {
		gone[id] = true
	}
	for i := range views {
		v := &views[i]
		d := byID[v.DeviceID]
		switch {
		case gone[v.DeviceID]:
			v.State = missing
		case d == nil:
		case d.Online:
			v.State, v.LastHeard = online, d.LastHeard
		default:
			v.State, v.LastHeard = offline, d.LastHeard
		}
		if d != nil && d.Name != "" {
			v.Name = d.Name
		}
	}
}

// personOf finds the customer of the path, or answers.
func (o *Ownership) personOf(w http.ResponseWriter, r *http.Request) (people.Person, bool) {
	id, err := site.ID(r, "person")
	if err != nil {
		sdk.Fail(w, r, err)
		return people.Person{}, false
	}
	p, err := o.people.Get(r.Context(), id)
	if fault.Is(err, fault.NotFound) {
		err = site.ErrNotFound
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return people.Person{}, false
	}
	return p, true
}

// showPerson shows what a customer has.
func (o *Ownership) showPerson(w http.ResponseWriter, r *http.Request) {
	p, ok := o.personOf(w, r)
	if !ok {
		return
	}
	ctx := r.Context()
	page, _ := site.Page(r, onPerson)
	rows, total, err := o.records.pageOfPerson(ctx, p.ID, page, onPerson)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	granted, err := o.records.grantsOf(ctx, p.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	gone, err := o.records.justDetached(ctx, p.ID, o.site.Now().Add(-undoTime))
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	shadows, err := o.shadowViews(ctx, p.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := viewsOf(rows)
	var t *trouble
	if len(views) > 0 {
		t = o.addStates(ctx, views)
	}
	grants := make([]Grant, 0, len(granted))
	for i := range granted {
		grants = append(grants, granted[i].view())
	}
	sdk.Render(w, r, sdk.View{Template: "owner_person", Title: "Devices of " + p.Name, Breadcrumbs: people.Crumbs(p), Data: map[string]any{"person": people.View(p), "devices": views, "total": total,
		"page": page, "per_page": onPerson, "products": grants, "detached": viewsOf(gone), "shadows": shadows, "trouble": t, "path": personPath(p.ID),
		"may_attach": can(ctx, mayAttach), "may_configure": can(ctx, mayConfigure)}})
}

func viewsOf(rows []attachment) []deviceView {
	views := make([]deviceView, 0, len(rows))
	for i := range rows {
		views = append(views, viewOfDevice(&rows[i], ""))
	}
	return views
}

// detach takes devices, or with "product" a whole product, from a customer.
func (o *Ownership) detach(w http.ResponseWriter, r *http.Request) {
	p, ok := o.personOf(w, r)
	if !ok {
		return
	}
	back := personPath(p.ID) + "/devices"
	by := byOf(r.Context())
	if key, ok := productKeyOf(r.PostFormValue("product")); ok {
		var g Grant
		err := o.transaction(r.Context(), func(tx *gorm.DB) (err error) {
			g, err = o.UngrantIn(tx, p.ID, key.workspaceID, key.productID, by)
			return err
		})
		o.answer(w, r, err, back, "The product "+nameOf(g.Product, g.ProductID)+" is detached.")
		return
	}
	ids := r.PostForm["device"]
	if len(ids) == 0 || len(ids) > MostAtOnce {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Warn, Text: "Choose the devices to detach."})
		return
	}
	rows, err := o.detachThese(r.Context(), p.ID, ids, by)
	if err == nil && len(rows) == 0 {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Info, Text: "That was detached already."})
		return
	}
	o.answer(w, r, err, back, devicesAre(len(rows))+" detached. You can undo this below.")
}

// detachThese detaches those of some devices that are still attached to a person.
func (o *Ownership) detachThese(ctx context.Context, userID int64, ids []string, by history.Actor) (rows []attachment, err error) {
	err = o.transaction(ctx, func(tx *gorm.DB) error {
		known, err := o.knownIn(tx, normal(ids))
		if err != nil {
			return err
		}
		still := []string{}
		for _, id := range normal(ids) {
			d, ok := known[id]
			switch {
			case !ok || d.UserID != userID:
				return fault.New(fault.NotFound, "The device %s is not attached to this customer.", site.Readable(id, 60))
			case d.DetachedAt == nil:
				still = append(still, id)
			}
		}
		if len(still) == 0 {
			return nil
		}
		rows, err = o.detachAll(tx, userID, still, by)
		return err
	})
	if err == nil && len(rows) > 0 {
		o.AfterDetach(ctx, firstShadowed(rows).view())
	}
	return rows, err
}

// firstShadowed gives a row of the way shadow if there is one: there is something to do at Particle then.
func firstShadowed(rows []attachment) *attachment {
	for i := range rows {
		if shadowWay(rows[i].Way) {
			return &rows[i]
		}
	}
	return &rows[0]
}

func normal(ids []string) []string {
	list, seen := make([]string, 0, len(ids)), map[string]bool{}
	for _, id := range ids {
		if id = particle.NormalID(id); !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
	}
	return list
}

// answer ends a change: back to where it came from with a message, which is the fault's when it was refused for a reason that people can
// act on.
func (o *Ownership) answer(w http.ResponseWriter, r *http.Request, err error, back, done string) {
	var e *particle.Error
	switch {
	case err == nil:
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Good, Text: done})
	case fault.Is(err, fault.Conflict) && !errors.As(err, &e):
		message, _ := fault.Visible(err)
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Bad, Text: message})
	case fault.Is(err, fault.NotFound) && !errors.As(err, &e):
		sdk.Fail(w, r, site.ErrNotFound)
	case errors.As(err, &e):
		t := o.explainClient(err)
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Bad, Text: t.Sentence + " " + t.Remedy})
	default:
		sdk.Fail(w, r, err)
	}
}

// linesOf reads ids that were pasted: parted by line ends, blanks, commas or semicolons.
func linesOf(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' || c == ' ' || c == '\t' || c == ',' || c == ';' })
}
