package ownership

import (
	"net/http"
	"strconv"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
)

// productView is a product as pages see it.
type productView struct {
	Product
	Title string `json:"way_title"`
	Path  string `json:"path"`
	Key   string `json:"key"` // "workspace/product", for forms
}

func viewOf(p Product) productView {
	return productView{p, wordsOf(p.Way).Title, productPath(p.WorkspaceID, p.ProductID), clientKey(p.WorkspaceID, p.ProductID)}
}

var productsCrumb = sdk.Link{Title: "Ways to own devices", Path: "/admin/customers/products"}

// listProducts lists all products with their ways.
func (o *Ownership) listProducts(w http.ResponseWriter, r *http.Request) {
	list, err := o.Products(r.Context())
	if err != nil && !reachable(err) {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]productView, 0, len(list))
	for _, p := range list {
		views = append(views, viewOf(p))
	}
	sdk.Render(w, r, sdk.View{Template: "owner_products", Title: "Ways to own devices", Breadcrumbs: []sdk.Link{people.Top},
		Data: map[string]any{"products": views, "ways": explainedWays, "trouble": troubleOf(err), "may_configure": can(r.Context(), mayConfigure)}})
}

// reachable tells that an error is one of Organizations or Particle, which a page shows as a notice; others are the site's own.
func reachable(err error) bool {
	return explain(err).fault != fault.Internal
}

func troubleOf(err error) *trouble {
	if err == nil {
		return nil
	}
	return explain(err)
}

// productOf finds the product of the path, or answers. Organizations has to know it, unless something is attached of it.
func (o *Ownership) productOf(w http.ResponseWriter, r *http.Request) (Product, *trouble, bool) {
	workspaceID, err := site.ID(r, "workspace")
	productID := r.PathValue("product")
	if err != nil || !isProductID(productID) {
		sdk.Fail(w, r, site.ErrNotFound)
		return Product{}, nil, false
	}
	p, err := o.Product(r.Context(), workspaceID, productID)
	if err != nil && p.ProductID == "" {
		if fault.Is(err, fault.NotFound) {
			err = site.ErrNotFound
		} else if reachable(err) {
			err = explain(err).err()
		}
		sdk.Fail(w, r, err)
		return p, nil, false
	}
	return p, troubleOf(err), true
}

// showProduct shows the way of a product, and with ?way= what choosing another one leads to.
func (o *Ownership) showProduct(w http.ResponseWriter, r *http.Request) {
	if p, t, ok := o.productOf(w, r); ok {
		way := Way(r.URL.Query().Get("way"))
		if !knownWay(way) {
			way = p.Way
		}
		o.renderProduct(w, r, p, t, way, nil, nil)
	}
}

func (o *Ownership) renderProduct(w http.ResponseWriter, r *http.Request, p Product, t *trouble, way Way, wrong sdk.Fields, failed error) {
	v := sdk.View{Template: "owner_product", Title: p.Name, Breadcrumbs: []sdk.Link{people.Top, productsCrumb}, FieldErrors: wrong}
	data := map[string]any{"product": viewOf(p), "ways": explainedWays, "way": way, "chosen": wordsOf(way), "consequences": consequences(p, way), "trouble": t, "conflict": "", "granted_name": "", "targets": []productView{}}
	if t == nil {
		targets, err := o.targets(r.Context(), p)
		if err != nil && !reachable(err) {
			sdk.Fail(w, r, err)
			return
		}
		data["targets"] = targets
	}
	if p.GrantedTo != 0 {
		if names, err := o.records.names(r.Context(), []int64{p.GrantedTo}); err == nil {
			data["granted_name"] = names[p.GrantedTo]
		}
	}
	switch {
	case failed != nil:
		message, _ := fault.Visible(failed)
		data["conflict"], v.Status = message, http.StatusConflict
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	v.Data = data
	sdk.Render(w, r, v)
}

// saveWay chooses the way of a product.
func (o *Ownership) saveWay(w http.ResponseWriter, r *http.Request) {
	p, t, ok := o.productOf(w, r)
	if !ok {
		return
	}
	way := Way(r.PostFormValue("way"))
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	wrong := sdk.Fields{}
	switch {
	case !knownWay(way):
		way, wrong["way"] = p.Way, "choose one of the three ways"
	case err != nil || version < 0:
		wrong["way"] = "the form is incomplete; open the page again"
	case !p.Known && way != attachapi.Product:
		wrong["way"] = "Organizations does not know the product (any more); choose the way when it does"
	case len(consequences(p, way)) > 0 && version == p.Version && r.PostFormValue("confirm") == "":
		wrong["confirm"] = "confirm that you have read what happens to what is attached"
	}
	if len(wrong) > 0 {
		o.renderProduct(w, r, p, t, way, wrong, nil)
		return
	}
	if way == p.Way && version == p.Version {
		sdk.Redirect(w, r, productPath(p.WorkspaceID, p.ProductID), sdk.Message{Tone: sdk.Info, Text: "Nothing was different."})
		return
	}
	err = o.changeWay(r.Context(), p, way, version, byOf(r.Context()))
	if fault.Is(err, fault.Conflict) {
		if now, fresh := o.Product(r.Context(), p.WorkspaceID, p.ProductID); now.ProductID != "" {
			p, t = now, troubleOf(fresh)
		}
		o.renderProduct(w, r, p, t, way, nil, err)
		return
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	o.site.Host.Log().Info("the way of a product was changed", "workspace", p.WorkspaceID, "product", p.ProductID, "way", string(way))
	text := p.Name + ": " + wordsOf(way).Title + "."
	if shadowWay(way) && p.ClientID == "" {
		sdk.Redirect(w, r, productPath(p.WorkspaceID, p.ProductID), sdk.Message{Tone: sdk.Warn, Text: text + " The OAuth client is still missing."})
		return
	}
	sdk.Redirect(w, r, productPath(p.WorkspaceID, p.ProductID), sdk.Message{Tone: sdk.Good, Text: text})
}

// productKeyOf reads "workspace/product" as a form or a query has it.
func productKeyOf(text string) (productKey, bool) {
	first, productID, ok := strings.Cut(text, "/")
	workspaceID, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || workspaceID <= 0 || !isProductID(productID) {
		return productKey{}, false
	}
	return productKey{workspaceID, productID}, true
}
