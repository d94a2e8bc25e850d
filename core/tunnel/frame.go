package tunnel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version of the protocol. The host refuses others.
const Version = 1

// Limits of the protocol, enforced by whoever reads.
const (
	MaxSQL      = 1 << 20  // bytes of one statement
	MaxArgs     = 32766    // SQLite's own limit of parameters
	MaxValue    = 16 << 20 // bytes of one text, blob or row
	MaxRequest  = 20 << 20 // bytes of one frame to the host
	MaxAnswer   = 64 << 20 // bytes of one frame to the module
	MaxPayload  = 64 << 10 // bytes of one event
	MaxHello    = 4 << 10  // bytes of the first frame, which anybody may send
	maxColumns  = 2000     // SQLite's own limit
	maxTables   = 1000
	headerBytes = 5
)

// Kind is the kind of a frame.
type Kind byte

// The kinds, first those to the host.
const (
	KindHello    Kind = 'H'
	KindQuery    Kind = 'Q'
	KindExec     Kind = 'E'
	KindMore     Kind = 'M'
	KindClose    Kind = 'C'
	KindCommit   Kind = 'T'
	KindRollback Kind = 'B'
	KindPing     Kind = 'P'
	KindPublish  Kind = 'U'
	KindApplied  Kind = 'A'
	KindCancel   Kind = 'X'

	KindWelcome Kind = 'W'
	KindRows    Kind = 'R'
	KindDone    Kind = 'D'
	KindFail    Kind = 'F'
)

// TxMode says how a statement relates to a transaction.
type TxMode byte

// The modes.
const (
	TxNone      TxMode = iota // on its own
	TxWrite                   // begin a write transaction, then run
	TxReadOnly                // begin a read-only transaction, then run
	TxInside                  // in the transaction that is open
	txModeCount               // not a mode
)

// ErrProtocol is wrapped by every error about a frame that cannot be read. The session is over then.
var ErrProtocol = errors.New("tunnel: malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// Begin empties buf and starts a frame in it. Append the body, then call Finish.
func Begin(buf []byte, kind Kind) []byte {
	return append(buf[:0], 0, 0, 0, 0, byte(kind))
}

// Finish writes the length of the frame that Begin started; the frame is then ready to be sent as it is.
func Finish(buf []byte) []byte {
	binary.LittleEndian.PutUint32(buf, uint32(len(buf)-headerBytes+1)) //nolint:gosec // bounded by MaxAnswer and MaxRequest
	return buf
}

// FrameReader reads frames.
type FrameReader struct {
	r *bufio.Reader
}

// NewFrameReader reads frames from r.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{r: bufio.NewReaderSize(r, 16<<10)} }

// Peek waits for the next frame and tells its kind, and its body when that is short (at most 64 bytes), without taking it. An error of
// the underlying reader, such as a passed deadline, leaves everything in place for the next call.
func (f *FrameReader) Peek() (kind Kind, body []byte, err error) {
	head, err := f.r.Peek(headerBytes)
	if err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	kind = Kind(head[4])
	if n < 1 || n > 65 {
		return kind, nil, nil
	}
	all, err := f.r.Peek(headerBytes + int(n) - 1)
	if err != nil {
		return 0, nil, err
	}
	return kind, all[headerBytes:], nil
}

// Discard takes the frame away whose body Peek returned.
func (f *FrameReader) Discard(body []byte) {
	_, _ = f.r.Discard(headerBytes + len(body)) // it is buffered: Peek returned it
}

// Read takes the next frame. Its body is put into buf, which grows when needed, and is at most limit bytes. Memory grows only with what
// has really arrived, whatever length a frame claims. An error that comes before the frame has begun, such as a passed deadline, leaves
// everything in place; one in the middle wraps ErrProtocol.
func (f *FrameReader) Read(buf []byte, limit int) (kind Kind, body []byte, err error) {
	head, err := f.r.Peek(headerBytes)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, buf, err
	}
	n := int64(binary.LittleEndian.Uint32(head)) - 1
	kind = Kind(head[4])
	if n < 0 || n > int64(limit) {
		return kind, buf, malformed("%d bytes, at most %d are allowed", n, limit)
	}
	_, _ = f.r.Discard(headerBytes) // it is buffered: Peek returned it
	body, err = readBody(f.r, buf[:0], int(n))
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return kind, body, err
}

// step is how much memory is given in advance to what a length claims.
const step = 1 << 20

func readBody(r io.Reader, buf []byte, n int) ([]byte, error) {
	for len(buf) < n {
		part := min(n-len(buf), step)
		start := len(buf)
		if cap(buf)-start < part {
			buf = append(make([]byte, 0, max(start+part, min(n, 2*cap(buf)))), buf...)
		}
		buf = buf[:start+part]
		if _, err := io.ReadFull(r, buf[start:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buf[:start], err
		}
	}
	return buf, nil
}
