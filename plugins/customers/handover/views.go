package handover

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/customers/history"
)

// recordView is a record as pages and programs see it. A key is never in it.
type recordView struct {
	ID          int64      `json:"id"`
	DeviceID    string     `json:"device_id"`
	Name        string     `json:"name"`
	Serial      string     `json:"serial"`
	Note        string     `json:"note"`
	Job         string     `json:"job"`
	WorkspaceID int64      `json:"workspace_id"`
	ProductID   string     `json:"product_id"`
	Product     string     `json:"product"`
	State       string     `json:"state"`
	Expires     *time.Time `json:"expires_at"` // of the key; null for never
	Expired     bool       `json:"expired"`
	AssignedTo  int64      `json:"assigned_to"` // 0: nobody's job
	Assigned    string     `json:"assigned"`    // the installer's name
	UserID      int64      `json:"user_id"`     // 0: nobody's, or not for the visitor to know
	Customer    string     `json:"customer"`    // the name, for who may see customers
	ClaimedAt   *time.Time `json:"claimed_at"`
	CreatedAt   time.Time  `json:"created_at"`
	Version     int64      `json:"version"`
	Path        string     `json:"path"`
}

func pathOf(recordID int64) string { return root + "/" + strconv.FormatInt(recordID, 10) }

// viewsOf makes views: keys, installers and customers are looked up for all of them at once.
func (h *Handover) viewsOf(ctx context.Context, list []record) ([]recordView, error) {
	live, err := h.records.liveKeys(ctx, idsOf(list))
	if err != nil {
		return nil, err
	}
	sees := sdk.UserFrom(ctx).Can(mayView)
	names, err := h.names(ctx, list, sees)
	if err != nil {
		return nil, err
	}
	now := h.site.Now()
	views := make([]recordView, 0, len(list))
	for i := range list {
		r := &list[i]
		v := recordView{ID: r.ID, DeviceID: r.DeviceID, Name: r.Name, Serial: r.Serial, Note: r.Note, Job: r.Job, WorkspaceID: r.WorkspaceID, ProductID: r.ProductID,
			Product: r.Product, State: r.State, AssignedTo: r.AssignedTo, Assigned: names[r.AssignedTo], ClaimedAt: r.ClaimedAt, CreatedAt: r.CreatedAt, Version: r.Version, Path: pathOf(r.ID)}
		if k := live[r.ID]; k != nil && r.State == stateReady {
			v.Expires, v.Expired = k.ExpiresAt, k.expired(now)
		}
		if r.AssignedTo != 0 && v.Assigned == "" {
			v.Assigned = "somebody who is gone"
		}
		if sees && r.UserID != 0 {
			v.UserID, v.Customer = r.UserID, names[r.UserID]
		}
		views = append(views, v)
	}
	return views, nil
}

// names looks up the installers of records and, if wanted, their customers.
func (h *Handover) names(ctx context.Context, list []record, customers bool) (map[int64]string, error) {
	names, ids := map[int64]string{}, []int64{}
	add := func(id int64) {
		if _, known := names[id]; id != 0 && !known {
			names[id] = ""
			ids = append(ids, id)
		}
	}
	for i := range list {
		add(list[i].AssignedTo)
		if customers {
			add(list[i].UserID)
		}
	}
	if len(ids) == 0 {
		return names, nil
	}
	users, err := h.site.Host.Users().List(ctx, ids...)
	for _, u := range users {
		names[u.ID] = u.Name
	}
	return names, err
}

// choice is an entry of a select field.
type choice struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// staff lists whom a job can be assigned to: who has opened the records, those seen last first.
func (h *Handover) staff(ctx context.Context) ([]choice, error) {
	ids, err := h.records.installers(ctx)
	if err != nil || len(ids) == 0 {
		return []choice{}, err
	}
	users, err := h.site.Host.Users().List(ctx, ids...)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]sdk.User, len(users))
	for _, u := range users {
		byID[u.ID] = u
	}
	list := make([]choice, 0, len(ids))
	for _, id := range ids {
		if u, ok := byID[id]; ok && !u.Blocked {
			list = append(list, choice{strconv.FormatInt(id, 10), u.Name})
		}
	}
	return list, nil
}

// productValue names a product in a form: "1/12345".
func productValue(workspaceID int64, productID string) string {
	return strconv.FormatInt(workspaceID, 10) + "/" + productID
}

// entryView is a line of a record's history.
type entryView struct {
	Kind     string    `json:"kind"`
	Sentence string    `json:"sentence"`
	By       string    `json:"by"` // "" for the site itself
	At       time.Time `json:"at"`
}

// historyOf tells what happened to a record. Who did it is told only to who may see customers, unless it was somebody of the staff.
func (h *Handover) historyOf(ctx context.Context, rec *record) ([]entryView, error) {
	list, _, err := history.List(ctx, h.site.DB, history.Filter{RecordID: rec.ID, Limit: 100})
	if err != nil {
		return nil, err
	}
	sees := sdk.UserFrom(ctx).Can(mayView)
	views := make([]entryView, 0, len(list))
	for _, e := range list {
		v := entryView{Kind: e.Kind, Sentence: e.Sentence, By: e.ByName, At: e.At}
		if !sees && e.UserID != 0 && e.UserID == e.ByID {
			v.By = "the customer"
		}
		views = append(views, v)
	}
	return views, nil
}

var recordsCrumb = sdk.Link{Title: "Device records", Path: root}

// crumbs lead to a record's pages.
func crumbs(rec *record) []sdk.Link {
	return []sdk.Link{recordsCrumb, {Title: title(rec), Path: pathOf(rec.ID)}}
}

// title is what a page calls a record's device.
func title(rec *record) string {
	if rec.Name != "" {
		return rec.Name
	}
	return "Device …" + rec.DeviceID[len(rec.DeviceID)-6:]
}

// linkTo is the address behind a QR code. The key is in the query: paths are logged, queries are not.
func (h *Handover) linkTo(k key) string {
	return h.site.Host.Site().PublicURL + claimPath + "?key=" + k.String()
}

// typed is the address that people type who cannot scan: without the scheme, in two parts between which a line may break.
func (h *Handover) typed() (host, path string) {
	u, err := url.Parse(h.site.Host.Site().PublicURL)
	if err != nil || u.Host == "" {
		return "", claimPath
	}
	return u.Host, u.Path + claimPath
}

// productOf reads "1/12345" of a form. ok is false for anything else.
func productOf(value string) (workspaceID int64, productID string, ok bool) {
	before, after, found := strings.Cut(value, "/")
	workspaceID, err := strconv.ParseInt(before, 10, 64)
	if !found || err != nil || workspaceID <= 0 || after == "" || len(after) > 18 {
		return 0, "", false
	}
	for _, r := range after {
		if r < '0' || r > '9' {
			return 0, "", false
		}
	}
	return workspaceID, after, true
}
