package people

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// pageSizes are the numbers of customers on a page that a person can choose from.
var pageSizes = []int{25, 50, 100}

// unseen are the choices of "not seen since".
var unseen = map[string]time.Duration{"30": 30 * 24 * time.Hour, "90": 90 * 24 * time.Hour, "365": 365 * 24 * time.Hour}

// filter is the list's address in words: what is asked for, as the form shows it again.
type filter struct {
	Q       string `json:"q"`
	State   string `json:"state"`
	Blocked string `json:"blocked"` // yes, no, or "" for both
	Unseen  string `json:"unseen"`  // days, "never", or ""
	Sort    string `json:"sort"`    // with a "-" in front from the last to the first
}

// filterOf reads ?q=, ?state=, ?blocked=, ?unseen= and ?sort=. What is not known counts as not given.
func filterOf(r *http.Request) filter {
	v := r.URL.Query()
	f := filter{Q: site.Readable(v.Get("q"), 100), State: v.Get("state"), Blocked: v.Get("blocked"), Unseen: v.Get("unseen"), Sort: v.Get("sort")}
	if !slices.Contains(states, f.State) {
		f.State = ""
	}
	if f.Blocked != "yes" && f.Blocked != "no" {
		f.Blocked = ""
	}
	if _, ok := unseen[f.Unseen]; !ok && f.Unseen != "never" {
		f.Unseen = ""
	}
	if sorts[strings.TrimPrefix(f.Sort, "-")] == "" {
		f.Sort = "name"
	}
	return f
}

func (f filter) query(now time.Time) query {
	q := query{Words: words(f.Q), State: f.State, Sort: strings.TrimPrefix(f.Sort, "-"), Desc: strings.HasPrefix(f.Sort, "-"), Never: f.Unseen == "never"}
	if f.Blocked != "" {
		blocked := f.Blocked == "yes"
		q.Blocked = &blocked
	}
	if age, ok := unseen[f.Unseen]; ok {
		since := now.Add(-age)
		q.Unseen = &since
	}
	return q
}

// filtered tells whether the list shows less than everybody.
func (f filter) filtered() bool {
	return f.Q != "" || f.State != "" || f.Blocked != "" || f.Unseen != ""
}

// values gives the filter for another address.
func (f filter) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"q": f.Q, "state": f.State, "blocked": f.Blocked, "unseen": f.Unseen} {
		if value != "" {
			v.Set(key, value)
		}
	}
	return v
}

// stateCount is one of the links above the list.
type stateCount struct {
	State string `json:"state"`
	N     int64  `json:"n"`
}

// showList lists customers: see filterOf, ?page= and ?size=.
func (p *People) showList(w http.ResponseWriter, r *http.Request) {
	p.Glance(r.Context())
	f := filterOf(r)
	q := f.query(p.site.Now())
	page, size := site.Page(r, pageSizes...)
	found, err := p.store.counts(r.Context(), q)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	var all, total int64
	counts := make([]stateCount, 0, len(states))
	for _, s := range states {
		counts, all = append(counts, stateCount{s, found[s]}), all+found[s]
	}
	if total = all; f.State != "" {
		total = found[f.State]
	}
	if last := int((total + int64(size) - 1) / int64(size)); page > last {
		page = max(last, 1)
	}
	q.Offset, q.Limit = (page-1)*size, size
	people := []PersonView{}
	if total > 0 {
		list, err := p.store.list(r.Context(), q)
		if err != nil {
			sdk.Fail(w, r, err)
			return
		}
		for i := range list {
			people = append(people, View(list[i].person()))
		}
	}
	export := root + "/export"
	if f.filtered() {
		export += "?" + f.values().Encode()
	}
	sdk.Render(w, r, sdk.View{Template: "people_list", Title: "Customers", Data: map[string]any{"people": people, "counts": counts, "all": all, "total": total,
		"filter": f, "filtered": f.filtered(), "page": page, "size": size, "sizes": pageSizes, "export": export, "may_manage": mayManage(r)}})
}

// mayManage tells whether the visitor may change things, for what a page offers.
func mayManage(r *http.Request) bool { return sdk.UserFrom(r.Context()).Can("customers.manage") }
