package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// Response is an answer whose head has been read. It must not be used after Close.
type Response struct {
	Header *fasthttp.ResponseHeader

	client *Client
	conn   *conn
	raw    net.Conn // of conn
	body   io.Reader
	state  bodyState
}

type bodyState uint8

const (
	bodyOpen    bodyState = iota // there may be more
	bodyDone                     // read to its end, the connection can be used again
	bodyUnclean                  // the end of the connection is the end of the body, or something went wrong
)

func newResponse(one *conn, head *fasthttp.ResponseHeader, method string) *Response {
	res := &Response{Header: head, conn: one, raw: one.Conn}
	length := head.ContentLength() // -1: chunked, -2: until the connection ends
	switch status := head.StatusCode(); {
	case method == "HEAD" || status == 204 || status == 304 || length == 0:
		res.state = bodyDone
	case length > 0:
		res.body = &io.LimitedReader{R: one.r, N: int64(length)}
	case length == -1:
		res.body = &chunked{r: one.r}
	default:
		res.body = one.r
	}
	return res
}

// Status is between 200 and 599.
func (r *Response) Status() int { return r.Header.StatusCode() }

// Length is the number of bytes of the body; -1 when the module did not say.
func (r *Response) Length() int { return max(r.Header.ContentLength(), -1) }

// SetDeadline says until when the rest of the body may be read. It may be called again to prolong, and from another goroutine to
// interrupt a Read.
func (r *Response) SetDeadline(t time.Time) { _ = r.conn.SetReadDeadline(t) } // a closed connection fails at the next Read

// Buffered tells how many bytes can be read without waiting.
func (r *Response) Buffered() int { return r.conn.r.Buffered() }

// Interrupt has a Read that waits, and every further one, fail with a timeout until SetDeadline. It may be called from another
// goroutine, even after Close; whoever does that must Abandon the answer.
func (r *Response) Interrupt() { _ = r.raw.SetReadDeadline(time.Unix(1, 0)) }

// Abandon has Close close the connection, however much was read.
func (r *Response) Abandon() { r.state = bodyUnclean }

// Read reads the body. A body that ends before its length is io.ErrUnexpectedEOF. After a timeout, reading can go on where it
// stopped.
func (r *Response) Read(p []byte) (int, error) {
	if r.state == bodyDone {
		return 0, io.EOF
	}
	n, err := r.body.Read(p)
	switch {
	case err == nil:
		if limited, ok := r.body.(*io.LimitedReader); ok && limited.N == 0 {
			r.state = bodyDone
		}
		return n, nil
	case errors.Is(err, io.EOF):
		return n, r.end()
	}
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		r.state = bodyUnclean
	}
	return n, err
}

// end decides what the end of the body's reader means.
func (r *Response) end() error {
	switch body := r.body.(type) {
	case *io.LimitedReader:
		if body.N > 0 {
			r.state = bodyUnclean
			return io.ErrUnexpectedEOF
		}
	case *bufio.Reader:
		r.state = bodyUnclean
		return io.EOF
	}
	r.state = bodyDone
	return io.EOF
}

// ErrTooLarge is the answer of ReadAll for a body beyond the limit.
var ErrTooLarge = errors.New("the module's answer is larger than allowed")

// ReadAll appends the body to dst, at most limit bytes of it.
func (r *Response) ReadAll(dst []byte, limit int) ([]byte, error) {
	if r.Length() > limit {
		return dst, ErrTooLarge
	}
	start := len(dst)
	if n := r.Length(); n > 0 && cap(dst)-start < n+1 {
		dst = append(make([]byte, 0, start+n+1), dst...)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limit {
			return dst, ErrTooLarge
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// Close gives the connection back, or closes it when the body was not read to its end: that is how the module learns that nobody
// listens any more.
func (r *Response) Close() {
	if r.conn == nil {
		return
	}
	one := r.conn
	r.conn = nil
	if r.state == bodyDone && !r.Header.ConnectionClose() {
		r.client.give(one)
	} else {
		_ = one.Conn.Close()
	}
	responseHeads.Put(r.Header)
	r.Header = nil
}
