package particle

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// Limits of the event stream. The cloud's own are 64 characters for a name and 1024 bytes of data.
const (
	maxLine  = 64 << 10 // a longer line is left out together with its event
	maxFrame = 128 << 10
	maxSkip  = 1 << 20 // a line longer than this ends the stream
)

var errEndlessLine = errors.New("a line of the event stream is longer than 1 MiB")

// Frame is one dispatched event of a text/event-stream, before its data is understood.
type Frame struct {
	Name string // "" when there was no event line or an empty one
	Data []byte // lines joined by \n, without the last one; never empty
}

// Decoder reads a text/event-stream (https://html.spec.whatwg.org/multipage/server-sent-events.html): lines may end with \n,
// \r\n or \r, comments and unknown fields are left out, and an event whose stream ends before its blank line is dropped.
// Oversized events are left out too and counted.
type Decoder struct {
	r       *bufio.Reader
	line    []byte
	afterCR bool // the last line ended with \r, so a following \n belongs to it
	started bool
	skipped int
}

// NewDecoder reads from r, which need not be buffered.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, 4096)} }

// Skipped is how many events were left out because they were too large.
func (d *Decoder) Skipped() int { return d.skipped }

// Next returns the next event that has data. At the end of the stream it returns r's error, usually io.EOF.
func (d *Decoder) Next() (Frame, error) {
	var (
		f     Frame
		large bool
	)
	for {
		line, fits, err := d.readLine()
		if err != nil {
			return Frame{}, err
		}
		large = large || !fits
		if len(line) == 0 && fits {
			if large {
				d.skipped++
			} else if len(f.Data) > 1 { // one byte is the end of an empty line
				f.Data = f.Data[:len(f.Data)-1]
				return f, nil
			}
			f, large = Frame{}, false
			continue
		}
		field, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			f.Name = strings.ToValidUTF8(value, "\uFFFD")
		case "data":
			if len(f.Data)+len(value) > maxFrame {
				large = true
				continue
			}
			f.Data = append(append(f.Data, value...), '\n')
		}
	}
}

// readLine returns a line without its end; fits is false when it was too long, and the line is then cut.
func (d *Decoder) readLine() (line []byte, fits bool, err error) {
	d.line = d.line[:0]
	for length := 0; ; length++ {
		c, err := d.r.ReadByte()
		if err != nil {
			return nil, false, err
		}
		if d.afterCR {
			d.afterCR = false
			if c == '\n' {
				length--
				continue
			}
		}
		if c == '\n' || c == '\r' {
			d.afterCR = c == '\r'
			if !d.started {
				d.started = true
				d.line = trimBOM(d.line)
			}
			return d.line, length <= maxLine, nil
		}
		if length < maxLine {
			d.line = append(d.line, c)
		}
		if length > maxSkip {
			return nil, false, errEndlessLine
		}
	}
}

func trimBOM(line []byte) []byte {
	if len(line) >= 3 && line[0] == 0xEF && line[1] == 0xBB && line[2] == 0xBF {
		return line[3:]
	}
	return line
}
