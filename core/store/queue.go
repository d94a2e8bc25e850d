package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"mortise/core/fault"
)

// hostID is the host's own name in the queue. No module can have it: manifest.Reserved.
const hostID = "host"

// queue hands the right to write from one to the next: among modules in turn, within a module in order of arrival.
type queue struct {
	mu      sync.Mutex
	holder  string // "" when nobody writes
	since   time.Time
	waiting map[string][]*waiter
	turn    []string // modules that wait, the next one first
	closed  bool
}

type waiter struct {
	granted chan struct{} // closed when it is this one's turn, or when the queue is closed
	refused bool          // set before granted is closed
}

func newQueue() *queue { return &queue{waiting: map[string][]*waiter{}} }

// acquire waits for the right to write on behalf of who. The caller must call release exactly once.
func (q *queue) acquire(ctx context.Context, who string) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errClosed
	}
	if q.holder == "" {
		q.holder, q.since = who, time.Now()
		q.mu.Unlock()
		return nil
	}
	w := &waiter{granted: make(chan struct{})}
	if len(q.waiting[who]) == 0 {
		q.turn = append(q.turn, who)
	}
	q.waiting[who] = append(q.waiting[who], w)
	q.mu.Unlock()

	select {
	case <-w.granted:
		if w.refused {
			return errClosed
		}
		return nil
	case <-ctx.Done():
		return q.leave(who, w, context.Cause(ctx))
	}
}

// leave gives up waiting. The turn may have come at the same moment; then it is handed on.
func (q *queue) leave(who string, w *waiter, cause error) error {
	q.mu.Lock()
	if i := slices.Index(q.waiting[who], w); i >= 0 {
		q.waiting[who] = slices.Delete(q.waiting[who], i, i+1)
		if len(q.waiting[who]) == 0 {
			delete(q.waiting, who)
			q.turn = slices.DeleteFunc(q.turn, func(m string) bool { return m == who })
		}
		q.mu.Unlock()
		return cause
	}
	q.mu.Unlock()
	if !w.refused {
		q.release()
	}
	return cause
}

// release hands the right to write to the next.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holder = ""
	if len(q.turn) == 0 {
		return
	}
	who := q.turn[0]
	list := q.waiting[who]
	q.turn = q.turn[1:]
	if len(list) == 1 {
		delete(q.waiting, who)
	} else {
		q.waiting[who] = list[1:]
		q.turn = append(q.turn, who)
	}
	q.holder, q.since = who, time.Now()
	close(list[0].granted)
}

// close refuses everybody who waits or comes later; whoever holds the right keeps it until release.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, list := range q.waiting {
		for _, w := range list {
			w.refused = true
			close(w.granted)
		}
	}
	q.waiting, q.turn = map[string][]*waiter{}, nil
}

// current tells who writes, "" when nobody does, and how many wait.
func (q *queue) current() (holder string, since time.Time, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, list := range q.waiting {
		waiting += len(list)
	}
	return q.holder, q.since, waiting
}

var errClosed = fault.New(fault.Unavailable, "the store is being closed")
