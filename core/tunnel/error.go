package tunnel

import (
	"encoding/binary"

	"mortise/core/fault"
)

// SQLite's primary result codes that the tunnel uses itself. Source: https://sqlite.org/rescode.html.
const (
	codeTooBig = 18
	codeMisuse = 21
)

// Error is an error of the store. Its first three fields are named as in go-sqlite3, because GORM's SQLite dialect recognises errors by
// the JSON of those names: a duplicate key becomes gorm.ErrDuplicatedKey also here, where there is no SQLite.
type Error struct {
	Code         int    // SQLite's primary result code; 0 when the tunnel itself refused
	ExtendedCode int    // SQLite's extended result code
	SystemErrno  int    // errno, when the system was to blame
	Kind         string // fault.Kind by name; "" or "internal" for SQLite's own errors
	Message      string
	TxOver       bool // the transaction, if there was one, has been rolled back
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the fault, when the error has a kind that a visitor may hear of.
func (e *Error) Unwrap() error {
	kind := fault.ParseKind(e.Kind)
	if kind == fault.Internal {
		return nil
	}
	return &fault.Error{Kind: kind, Message: e.Message}
}

// AppendError appends the body of Fail.
func AppendError(b []byte, seq uint64, e *Error) []byte {
	b = append(binary.AppendUvarint(b, seq), boolByte(e.TxOver))
	b = binary.AppendVarint(b, int64(e.Code))
	b = binary.AppendVarint(b, int64(e.ExtendedCode))
	b = binary.AppendVarint(b, int64(e.SystemErrno))
	message := e.Message
	if len(message) > 8<<10 {
		message = message[:8<<10]
	}
	return AppendString(AppendString(b, e.Kind), message)
}

// ReadError reads what AppendError wrote.
func ReadError(body []byte) (seq uint64, e *Error, err error) {
	d := NewDecoder(body)
	seq = d.Uvarint()
	e = &Error{TxOver: d.Byte() == 1, Code: int(d.Varint()), ExtendedCode: int(d.Varint()), SystemErrno: int(d.Varint()),
		Kind: d.String(50), Message: d.String(8 << 10)}
	return seq, e, d.End()
}
