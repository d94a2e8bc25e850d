package handover

import (
	"net/http"
	"net/url"
	"strconv"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// labelsAtOnce is how many labels are on one page: three sheets of 24. Each has a picture of its own, and the site lets a visitor ask for
// about a hundred things at once.
const labelsAtOnce = 72

// layout is a kind of label paper.
type layout struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Size  string `json:"size"` // of one label
}

// layouts are those that the themes have print rules for, the first is the usual one.
var layouts = [...]layout{
	{"a4-24", "24 on A4", "70 × 37 mm"},
	{"a4-14", "14 on A4", "99 × 38 mm"},
	{"single", "Label printer", "62 × 40 mm"},
}

// label is what stands on one label.
type label struct {
	Name string `json:"name"`
	Key  string `json:"key"`
	Last string `json:"last"` // the last six digits of the device's id
	QR   string `json:"qr"`   // path of the drawing
	Path string `json:"path"` // of the record
}

// labels is a page for the printer: ?record= numbers, or the filter of the list; ?paper= an id of layouts, ?from= how many labels to leave
// out. Only records that are ready have one.
func (h *Handover) labels(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach, mayInstall) {
		return
	}
	ctx, query := r.Context(), r.URL.Query()
	f := readFilter(r, query.Get)
	for _, s := range query["record"] {
		if id, err := strconv.ParseInt(s, 10, 64); err == nil && id > 0 && len(f.IDs) < perPage {
			f.IDs = append(f.IDs, id)
		}
	}
	f.State = stateReady
	from, err := strconv.Atoi(query.Get("from"))
	if err != nil || from < 0 || from > 1_000_000 {
		from = 0
	}
	list, err := h.records.first(ctx, f, labelsAtOnce+1, from)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	more := len(list) > labelsAtOnce
	if more {
		list = list[:labelsAtOnce]
	}
	labels, without, err := h.labelsOf(r, list)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	paper := layouts[0]
	for _, l := range layouts {
		if l.ID == query.Get("paper") {
			paper = l
		}
	}
	host, path := h.typed()
	sdk.Render(w, r, sdk.View{Template: "record_labels", Title: "Labels", Breadcrumbs: []sdk.Link{recordsCrumb}, Data: map[string]any{"labels": labels, "without": without, "count": len(labels),
		"paper": paper.ID, "papers": papers(query), "more": more, "from": from, "next": from + labelsAtOnce, "host": host, "path": path, "size": paper.Size}})
}

// labelsOf opens the keys. without counts the records whose key cannot be printed: it has expired, or its sealed copy is gone.
func (h *Handover) labelsOf(r *http.Request, list []record) (labels []label, without int, err error) {
	live, err := h.records.liveKeys(r.Context(), idsOf(list))
	if err != nil {
		return nil, 0, err
	}
	labels = make([]label, 0, len(list))
	for i := range list {
		rec := &list[i]
		k, err := h.unseal(r.Context(), live[rec.ID])
		if fault.Is(err, fault.Conflict) {
			without++
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		labels = append(labels, label{Name: title(rec), Key: k.String(), Last: rec.DeviceID[len(rec.DeviceID)-6:], QR: pathOf(rec.ID) + "/qr.svg?v=" + strconv.FormatInt(rec.Version, 10), Path: pathOf(rec.ID)})
	}
	return labels, without, nil
}

// paperChoice is a kind of paper as a link of the page.
type paperChoice struct {
	layout
	Path string `json:"path"`
}

func papers(query url.Values) []paperChoice {
	list := make([]paperChoice, 0, len(layouts))
	for _, l := range layouts {
		q := url.Values{}
		for key, values := range query {
			q[key] = values
		}
		q.Set("paper", l.ID)
		list = append(list, paperChoice{l, root + "/labels?" + q.Encode()})
	}
	return list
}

// drawQR draws the code of one label.
func (h *Handover) drawQR(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok {
		return
	}
	k, err := h.keyOfRecord(r.Context(), rec)
	if fault.Is(err, fault.Conflict) {
		err = site.ErrNotFound
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	svg, err := qrSVG(h.linkTo(k))
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(svg) // who asked is gone when this fails
}
