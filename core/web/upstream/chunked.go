package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// chunked reads a body in chunks. Unlike the standard library's reader it goes on after a timeout: a stream's quiet times are
// used to see whether anybody still listens. Nothing is taken from r before a whole line of it is there.
type chunked struct {
	r    *bufio.Reader
	left int64 // bytes of the chunk that were not read yet
	tail bool  // the line break after a chunk is to come
	end  bool  // the last chunk was read, the trailer is to come
	done bool
	over int // lines of the trailer that were read
}

var errChunk = errors.New("malformed chunk")

const (
	lineLimit    = 256
	trailerLimit = 16
)

// Read reads from one chunk at a time.
func (c *chunked) Read(p []byte) (int, error) {
	for c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	if c.left -= int64(n); c.left == 0 && n > 0 {
		c.tail = true
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads one line between chunks.
func (c *chunked) next() error {
	if c.done {
		return io.EOF
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	switch {
	case c.end:
		if c.over++; c.over > trailerLimit {
			return errChunk
		}
		if len(line) == 0 {
			c.done = true
			return io.EOF
		}
	case c.tail:
		if len(line) != 0 {
			return errChunk
		}
		c.tail = false
	default:
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 48)
		if err != nil || n < 0 {
			return errChunk
		}
		c.left, c.end = n, n == 0
	}
	return nil
}

// line takes a whole line without its end.
func (c *chunked) line() ([]byte, error) {
	for {
		have, _ := c.r.Peek(min(c.r.Buffered(), lineLimit))
		if i := bytes.IndexByte(have, '\n'); i >= 0 {
			line, strict := bytes.CutSuffix(have[:i], []byte("\r"))
			_, _ = c.r.Discard(i + 1) // it was peeked
			if !strict || bytes.IndexByte(line, '\r') >= 0 {
				return nil, errChunk // who reads a bare LF as the end of a line sees other chunks than who does not
			}
			return line, nil
		}
		if len(have) >= lineLimit {
			return nil, errChunk
		}
		if _, err := c.r.Peek(len(have) + 1); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}
