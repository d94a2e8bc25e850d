package web

import "sync"

// bufferPool keeps memory for bodies that are read whole and forgotten at once.
type bufferPool struct{ pool sync.Pool }

// keepLimit is the largest buffer worth keeping, in bytes.
const keepLimit = 256 << 10

func newBufferPool() *bufferPool {
	return &bufferPool{pool: sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}}
}

func (p *bufferPool) get() *[]byte { return p.pool.Get().(*[]byte) }

// put takes back the slot with the memory that its contents grew to.
func (p *bufferPool) put(slot *[]byte, grown []byte) {
	if cap(grown) > keepLimit {
		return
	}
	*slot = grown[:0]
	p.pool.Put(slot)
}
