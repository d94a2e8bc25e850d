package ownership

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/mail"
	"regexp"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/productapi"
)

const (
	customersPage = 50
	compareMost   = 50 // pages of 100 customers that are read to find who is missing at Particle
	compareShown  = 200
)

// particleCustomer is a customer of a product at Particle, and who that is here.
type particleCustomer struct {
	Username   string `json:"username"`
	Devices    int    `json:"devices"`
	Is         string `json:"is"` // shadow, person, stranger (an address nobody has here), other
	Person     string `json:"person"`
	PersonPath string `json:"person_path"`
	NewPath    string `json:"new_path"` // where the stranger can be added
	ResetPath  string `json:"reset_path"`
	DeletePath string `json:"delete_path"`
}

// customerKey stands for a user name in a path: paths are logged, and a user name may be an address.
func customerKey(username string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(username)))
	return hex.EncodeToString(sum[:16])
}

func looksLikeAddress(username string) bool {
	a, err := mail.ParseAddress(username)
	return err == nil && a.Address == username && len(username) <= 254
}

func refOf(p Product) productapi.Product {
	return productapi.Product{WorkspaceID: p.WorkspaceID, ProductID: p.ProductID}
}

// listAtParticle lists the customers that Particle has of a product, and with ?view=missing the shadow customers that it does not list.
func (o *Ownership) listAtParticle(w http.ResponseWriter, r *http.Request) {
	p, t, ok := o.productOf(w, r)
	if !ok {
		return
	}
	page, _ := site.Page(r, customersPage)
	data := map[string]any{"product": viewOf(p), "customers": []particleCustomer{}, "missing": []shadowView{}, "page": page, "pages": 1, "view": "", "complete": true, "trouble": t}
	var err error
	switch {
	case t != nil:
	case r.URL.Query().Get("view") == "missing":
		data["view"] = "missing"
		data["missing"], data["complete"], err = o.missingAtParticle(r.Context(), p)
	default:
		data["customers"], data["pages"], err = o.customersAtParticle(r.Context(), p, page)
	}
	if err != nil {
		if !reachable(err) {
			sdk.Fail(w, r, err)
			return
		}
		data["trouble"] = explain(err)
	}
	sdk.Render(w, r, sdk.View{Template: "owner_particle", Title: "Customers of " + p.Name + " at Particle", Data: data,
		Breadcrumbs: []sdk.Link{people.Top, productsCrumb, {Title: p.Name, Path: productPath(p.WorkspaceID, p.ProductID)}}})
}

func (o *Ownership) customersAtParticle(ctx context.Context, p Product, page int) ([]particleCustomer, int, error) {
	list := []particleCustomer{}
	got, err := o.cloudOf.Customers(ctx, productapi.CustomerQuery{Product: refOf(p), Page: page, PerPage: customersPage})
	if err != nil {
		return list, 1, err
	}
	names := make([]string, 0, len(got.Customers))
	for _, c := range got.Customers {
		names = append(names, strings.ToLower(c.Username))
	}
	shadows, err := o.records.shadowNames(ctx, p.WorkspaceID, p.ProductID, names)
	if err != nil {
		return nil, 1, err
	}
	known, err := o.records.byAddress(ctx, names)
	if err != nil {
		return nil, 1, err
	}
	ids := make([]int64, 0, len(shadows))
	for _, id := range shadows {
		ids = append(ids, id)
	}
	called, err := o.records.names(ctx, ids)
	if err != nil {
		return nil, 1, err
	}
	for _, c := range got.Customers {
		username := strings.ToLower(c.Username)
		path := productPath(p.WorkspaceID, p.ProductID) + "/particle/" + customerKey(username)
		one := particleCustomer{Username: username, Devices: max(c.DeviceCount, len(c.Devices)), Is: "other", DeletePath: path + "/delete"}
		if looksLikeAddress(username) {
			one.Is, one.NewPath, one.ResetPath = "stranger", "/admin/customers/new", path+"/reset"
		}
		if person, ok := known[username]; ok {
			one.Is, one.Person, one.PersonPath, one.NewPath = "person", person.Name, people.PathOf(person.UserID), ""
		}
		if id, ok := shadows[username]; ok {
			one.Is, one.Person, one.PersonPath, one.NewPath, one.ResetPath, one.DeletePath = "shadow", nameOf(called[id], "a former customer"), personPath(id)+"/devices", "", "", ""
		} else if opaqueName.MatchString(username) {
			one.Is, one.NewPath, one.ResetPath = "other", "", "" // a shadow customer that nobody here has
		}
		list = append(list, one)
	}
	return list, max(got.Pages, 1), nil
}

// opaqueName has the shape of what newUsername makes, here or at another site.
var opaqueName = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@`)

// missingAtParticle lists the shadow customers that should be in Particle's list and are not. Particle may leave out who has no device there.
func (o *Ownership) missingAtParticle(ctx context.Context, p Product) (list []shadowView, complete bool, err error) {
	list = []shadowView{}
	listed := map[string]bool{}
	pages := 1
	for n := 1; n <= pages && n <= compareMost; n++ {
		got, err := o.cloudOf.Customers(ctx, productapi.CustomerQuery{Product: refOf(p), Page: n, PerPage: productapi.MaxPerPage})
		if err != nil {
			return list, false, err
		}
		for _, c := range got.Customers {
			listed[strings.ToLower(c.Username)] = true
		}
		pages = got.Pages
	}
	rows, err := o.records.shadowsOfProduct(o.site.DB.WithContext(ctx), p.WorkspaceID, p.ProductID)
	if err != nil {
		return list, false, err
	}
	ids, missing := []int64{}, []shadow{}
	for _, s := range rows {
		if !listed[s.Username] && len(missing) < compareShown {
			ids, missing = append(ids, s.UserID), append(missing, s)
		}
	}
	names, err := o.records.names(ctx, ids)
	if err != nil {
		return list, false, err
	}
	for _, s := range missing {
		list = append(list, shadowView{Username: s.Username, State: s.State, Problem: s.Problem, CreatedAt: s.CreatedAt, TokenAt: s.TokenAt, ExpiresAt: s.ExpiresAt,
			Product: nameOf(names[s.UserID], "a former customer"), Key: personPath(s.UserID) + "/devices"})
	}
	return list, pages <= compareMost, nil
}

// customerOf reads the customer of the path, whose name comes with the form or the query and has to fit it.
func (o *Ownership) customerOf(w http.ResponseWriter, r *http.Request) (Product, string, bool) {
	username := strings.ToLower(strings.TrimSpace(r.FormValue("username")))
	if username == "" || len(username) > 254 || customerKey(username) != r.PathValue("customer") {
		sdk.Fail(w, r, site.ErrNotFound)
		return Product{}, "", false
	}
	p, t, ok := o.productOf(w, r)
	if ok && t != nil {
		sdk.Fail(w, r, t.err())
		return p, "", false
	}
	return p, username, ok
}

func (o *Ownership) renderCustomer(w http.ResponseWriter, r *http.Request, template, title string, p Product, username string, wrong sdk.Fields) {
	v := sdk.View{Template: template, Title: title, FieldErrors: wrong, Data: map[string]any{"product": viewOf(p), "username": username, "once": site.Once(), "back": particlePath(p)},
		Breadcrumbs: []sdk.Link{people.Top, productsCrumb, {Title: p.Name, Path: productPath(p.WorkspaceID, p.ProductID)}, {Title: "Customers at Particle", Path: particlePath(p)}}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func particlePath(p Product) string { return productPath(p.WorkspaceID, p.ProductID) + "/particle" }

func (o *Ownership) confirmDelete(w http.ResponseWriter, r *http.Request) {
	if p, username, ok := o.customerOf(w, r); ok {
		o.renderCustomer(w, r, "owner_customer_delete", "Delete a customer at Particle", p, username, nil)
	}
}

// deleteCustomer deletes a customer at Particle that is nobody's shadow.
func (o *Ownership) deleteCustomer(w http.ResponseWriter, r *http.Request) {
	p, username, ok := o.customerOf(w, r)
	if !ok {
		return
	}
	if strings.ToLower(strings.TrimSpace(r.PostFormValue("confirm"))) != username {
		o.renderCustomer(w, r, "owner_customer_delete", "Delete a customer at Particle", p, username, sdk.Fields{"confirm": "type the name exactly as it is shown"})
		return
	}
	once, err := site.ReadOnce(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	ctx := r.Context()
	whose, err := o.records.shadowNames(ctx, p.WorkspaceID, p.ProductID, []string{username})
	if err == nil && len(whose) > 0 {
		err = fault.New(fault.Conflict, "This is the shadow customer of somebody here. It is deleted with that customer, or when the product gets another way.")
	}
	var op *operation
	if err == nil {
		op, err = o.records.operationOf(ctx, once)
	}
	if err != nil {
		o.answer(w, r, err, particlePath(p), "")
		return
	}
	if op == nil {
		fresh := o.newOperation(opCustomerDelete, productKey{p.WorkspaceID, p.ProductID}, p.Name, username, 0, byOf(ctx))
		fresh.Once = once
		if err := o.transaction(ctx, func(tx *gorm.DB) error { return tx.Create(&fresh).Error }); err != nil {
			sdk.Fail(w, r, err)
			return
		}
		op = &fresh
		err = o.carryOut(withoutCancel(r), op.ID)
	}
	if err == nil {
		op, err = o.records.operation(ctx, op.ID)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	tone := sdk.Good
	if op.State != opDone {
		tone = sdk.Warn
	}
	sdk.Redirect(w, r, particlePath(p), sdk.Message{Tone: tone, Text: op.Sentence})
}
