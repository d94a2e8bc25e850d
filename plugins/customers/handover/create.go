package handover

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// newForm is what a person enters to make records.
type newForm struct {
	Lines    string   `json:"lines"`
	Ticked   []string `json:"ticked"`
	Job      string   `json:"job"`
	Note     string   `json:"note"`
	Assigned string   `json:"assigned"` // a user's number, or "" for nobody
	Keys     bool     `json:"keys"`     // make keys at once
	Days     string   `json:"days"`     // after which these expire; "" for never
	Once     string   `json:"once"`
}

// pick is a device of the product that can be ticked.
type pick struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Serial string `json:"serial"`
	Record string `json:"record"` // path of the record that it has already, or ""
}

// newRecords shows the products, or with ?product=1/12345 the form: ?q= part of a device's name or id, ?page=.
func (h *Handover) newRecords(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach) {
		return
	}
	if r.URL.Query().Get("product") == "" {
		products, err := h.fleet.Products(r.Context())
		trouble := ""
		if err != nil {
			trouble, products = sentenceOf(err), []productapi.ProductInfo{}
		}
		sdk.Render(w, r, sdk.View{Template: "record_new", Title: "Make device records", Breadcrumbs: []sdk.Link{recordsCrumb},
			Data: map[string]any{"products": products, "trouble": trouble, "product": nil}})
		return
	}
	h.renderNew(w, r, r.URL.Query().Get("product"), newForm{Ticked: []string{}, Keys: true, Once: site.Once()}, nil, "")
}

// sentenceOf is what a page says about a failure of the cloud, of organizations, or of the store.
func sentenceOf(err error) string {
	if particle.KindOf(err) == "" && (fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Denied)) {
		return "The module Organizations, which knows the products, does not run at the moment. See that it is enabled."
	}
	if message, visible := fault.Visible(err); visible {
		return message
	}
	return "The products cannot be read at the moment. The log says why."
}

// renderNew draws the form for one product.
func (h *Handover) renderNew(w http.ResponseWriter, r *http.Request, value string, f newForm, wrong sdk.Fields, trouble string) {
	p, err := h.product(r.Context(), value)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	page, _ := site.Page(r, perPage)
	text := site.Readable(r.URL.Query().Get("q"), 80)
	devices, err := h.fleet.Devices(r.Context(), productapi.DeviceQuery{Product: p.Product, Page: page, PerPage: 50, Search: text, Sort: productapi.SortName})
	picks := []pick{}
	if err != nil && trouble == "" {
		trouble = "The product's devices cannot be listed. " + sentenceOf(err)
	}
	if err == nil {
		if picks, err = h.picks(r.Context(), devices.Devices); err != nil {
			sdk.Fail(w, r, err)
			return
		}
	}
	installers, err := h.staff(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	v := sdk.View{Template: "record_new", Title: "Make device records", Breadcrumbs: []sdk.Link{recordsCrumb, {Title: "Make device records", Path: root + "/new"}}, FieldErrors: wrong,
		Data: map[string]any{"products": []any{}, "product": p, "value": value, "form": f, "picks": picks, "page": page, "pages": max(devices.Pages, 1), "q": text,
			"installers": installers, "trouble": trouble, "most": maxLines}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func (h *Handover) picks(ctx context.Context, devices []productapi.Device) ([]pick, error) {
	ids := make([]string, len(devices))
	for i := range devices {
		ids[i] = devices[i].ID
	}
	have, err := h.records.ofDevices(h.site.DB.WithContext(ctx), ids)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for i := range have {
		paths[have[i].DeviceID] = pathOf(have[i].ID)
	}
	list := make([]pick, 0, len(devices))
	for _, d := range devices {
		list = append(list, pick{d.ID, d.Name, d.Serial, paths[d.ID]})
	}
	return list, nil
}

// product finds a product of the workspaces by its value in a form. fault.NotFound for any other.
func (h *Handover) product(ctx context.Context, value string) (productapi.ProductInfo, error) {
	ws, id, ok := productOf(value)
	if !ok {
		return productapi.ProductInfo{}, site.ErrNotFound
	}
	products, err := h.fleet.Products(ctx)
	if err != nil {
		return productapi.ProductInfo{}, fault.New(fault.Unavailable, "%s", sentenceOf(err))
	}
	i := slices.IndexFunc(products, func(p productapi.ProductInfo) bool { return p.WorkspaceID == ws && p.ProductID == id })
	if i < 0 {
		return productapi.ProductInfo{}, site.ErrNotFound
	}
	return products[i], nil
}

func readNewForm(r *http.Request) newForm {
	_ = r.PostFormValue("once") // parses the form
	f := newForm{Lines: r.PostFormValue("lines"), Ticked: slices.Clone(r.PostForm["device"]), Job: site.Readable(r.PostFormValue("job"), 100), Note: site.ReadableLines(r.PostFormValue("note"), 1000),
		Assigned: site.Readable(r.PostFormValue("assigned"), 20), Keys: r.PostFormValue("keys") != "", Days: site.Readable(r.PostFormValue("days"), 20), Once: r.PostFormValue("once")}
	if len(f.Ticked) > maxLines {
		f.Ticked = f.Ticked[:maxLines]
	}
	if f.Ticked == nil {
		f.Ticked = []string{}
	}
	return f
}

// createRecords makes records of the lines that are right, and says of each other one what is wrong with it.
func (h *Handover) createRecords(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach) {
		return
	}
	ctx, f, value := r.Context(), readNewForm(r), r.PostFormValue("product")
	p, err := h.product(ctx, value)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if _, err := site.ReadOnce(r); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	lines, tooMany := readLines(f.Lines, f.Ticked)
	expires, wrongDays := h.readLife(r)
	assigned, wrong := h.installer(ctx, f.Assigned)
	if wrongDays != "" {
		wrong["days"] = wrongDays
	}
	switch {
	case len(lines) == 0:
		wrong["lines"] = "Paste at least one device id, or tick a device."
	case tooMany > 0:
		wrong["lines"] = fmt.Sprintf("At most %d devices at once; these are %d. Split the list.", maxLines, maxLines+tooMany)
	}
	if len(wrong) > 0 {
		h.renderNew(w, r, value, f, wrong, "")
		return
	}
	results, err := h.checkLines(ctx, p.Product, lines, f.Once)
	if err != nil {
		h.renderNew(w, r, value, f, sdk.Fields{"lines": "Nothing was made. " + sentenceOf(err)}, "")
		return
	}
	base := record{WorkspaceID: p.WorkspaceID, ProductID: p.ProductID, Product: site.Readable(p.Name, 200), Job: f.Job, Note: f.Note, AssignedTo: assigned, State: stateBench, Once: f.Once, Version: 1}
	if err := h.addRecords(ctx, base, results); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	keys := 0
	if f.Keys { // after the records: when it fails they are at the bench, and the list offers to make the keys
		if keys, err = h.makeKeys(ctx, filter{Once: f.Once}, expires); err != nil {
			sdk.Fail(w, r, err)
			return
		}
	}
	h.renderMade(w, r, p, f, results, keys)
}

// installer reads whose job it is to be: "" is nobody's. wrong is never nil.
func (h *Handover) installer(ctx context.Context, value string) (userID int64, wrong sdk.Fields) {
	if value == "" {
		return 0, sdk.Fields{}
	}
	id, err := strconv.ParseInt(value, 10, 64)
	if err == nil {
		var ids []int64
		if ids, err = h.records.installers(ctx); err == nil && slices.Contains(ids, id) {
			return id, sdk.Fields{}
		}
	}
	return 0, sdk.Fields{"assigned": "Choose somebody of the list. Who is missing has to open the page Device records once."}
}

// The results of a line.
const (
	lineMade     = "made"
	lineExists   = "exists"
	lineInvalid  = "invalid"
	lineMissing  = "missing"
	lineUnknown  = "unknown"
	lineAttached = "attached"
)

// result is what became of a line.
type result struct {
	Line     int    `json:"line"` // 0 for a box that was ticked
	DeviceID string `json:"device_id"`
	Name     string `json:"name"`
	Result   string `json:"result"`
	Sentence string `json:"sentence"`
	Path     string `json:"path"` // of the record, or ""

	serial string
	fresh  bool // to be written
}

// checkLines looks every device up: in the product, among the records, and among the customers' devices. once is the form's own word:
// what it has made before counts as made.
func (h *Handover) checkLines(ctx context.Context, p productapi.Product, lines []line, once string) ([]result, error) {
	ids := []string{}
	for _, l := range lines {
		if l.Wrong == "" {
			ids = append(ids, l.ID)
		}
	}
	devices, missing, have, holders := map[string]productapi.Device{}, map[string]bool{}, map[string]record{}, map[string]int64{}
	if len(ids) > 0 {
		states, err := h.fleet.States(ctx, p, ids)
		if err != nil {
			return nil, err
		}
		for _, d := range states.Devices {
			devices[d.ID] = d
		}
		for _, id := range states.Missing {
			missing[id] = true
		}
		list, err := h.records.ofDevices(h.site.DB.WithContext(ctx), ids)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			have[r.DeviceID] = r
		}
		if holders, err = h.owners.HoldersOf(ctx, ids); err != nil {
			return nil, err
		}
	}
	results := make([]result, 0, len(lines))
	for _, l := range lines {
		d, known := devices[l.ID]
		old, recorded := have[l.ID]
		r := result{Line: l.Number, DeviceID: l.ID, Name: l.Name, serial: l.Serial}
		if r.Name == "" {
			r.Name = site.Readable(d.Name, maxName)
		}
		if r.serial == "" {
			r.serial = site.Readable(d.Serial, maxSerial)
		}
		switch {
		case l.Wrong != "":
			r.Result, r.Sentence = lineInvalid, l.Wrong
		case recorded && old.Once == once:
			r.Result, r.Sentence, r.Path, r.Name = lineMade, "The record was made.", pathOf(old.ID), old.Name
		case recorded:
			r.Result, r.Sentence, r.Path = lineExists, "This device has a record already.", pathOf(old.ID)
		case missing[l.ID]:
			r.Result, r.Sentence = lineMissing, "The product has no such device. Add it to the product first, or choose the other product."
		case !known:
			r.Result, r.Sentence = lineUnknown, "Particle could not be asked about this device. Try this line again later."
		case holders[l.ID] != 0:
			r.Result, r.Sentence = lineAttached, "This device is attached to a customer already. Detach it first."
		default:
			r.Result, r.Sentence, r.fresh = lineMade, "The record was made.", true
		}
		results = append(results, r)
	}
	return results, nil
}

// addRecords writes the records of the lines that are new, and fills their paths in.
func (h *Handover) addRecords(ctx context.Context, base record, results []result) error {
	now, by := h.site.Now(), history.By(ctx)
	var fresh []record
	var at []int
	for i := range results {
		if r := &results[i]; r.fresh {
			rec := base
			rec.DeviceID, rec.Name, rec.Serial, rec.CreatedAt = r.DeviceID, r.Name, r.serial, now
			fresh, at = append(fresh, rec), append(at, i)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := h.transaction(ctx, func(tx *gorm.DB) error {
		ids := make([]string, len(fresh))
		for i := range fresh {
			ids[i] = fresh[i].DeviceID
		}
		have, err := h.records.ofDevices(tx, ids)
		if err != nil {
			return err
		}
		if len(have) > 0 { // somebody made them between the look-up and now
			return fault.New(fault.Conflict, "Somebody has made records of the same devices at this moment. Nothing was made; send the form again.")
		}
		if err := h.records.add(tx, fresh); err != nil {
			return err
		}
		entries := make([]history.Entry, 0, len(fresh))
		for i := range fresh {
			entries = append(entries, history.Entry{RecordID: fresh[i].ID, Kind: "record_made", Sentence: "The record was made.", At: now}.With(by))
		}
		return history.Add(tx, entries...)
	})
	for i, n := range at {
		results[n].Path = pathOf(fresh[i].ID)
	}
	return err
}

// renderMade reports what became of each line. The form's word finds the records again, so sending it twice gives the same page.
func (h *Handover) renderMade(w http.ResponseWriter, r *http.Request, p productapi.ProductInfo, f newForm, results []result, keys int) {
	made := 0
	for i := range results {
		if results[i].Result == lineMade {
			made++
		}
	}
	tone, text := sdk.Good, fmt.Sprintf("%d of %d records were made.", made, len(results))
	if made < len(results) {
		tone = sdk.Warn
	}
	// Those that need something come first.
	slices.SortStableFunc(results, func(a, b result) int {
		if (a.Result == lineMade) == (b.Result == lineMade) {
			return 0
		} else if a.Result == lineMade {
			return 1
		}
		return -1
	})
	sdk.Render(w, r, sdk.View{Template: "record_made", Title: "Records of " + p.Name, Breadcrumbs: []sdk.Link{recordsCrumb, {Title: "Make device records", Path: root + "/new"}},
		Message: &sdk.Message{Tone: tone, Text: text}, Data: map[string]any{"results": results, "made": made, "total": len(results), "keys": f.Keys, "keys_made": keys,
			"labels_path": root + "/labels?batch=" + f.Once, "list_path": root + "?batch=" + f.Once, "again_path": root + "/new?product=" + productValue(p.WorkspaceID, p.ProductID)}})
}
