package ownership

import "sync"

// locks keeps what is done about one subject apart. It forgets subjects that nobody holds. The zero value is ready.
type locks struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	sync.Mutex
	n int // who holds it, and who waits
}

// lock waits for the subject.
func (l *locks) lock(subject string) (unlock func()) {
	l.mu.Lock()
	h := l.held[subject]
	if h == nil {
		h = &held{}
		if l.held == nil {
			l.held = map[string]*held{}
		}
		l.held[subject] = h
	}
	h.n++
	l.mu.Unlock()
	h.Lock()
	return func() {
		h.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.n--; h.n == 0 {
			delete(l.held, subject)
		}
	}
}
