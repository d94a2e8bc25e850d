package handover

import (
	"net/http"
	"net/url"
	"strconv"

	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

const perPage = 25

// readFilter reads what a list is narrowed to, from its query or from a form.
func readFilter(r *http.Request, value func(string) string) filter {
	f := filter{Only: only(r), Job: site.Readable(value("job"), 100), Text: site.Readable(value("q"), 60)}
	for _, s := range states {
		if value("state") == s {
			f.State = s
		}
	}
	if ws, product, ok := productOf(value("product")); ok {
		f.Workspace, f.Product = ws, product
	}
	if once := value("batch"); len(once) <= 40 {
		f.Once = site.Readable(once, 40)
	}
	if value("assigned") == "none" {
		f.Assigned = nobodysJob
	} else if id, err := strconv.ParseInt(value("assigned"), 10, 64); err == nil && id > 0 {
		f.Assigned = id
	}
	return f
}

// query gives the filter as the query of an address, without the state.
func (f *filter) query() url.Values {
	q := url.Values{}
	for key, value := range map[string]string{"job": f.Job, "q": f.Text, "batch": f.Once, "product": f.product(), "assigned": f.assigned()} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return q
}

func (f *filter) product() string {
	if f.Product == "" {
		return ""
	}
	return productValue(f.Workspace, f.Product)
}

func (f *filter) assigned() string {
	switch {
	case f.Assigned == nobodysJob:
		return "none"
	case f.Assigned > 0:
		return strconv.FormatInt(f.Assigned, 10)
	}
	return ""
}

// list lists records: ?state=, ?job=, ?product= such as 1/12345, ?q= part of an id, a name or a serial number, ?assigned= a
// number or none, ?batch=, ?page=. Installers see those of their own jobs.
func (h *Handover) list(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach, mayInstall) {
		return
	}
	ctx, user := r.Context(), sdk.UserFrom(r.Context())
	if err := h.records.seen(ctx, user.UserID, h.site.Now()); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	f := readFilter(r, r.URL.Query().Get)
	page, size := site.Page(r, perPage)
	list, counts, total, err := h.records.list(ctx, f, page, size)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views, err := h.viewsOf(ctx, list)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	jobs, products, err := h.records.choices(ctx, f.Only)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	installers := []choice{}
	if user.Can(mayAttach) {
		if installers, err = h.staff(ctx); err != nil {
			sdk.Fail(w, r, err)
			return
		}
	}
	query := f.query()
	sdk.Render(w, r, sdk.View{Template: "record_list", Title: "Device records", Data: map[string]any{"records": views, "counts": countsOf(counts), "total": total,
		"page": page, "per_page": size, "state": f.State, "job": f.Job, "product": f.product(), "q": f.Text, "assigned": f.assigned(), "batch": f.Once,
		"jobs": jobsOf(jobs), "products": productChoices(products), "installers": installers, "narrowed": f.State != "" || len(query) > 0,
		"missing_keys": counts[stateBench], "ready": counts[stateReady], "labels_path": root + "/labels?" + query.Encode(), "may_attach": user.Can(mayAttach), "may_view": user.Can(mayView)}})
}

// stateCount is how many records are in a state.
type stateCount struct {
	State string `json:"state"`
	N     int64  `json:"n"`
}

func countsOf(counts map[string]int64) []stateCount {
	list := make([]stateCount, 0, len(states))
	for _, s := range states {
		list = append(list, stateCount{s, counts[s]})
	}
	return list
}

func jobsOf(jobs []string) []choice {
	list := make([]choice, 0, len(jobs))
	for _, j := range jobs {
		list = append(list, choice{j, j})
	}
	return list
}

func productChoices(products []record) []choice {
	list := make([]choice, 0, len(products))
	for i := range products {
		p := &products[i]
		label := p.Product
		if label == "" {
			label = "Product " + p.ProductID
		}
		list = append(list, choice{productValue(p.WorkspaceID, p.ProductID), label})
	}
	return list
}
