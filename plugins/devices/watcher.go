package main

import "sync"

// watcher is one open page.
type watcher struct {
	feed   *feed
	user   int64
	device string
	queue  chan message
	done   chan struct{} // closed when the feed ends, or the person has the device no more
	mu     sync.Mutex
	missed int
}

// push never waits: a page that does not keep up loses its oldest messages and is told how many.
func (w *watcher) push(msg message) {
	for {
		select {
		case w.queue <- msg:
			return
		default:
		}
		select {
		case <-w.queue:
			w.mu.Lock()
			w.missed++
			w.mu.Unlock()
		default:
		}
	}
}

// takeMissed gives how many messages were lost since it was asked last.
func (w *watcher) takeMissed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.missed
	w.missed = 0
	return n
}

// close leaves the feed.
func (w *watcher) close() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	delete(w.feed.watchers, w)
	w.feed.until = w.feed.live.m.now().Add(w.feed.live.m.patience.linger / 4) // the page that follows finds it open
}
