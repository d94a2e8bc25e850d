package particle

import "sync"

// Clouds keeps one client for each cloud's address, because clients keep connections. The zero value is ready; it is safe for
// concurrent use.
type Clouds struct{ clients sync.Map } // base URL to *Client

// Of gives the client of a cloud, made from o when there is none yet. o.BaseURL names the cloud. The error is New's.
func (c *Clouds) Of(o Options) (*Client, error) {
	if known, ok := c.clients.Load(o.BaseURL); ok {
		return known.(*Client), nil
	}
	fresh, err := New(o)
	if err != nil {
		return nil, err
	}
	kept, _ := c.clients.LoadOrStore(o.BaseURL, fresh)
	return kept.(*Client), nil
}

// Close drops the idle connections of all clients.
func (c *Clouds) Close() {
	c.clients.Range(func(_, client any) bool {
		client.(*Client).Close()
		return true
	})
}
