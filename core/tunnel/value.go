package tunnel

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The tags of a value, one byte before it.
const (
	tagNull byte = iota
	tagInt
	tagFloat
	tagText
	tagBlob
	tagTime
	tagFalse
	tagTrue
)

// AppendValue appends one value of those that database/sql knows. A time is sent as UTC: seconds since 1970 and nanoseconds.
func AppendValue(b []byte, v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, tagNull), nil
	case int64:
		return binary.AppendVarint(append(b, tagInt), v), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, tagFloat), math.Float64bits(v)), nil
	case string:
		return AppendString(append(b, tagText), v), nil
	case []byte:
		if v == nil {
			return append(b, tagNull), nil
		}
		return AppendBytes(append(b, tagBlob), v), nil
	case time.Time:
		b = binary.AppendVarint(append(b, tagTime), v.Unix())
		return binary.AppendUvarint(b, uint64(v.Nanosecond())), nil //nolint:gosec // 0 to 999999999
	case bool:
		if v {
			return append(b, tagTrue), nil
		}
		return append(b, tagFalse), nil
	}
	return b, fmt.Errorf("tunnel: a value of type %T cannot be sent", v)
}

// AppendString appends the length of s and s.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendBytes appends the length of p and p.
func AppendBytes(b, p []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// Decoder reads the body of a frame. After the first mistake every method gives zero values and Err the mistake.
type Decoder struct {
	buf  []byte
	text string // the same bytes as a string, once a text was asked for: one allocation for all texts of a row
	own  int    // length of buf when text was made
	err  error
}

// NewDecoder reads body, which must stay as it is while blobs from it are in use.
func NewDecoder(body []byte) Decoder { return Decoder{buf: body} }

// Err is the first mistake, wrapping ErrProtocol.
func (d *Decoder) Err() error { return d.err }

// End is Err, or a mistake when something is left over.
func (d *Decoder) End() error {
	if d.err == nil && len(d.buf) > 0 {
		d.fail("%d bytes too many", len(d.buf))
	}
	return d.err
}

// Rest gives what has not been read.
func (d *Decoder) Rest() []byte { return d.buf }

func (d *Decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = malformed(format, args...)
	}
	d.buf = nil
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.buf) == 0 {
		d.fail("too short")
		return 0
	}
	c := d.buf[0]
	d.buf = d.buf[1:]
	return c
}

// Uvarint reads an unsigned number.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

// Varint reads a signed number.
func (d *Decoder) Varint() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

// Count reads a number of at most limit.
func (d *Decoder) Count(limit int) int {
	v := d.Uvarint()
	if v > uint64(limit) { //nolint:gosec // limits are positive constants
		d.fail("%d is more than %d", v, limit)
		return 0
	}
	return int(v) //nolint:gosec // at most limit
}

// Bytes reads a length of at most limit and so many bytes, which are not copied.
func (d *Decoder) Bytes(limit int) []byte {
	n := d.Count(limit)
	if n > len(d.buf) {
		d.fail("%d bytes announced, %d there", n, len(d.buf))
		return nil
	}
	p := d.buf[:n:n]
	d.buf = d.buf[n:]
	return p
}

// String reads like Bytes and copies.
func (d *Decoder) String(limit int) string { return string(d.Bytes(limit)) }

// Value reads what AppendValue wrote. A blob is not copied.
func (d *Decoder) Value() driver.Value {
	switch tag := d.Byte(); tag {
	case tagNull:
		return nil
	case tagInt:
		return d.Varint()
	case tagFloat:
		return d.float()
	case tagText:
		return d.sharedText()
	case tagBlob:
		if p := d.Bytes(MaxValue); p != nil {
			return p
		}
		return []byte{}
	case tagTime:
		return d.time()
	case tagFalse:
		return false
	case tagTrue:
		return true
	default:
		d.fail("unknown tag %d", tag)
		return nil
	}
}

func (d *Decoder) float() float64 {
	if len(d.buf) < 8 {
		d.fail("too short")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.buf))
	d.buf = d.buf[8:]
	return v
}

func (d *Decoder) time() time.Time {
	sec, nsec := d.Varint(), d.Uvarint()
	if nsec >= uint64(time.Second) {
		d.fail("bad nanoseconds")
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC() //nolint:gosec // below 1e9
}

// sharedText reads a text as a part of one string made of all that is left.
func (d *Decoder) sharedText() string {
	n := d.Count(MaxValue)
	if n > len(d.buf) {
		d.fail("%d bytes announced, %d there", n, len(d.buf))
		return ""
	}
	if n == 0 {
		return ""
	}
	if d.own == 0 {
		d.text, d.own = string(d.buf), len(d.buf)
	}
	at := d.own - len(d.buf)
	d.buf = d.buf[n:]
	return d.text[at : at+n]
}
