package ownership

import (
	"errors"
	"net/http"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// attachForm is what was entered.
type attachForm struct {
	Product string   `json:"product"` // "workspace/product"
	Query   string   `json:"q"`
	Page    int      `json:"page"`
	Chosen  []string `json:"chosen"` // ids that were ticked
	IDs     string   `json:"ids"`    // ids that were pasted
	Whole   bool     `json:"whole"`  // the person is to have the whole product
}

// candidate is a device of a product that can be attached, or belongs to somebody already.
type candidate struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Online     bool   `json:"online"`
	Owner      string `json:"owner"`  // at Particle
	Holder     string `json:"holder"` // the customer to whom it is attached; "" for nobody
	HolderPath string `json:"holder_path"`
	Mine       bool   `json:"mine"` // attached to this very person
	Chosen     bool   `json:"chosen"`
}

func readAttachForm(r *http.Request) attachForm {
	page, _ := site.Page(r, perPage)
	f := attachForm{Product: r.FormValue("product"), Query: site.Readable(r.FormValue("q"), 80), Page: page, IDs: r.PostFormValue("ids"), Whole: r.PostFormValue("action") == "product"}
	for _, id := range r.PostForm["device"] {
		if len(f.Chosen) < MostAtOnce {
			f.Chosen = append(f.Chosen, site.Readable(id, 60))
		}
	}
	return f
}

// showAttach shows the devices of a product to choose from.
func (o *Ownership) showAttach(w http.ResponseWriter, r *http.Request) {
	if p, ok := o.personOf(w, r); ok {
		o.renderAttach(w, r, p, readAttachForm(r), nil, nil)
	}
}

// chosenProduct finds the product of a form; without one the default product, or the only one.
func chosenProduct(list []Product, wanted string) (Product, bool) {
	key, ok := productKeyOf(wanted)
	for _, p := range list {
		if ok && p.WorkspaceID == key.workspaceID && p.ProductID == key.productID && p.Known {
			return p, true
		}
	}
	if wanted != "" {
		return Product{}, false
	}
	for _, p := range list {
		if p.Known && (p.Default || len(list) == 1) {
			return p, true
		}
	}
	return Product{}, false
}

func (o *Ownership) renderAttach(w http.ResponseWriter, r *http.Request, person people.Person, f attachForm, wrong sdk.Fields, failed error) {
	ctx := r.Context()
	list, err := o.Products(ctx)
	if err != nil && !reachable(err) {
		sdk.Fail(w, r, err)
		return
	}
	t := troubleOf(err)
	options := []map[string]string{}
	for _, p := range list {
		if p.Known {
			options = append(options, map[string]string{"value": clientKey(p.WorkspaceID, p.ProductID), "label": p.Name + " (" + p.Workspace + ")"})
		}
	}
	data := map[string]any{"person": people.View(person), "path": personPath(person.ID), "options": options, "form": f, "devices": []candidate{}, "pages": 1, "product": nil, "most": MostAtOnce, "granted_name": ""}
	if p, ok := chosenProduct(list, f.Product); ok && t == nil {
		f.Product = clientKey(p.WorkspaceID, p.ProductID)
		data["product"], data["form"], data["way"] = viewOf(p), f, wordsOf(p.Way)
		if p.GrantedTo != 0 && p.GrantedTo != person.ID {
			if names, err := o.records.names(ctx, []int64{p.GrantedTo}); err == nil {
				data["granted_name"] = nameOf(names[p.GrantedTo], "another customer")
			}
		}
		found, pages, err := o.candidates(r, p, person.ID, f)
		if err != nil && !reachable(err) {
			sdk.Fail(w, r, err)
			return
		}
		data["devices"], data["pages"], t = found, pages, troubleOf(err)
	}
	v := sdk.View{Template: "owner_attach", Title: "Attach devices to " + person.Name, Breadcrumbs: append(people.Crumbs(person), sdk.Link{Title: "Devices", Path: personPath(person.ID) + "/devices"}), FieldErrors: wrong}
	switch {
	case failed != nil:
		t = refusal(failed)
		v.Status = t.fault.Status()
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	data["trouble"] = t
	v.Data = data
	sdk.Render(w, r, v)
}

// refusal explains why nothing was attached: in the words of the error, unless it is about the way to Particle.
func refusal(err error) *trouble {
	kind := fault.KindOf(err)
	if message, ok := fault.Visible(err); ok && particle.KindOf(err) == "" && (kind == fault.Conflict || kind == fault.NotFound) {
		return &trouble{Kind: kind.String(), Sentence: message, fault: kind}
	}
	return explain(err)
}

// candidates lists a page of the devices of a product, marking whose they are.
func (o *Ownership) candidates(r *http.Request, p Product, userID int64, f attachForm) ([]candidate, int, error) {
	q := productapi.DeviceQuery{Product: productapi.Product{WorkspaceID: p.WorkspaceID, ProductID: p.ProductID}, Page: f.Page, PerPage: perPage, Search: f.Query, Sort: productapi.SortName}
	page, err := o.cloudOf.Devices(r.Context(), q)
	if err != nil {
		return []candidate{}, 1, err
	}
	ids := make([]string, 0, len(page.Devices))
	for _, d := range page.Devices {
		ids = append(ids, d.ID)
	}
	held, err := o.records.holders(r.Context(), ids)
	if err != nil {
		return nil, 1, err
	}
	chosen := map[string]bool{}
	for _, id := range f.Chosen {
		chosen[id] = true
	}
	list := make([]candidate, 0, len(ids))
	for _, d := range page.Devices {
		c := candidate{ID: d.ID, Name: d.Name, Online: d.Online, Owner: d.Owner, Chosen: chosen[d.ID]}
		if h, ok := held[d.ID]; ok {
			c.Mine, c.Holder, c.HolderPath = h.Row.UserID == userID, nameOf(h.Person, "another customer"), personPath(h.Row.UserID)+"/devices"
		}
		list = append(list, c)
	}
	return list, max(page.Pages, 1), nil
}

// attach attaches the chosen devices, or the whole product.
func (o *Ownership) attach(w http.ResponseWriter, r *http.Request) {
	person, ok := o.personOf(w, r)
	if !ok {
		return
	}
	f := readAttachForm(r)
	key, ok := productKeyOf(f.Product)
	if !ok {
		o.renderAttach(w, r, person, f, sdk.Fields{"product": "choose a product"}, nil)
		return
	}
	p, err := o.Product(r.Context(), key.workspaceID, key.productID)
	if err != nil || !p.Known {
		if err == nil || fault.Is(err, fault.NotFound) {
			err = fault.New(fault.NotFound, "Organizations does not know this product (any more). Nothing was attached.")
		}
		o.renderAttach(w, r, person, f, nil, err)
		return
	}
	if f.Whole {
		o.attachWhole(w, r, person, p, f)
		return
	}
	ids := append(linesOf(f.IDs), f.Chosen...)
	if len(ids) == 0 {
		o.renderAttach(w, r, person, f, sdk.Fields{"device": "choose at least one device"}, nil)
		return
	}
	n, err := o.AttachMany(r.Context(), Many{UserID: person.ID, WorkspaceID: p.WorkspaceID, ProductID: p.ProductID, Product: p.Name, DeviceIDs: ids, By: byOf(r.Context())})
	if err != nil {
		o.attachFailed(w, r, person, f, err)
		return
	}
	text := devicesAre(n) + " attached to " + person.Name + "."
	if n == 0 {
		text = "Everything was attached already."
	}
	sdk.Redirect(w, r, personPath(person.ID)+"/devices", sdk.Message{Tone: sdk.Good, Text: text})
}

func (o *Ownership) attachFailed(w http.ResponseWriter, r *http.Request, person people.Person, f attachForm, err error) {
	var e *particle.Error
	switch {
	case fault.Is(err, fault.Internal):
		sdk.Fail(w, r, err)
	case fault.Is(err, fault.Invalid) && !errors.As(err, &e):
		message, _ := fault.Visible(err)
		field := "ids"
		if f.IDs == "" {
			field = "device"
		}
		o.renderAttach(w, r, person, f, sdk.Fields{field: message}, nil)
	default:
		o.renderAttach(w, r, person, f, nil, err)
	}
}

func (o *Ownership) attachWhole(w http.ResponseWriter, r *http.Request, person people.Person, p Product, f attachForm) {
	if r.PostFormValue("confirm") == "" {
		o.renderAttach(w, r, person, f, sdk.Fields{"confirm": "confirm that the customer is to have all devices of the product, also those that come later"}, nil)
		return
	}
	err := o.transaction(r.Context(), func(tx *gorm.DB) error {
		return o.GrantIn(tx, person.ID, p.WorkspaceID, p.ProductID, p.Name, byOf(r.Context()))
	})
	if err != nil {
		o.attachFailed(w, r, person, f, err)
		return
	}
	sdk.Redirect(w, r, personPath(person.ID)+"/devices", sdk.Message{Tone: sdk.Good, Text: person.Name + " has all devices of " + p.Name + " now."})
}
