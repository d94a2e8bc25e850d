package ownership

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
)

var opTitles = map[string]string{opShadowCreate: "Make a shadow customer", opShadowRevoke: "Revoke a token", opShadowDelete: "Delete a shadow customer",
	opDeviceRelease: "Release a device", opCustomerDelete: "Delete a customer"}

// operationView is an operation as pages and programs see it.
type operationView struct {
	ID          int64      `json:"id"`
	Kind        string     `json:"kind"`
	Title       string     `json:"title"`
	WorkspaceID int64      `json:"workspace_id"`
	ProductID   string     `json:"product_id"`
	Product     string     `json:"product"`
	Subject     string     `json:"subject"`
	CustomerID  int64      `json:"customer_id"`
	Customer    string     `json:"customer"` // "" when it is about nobody, or about somebody who is forgotten
	State       string     `json:"state"`    // running, done, failed, undone, attention
	Sentence    string     `json:"sentence"`
	ByName      string     `json:"by_name"`
	Tries       int        `json:"tries"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	NextAt      time.Time  `json:"next_at"`
	Retry       bool       `json:"may_retry"`
	Path        string     `json:"path"`
}

func viewOfOperation(op *operation, names map[int64]string) operationView {
	return operationView{ID: op.ID, Kind: op.Kind, Title: opTitles[op.Kind], WorkspaceID: op.WorkspaceID, ProductID: op.ProductID, Product: nameOf(op.Product, op.ProductID),
		Subject: op.Subject, CustomerID: op.CustomerID, Customer: names[op.CustomerID], State: op.State, Sentence: op.Sentence, ByName: op.ByName, Tries: op.Tries,
		StartedAt: op.StartedAt, EndedAt: op.EndedAt, NextAt: op.NextAt, Retry: op.State == opFailed || op.State == opUnclear || op.State == opRunning,
		Path: "/admin/customers/operations/" + strconv.FormatInt(op.ID, 10)}
}

var operationsCrumb = sdk.Link{Title: "Changes at Particle", Path: "/admin/customers/operations"}

// listOperations lists what was changed at Particle: ?state=, ?q= part of a customer's, a person's or a product's name, or of an id, ?page=.
func (o *Ownership) listOperations(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	state := query.Get("state")
	switch state {
	case opRunning, opDone, opFailed, opUndone, opUnclear:
	default:
		state = ""
	}
	page, size := site.Page(r, perPage)
	text := site.Readable(query.Get("q"), 100)
	list, total, err := o.records.operations(r.Context(), state, text, page, size)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	ids := make([]int64, 0, len(list))
	for i := range list {
		ids = append(ids, list[i].CustomerID)
	}
	names, err := o.records.names(r.Context(), ids)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]operationView, 0, len(list))
	for i := range list {
		views = append(views, viewOfOperation(&list[i], names))
	}
	sdk.Render(w, r, sdk.View{Template: "owner_operations", Title: "Changes at Particle", Breadcrumbs: []sdk.Link{people.Top},
		Data: map[string]any{"operations": views, "state": state, "q": text, "total": total, "page": page, "per_page": size}})
}

// operationAt finds the operation of the path, or answers.
func (o *Ownership) operationAt(w http.ResponseWriter, r *http.Request) (*operation, bool) {
	id, err := site.ID(r, "operation")
	var op *operation
	if err == nil {
		op, err = o.records.operation(r.Context(), id)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return op, true
}

func (o *Ownership) showOperation(w http.ResponseWriter, r *http.Request) {
	op, ok := o.operationAt(w, r)
	if !ok {
		return
	}
	names, err := o.records.names(r.Context(), []int64{op.CustomerID})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	v := viewOfOperation(op, names)
	sdk.Render(w, r, sdk.View{Template: "owner_operation", Title: v.Title, Breadcrumbs: []sdk.Link{people.Top, operationsCrumb},
		Data: map[string]any{"operation": v, "may_configure": can(r.Context(), mayConfigure)}})
}

// retry carries an operation out once more that was refused, or of which nobody knows whether it happened. All of them may be repeated.
func (o *Ownership) retry(w http.ResponseWriter, r *http.Request) {
	op, ok := o.operationAt(w, r)
	if !ok {
		return
	}
	path := viewOfOperation(op, nil).Path
	err := o.records.again(r.Context(), op.ID)
	if fault.Is(err, fault.Conflict) {
		message, _ := fault.Visible(err)
		sdk.Redirect(w, r, path, sdk.Message{Tone: sdk.Info, Text: message})
		return
	}
	if err == nil {
		err = o.carryOut(withoutCancel(r), op.ID)
	}
	if err == nil {
		op, err = o.records.operation(r.Context(), op.ID)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	tone := map[string]sdk.Tone{opDone: sdk.Good, opUndone: sdk.Info, opRunning: sdk.Warn, opFailed: sdk.Bad, opUnclear: sdk.Bad}[op.State]
	sdk.Redirect(w, r, path, sdk.Message{Tone: tone, Text: op.Sentence})
}

// optionsOf makes choices of the products that have something attached.
func optionsOf(usages map[productKey]usage) []map[string]string {
	list := make([]map[string]string, 0, len(usages))
	for key, u := range usages {
		if u.Devices > 0 {
			list = append(list, map[string]string{"value": clientKey(key.workspaceID, key.productID), "label": nameOf(u.Product, key.productID)})
		}
	}
	slices.SortFunc(list, func(a, b map[string]string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a["label"]), strings.ToLower(b["label"])), cmp.Compare(a["value"], b["value"]))
	})
	return list
}
