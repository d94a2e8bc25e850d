package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// headLimit bounds the head of an answer in bytes; bufio refuses to look further.
const headLimit = 16 << 10

// idleLimit is how many connections one client keeps for later, and idleTime for how long.
const (
	idleLimit = 64
	idleTime  = 50 * time.Second // below the two minutes after which a module closes them itself
)

// DialFunc opens a connection to the pages socket.
type DialFunc func(ctx context.Context) (net.Conn, error)

// Client keeps connections to one pages socket. It is safe for concurrent use. Use New.
type Client struct {
	dial DialFunc

	mu     sync.Mutex
	idle   []*conn // the last one was used last
	closed bool
}

// New makes a client; it dials at need.
func New(dial DialFunc) *Client { return &Client{dial: dial} }

// Close closes the idle connections; those in use are closed when their exchange ends. Requests that were let in before a module
// is stopped may still come: each gets a connection of its own.
func (c *Client) Close() {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	c.mu.Unlock()
	for _, one := range idle {
		_ = one.Conn.Close() // nothing was promised on it
	}
}

// conn is one connection with its reader.
type conn struct {
	net.Conn
	r     *bufio.Reader
	since time.Time // when it became idle
}

// take gives an idle connection that the module has not closed, or a new one.
func (c *Client) take(deadline time.Time) (*conn, error) {
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			break
		}
		one := c.idle[n-1]
		c.idle[n-1] = nil
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if time.Since(one.since) < idleTime && quiet(one.Conn) {
			return one, nil
		}
		_ = one.Conn.Close() // stale: closed by the module, or it sent something nobody asked for
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	raw, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, r: bufio.NewReaderSize(raw, headLimit)}, nil
}

// give keeps a connection whose exchange ended properly.
func (c *Client) give(one *conn) {
	one.since = time.Now()
	c.mu.Lock()
	if !c.closed && len(c.idle) < idleLimit && one.r.Buffered() == 0 { // what came behind the answer would be read as the next one
		c.idle = append(c.idle, one)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	_ = one.Conn.Close()
}

// quiet tells whether nothing waits to be read on an idle connection, neither bytes nor its end. A request sent on a connection
// that the module has just closed would be lost, and only GET may be sent twice.
func quiet(c net.Conn) bool {
	sys, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return false
	}
	still := false
	var one [1]byte
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		still = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && still
}

// Request is what goes to the module.
type Request struct {
	Method string
	Target string // path and query, escaped
	Header []byte // whole lines, each ending in CRLF, without Content-Length and Connection
	Body   []byte
}

// ConnectionError says that no byte of an answer came.
type ConnectionError struct{ Cause error }

// Error gives the cause.
func (e *ConnectionError) Error() string { return "no answer on the pages socket: " + e.Cause.Error() }

// Unwrap gives the cause.
func (e *ConnectionError) Unwrap() error { return e.Cause }

// ProtocolError says that what came was not an acceptable answer.
type ProtocolError struct{ Cause error }

// Error gives the cause.
func (e *ProtocolError) Error() string { return "not an HTTP answer: " + e.Cause.Error() }

// Unwrap gives the cause.
func (e *ProtocolError) Unwrap() error { return e.Cause }

// Do sends req and reads the head of the answer until deadline. The caller must Close the answer.
//
// Errors: *ConnectionError when the module did not take the request or went away before a byte of its answer,
// *ProtocolError when the answer cannot be accepted, and an error whose Timeout() is true after the deadline.
func (c *Client) Do(deadline time.Time, req *Request) (*Response, error) {
	one, err := c.take(deadline)
	if err != nil {
		return nil, &ConnectionError{Cause: err}
	}
	res, err := exchange(one, deadline, req)
	if err != nil {
		_ = one.Conn.Close()
		return nil, err
	}
	res.client = c
	return res, nil
}

var heads = sync.Pool{New: func() any { return new([]byte) }}

func exchange(one *conn, deadline time.Time, req *Request) (*Response, error) {
	if err := one.SetDeadline(deadline); err != nil {
		return nil, &ConnectionError{Cause: err}
	}
	buffer := heads.Get().(*[]byte)
	head := appendHead((*buffer)[:0], req)
	small := len(req.Body) <= 4<<10
	if small {
		head = append(head, req.Body...)
	}
	_, err := one.Write(head)
	*buffer = head
	heads.Put(buffer)
	if err == nil && !small {
		// A module may answer (and close) before it has read the body: its answer counts, the failed write does not.
		_, _ = one.Write(req.Body)
	}
	if err != nil {
		return nil, failure(err)
	}
	if _, err := one.r.Peek(1); err != nil {
		return nil, failure(err)
	}
	return readHead(one, req.Method)
}

// failure sorts out what ended the wait for the first byte.
func failure(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return &ConnectionError{Cause: err}
}

func appendHead(b []byte, req *Request) []byte {
	b = append(b, req.Method...)
	b = append(b, ' ')
	b = append(b, req.Target...)
	b = append(b, " HTTP/1.1\r\nHost: module\r\n"...)
	b = append(b, req.Header...)
	if len(req.Body) > 0 || req.Method == "POST" || req.Method == "PUT" || req.Method == "PATCH" {
		b = append(b, "Content-Length: "...)
		b = fmt.Appendf(b, "%d", len(req.Body))
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

var responseHeads = sync.Pool{New: func() any { return new(fasthttp.ResponseHeader) }}

// statusLine looks at the beginning of an answer. fasthttp takes more for a status than three digits, and 0 for 200.
func statusLine(r *bufio.Reader) error {
	line, err := r.Peek(len("HTTP/1.1 200"))
	if err != nil {
		return err
	}
	status := line[len("HTTP/1.1 "):]
	if string(line[:len("HTTP/1.")]) != "HTTP/1." || line[len("HTTP/1.1")] != ' ' || status[0] < '1' || status[0] > '9' || !digit(status[1]) || !digit(status[2]) {
		return errors.New("no status line")
	}
	return nil
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// informals is how many 1xx answers may come before the one that counts.
const informals = 3

func readHead(one *conn, method string) (*Response, error) {
	head := responseHeads.Get().(*fasthttp.ResponseHeader)
	for range informals {
		head.Reset()
		err := statusLine(one.r)
		if err == nil {
			err = head.Read(one.r)
		}
		if err != nil {
			responseHeads.Put(head)
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() {
				return nil, err
			}
			return nil, &ProtocolError{Cause: err}
		}
		status := head.StatusCode()
		if status == 100 || status == 102 || status == 103 {
			continue
		}
		if status < 200 || status > 599 {
			break
		}
		return newResponse(one, head, method), nil
	}
	status := head.StatusCode()
	responseHeads.Put(head)
	return nil, &ProtocolError{Cause: fmt.Errorf("status %d", status)}
}
