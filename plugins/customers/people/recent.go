package people

import (
	"slices"
	"sync"
)

// recent remembers what the last forms have led to, so that one that is sent twice acts once.
type recent struct {
	mu    sync.Mutex
	done  map[string]int64 // the form's word to a customer
	order []string
}

const mostRecent = 1000

func (r *recent) get(once string) (id int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok = r.done[once]
	return id, ok
}

// begin takes a form for whoever comes first; ok is false for who comes later. If what the form leads to fails, drop it: it may be sent again.
func (r *recent) begin(once string, id int64) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.done[once]; again {
		return false
	}
	r.keep(once, id)
	return true
}

func (r *recent) drop(once string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.done, once)
	r.order = slices.DeleteFunc(r.order, func(o string) bool { return o == once })
}

func (r *recent) put(once string, id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(once, id)
}

func (r *recent) keep(once string, id int64) {
	if r.done == nil {
		r.done = map[string]int64{}
	}
	if _, ok := r.done[once]; !ok {
		r.order = append(r.order, once)
	}
	r.done[once] = id
	if len(r.order) > mostRecent {
		delete(r.done, r.order[0])
		r.order = r.order[1:]
	}
}
