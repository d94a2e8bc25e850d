package tunnel

import (
	"database/sql/driver"
	"encoding/binary"
)

// Statement is the body of Query and Exec.
type Statement struct {
	Seq  uint64
	Tx   TxMode
	SQL  []byte // a part of the frame
	Args []driver.NamedValue
}

// AppendStatement appends a Statement. Named arguments are refused: GORM never sends them.
func AppendStatement(b []byte, seq uint64, tx TxMode, sql string, args []driver.NamedValue) ([]byte, error) {
	if len(sql) > MaxSQL {
		return b, &Error{Code: codeTooBig, ExtendedCode: codeTooBig, Kind: "too_large", Message: "the statement is longer than 1 MiB"}
	}
	b = append(binary.AppendUvarint(b, seq), byte(tx))
	b = AppendString(b, sql)
	b = binary.AppendUvarint(b, uint64(len(args)))
	for i, a := range args {
		if a.Name != "" {
			return b, &Error{Code: codeMisuse, ExtendedCode: codeMisuse, Message: "named arguments are not supported: use ? (GORM's @name works)"}
		}
		var err error
		if b, err = AppendValue(b, args[i].Value); err != nil {
			return b, err
		}
	}
	if len(b) > MaxRequest {
		return b, &Error{Code: codeTooBig, ExtendedCode: codeTooBig, Kind: "too_large", Message: "the arguments of one statement are longer than 20 MiB"}
	}
	return b, nil
}

// ReadStatement reads what AppendStatement wrote; args is reused.
func ReadStatement(body []byte, args []driver.NamedValue) (Statement, error) {
	d := NewDecoder(body)
	s := Statement{Seq: d.Uvarint(), Tx: TxMode(d.Byte()), SQL: d.Bytes(MaxSQL)}
	if s.Tx >= txModeCount {
		d.fail("unknown transaction mode %d", s.Tx)
	}
	n := d.Count(MaxArgs)
	s.Args = args[:0]
	for i := 0; i < n && d.err == nil; i++ {
		s.Args = append(s.Args, driver.NamedValue{Ordinal: i + 1, Value: d.Value()})
	}
	return s, d.End()
}

// Column describes one column of a result.
type Column struct {
	Name string
	Type string // as declared; "" for an expression
}

// AppendColumns appends the header of a result.
func AppendColumns(b []byte, columns []Column) []byte {
	b = binary.AppendUvarint(b, uint64(len(columns)))
	for _, c := range columns {
		b = AppendString(AppendString(b, c.Name), c.Type)
	}
	return b
}

// ReadColumns reads what AppendColumns wrote.
func ReadColumns(body []byte) ([]Column, error) {
	d := NewDecoder(body)
	n := d.Count(maxColumns)
	var columns []Column
	for i := 0; i < n && d.err == nil; i++ {
		columns = append(columns, Column{Name: d.String(MaxSQL), Type: d.String(MaxSQL)})
	}
	return columns, d.End()
}

// Facts are what a statement did to which tables. A cache may keep the result of a deterministic statement until one of the tables in
// Reads is written. Tables are those of the module and "sqlite_master".
type Facts struct {
	Reads, Writes []string
	Deterministic bool // the same tables give the same result: no clock, no randomness, no state of the connection
}

// AppendFacts appends f.
func AppendFacts(b []byte, f Facts) []byte {
	b = append(b, boolByte(f.Deterministic))
	for _, names := range [][]string{f.Reads, f.Writes} {
		b = binary.AppendUvarint(b, uint64(len(names)))
		for _, n := range names {
			b = AppendString(b, n)
		}
	}
	return b
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// ReadFacts reads what AppendFacts wrote.
func ReadFacts(body []byte) (Facts, error) {
	d := NewDecoder(body)
	f := Facts{Deterministic: d.Byte() == 1}
	for _, names := range []*[]string{&f.Reads, &f.Writes} {
		n := d.Count(maxTables)
		for i := 0; i < n && d.err == nil; i++ {
			*names = append(*names, d.String(1000))
		}
	}
	return f, d.End()
}

// Flags of Rows.
const (
	FlagEnd   byte = 1 << iota // no more rows
	FlagFirst                  // header and facts follow
)

// RowsHead is the part of Rows before the rows.
type RowsHead struct {
	Seq     uint64
	Flags   byte
	Columns []byte // for ReadColumns; a part of the frame
	Facts   []byte // for ReadFacts; a part of the frame
}

// AppendRowsHead appends h. Rows follow, each by BeginRow, AppendValue and FinishRow.
func AppendRowsHead(b []byte, h RowsHead) []byte {
	b = append(binary.AppendUvarint(b, h.Seq), h.Flags)
	if h.Flags&FlagFirst != 0 {
		b = AppendBytes(AppendBytes(b, h.Columns), h.Facts)
	}
	return b
}

// ReadRowsHead reads what AppendRowsHead wrote and gives the rows.
func ReadRowsHead(body []byte) (h RowsHead, rows []byte, err error) {
	d := NewDecoder(body)
	h = RowsHead{Seq: d.Uvarint(), Flags: d.Byte()}
	if h.Flags&FlagFirst != 0 {
		h.Columns, h.Facts = d.Bytes(MaxAnswer), d.Bytes(MaxAnswer)
	}
	return h, d.Rest(), d.Err()
}

// BeginRow starts a row; at is for FinishRow.
func BeginRow(b []byte) (row []byte, at int) {
	return append(b, 0, 0, 0, 0), len(b)
}

// FinishRow writes the row's length at its start.
func FinishRow(b []byte, at int) []byte {
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // a row is bounded by SQLite's length limit
	return b
}

// NextRow cuts the first row off rows.
func NextRow(rows []byte) (row, rest []byte, err error) {
	if len(rows) < 4 {
		return nil, nil, malformed("too short")
	}
	n := int64(binary.LittleEndian.Uint32(rows))
	if n > int64(len(rows)-4) {
		return nil, nil, malformed("%d bytes announced, %d there", n, len(rows)-4)
	}
	return rows[4 : 4+n], rows[4+n:], nil
}

// ReadRow reads a row's values into dest, of which there must be as many.
func ReadRow(row []byte, dest []driver.Value) error {
	d := NewDecoder(row)
	for i := range dest {
		dest[i] = d.Value()
	}
	return d.End()
}

// Done is the answer to everything but a query.
type Done struct {
	Seq      uint64
	LastID   int64
	Affected int64
	Facts    []byte // for ReadFacts; empty when there was no statement
}

// AppendDone appends d.
func AppendDone(b []byte, d Done) []byte {
	b = binary.AppendUvarint(b, d.Seq)
	b = binary.AppendVarint(b, d.LastID)
	b = binary.AppendVarint(b, d.Affected)
	return AppendBytes(b, d.Facts)
}

// ReadDone reads what AppendDone wrote.
func ReadDone(body []byte) (Done, error) {
	d := NewDecoder(body)
	done := Done{Seq: d.Uvarint(), LastID: d.Varint(), Affected: d.Varint(), Facts: d.Bytes(MaxAnswer)}
	return done, d.End()
}

// Event is the body of Publish.
type Event struct {
	Seq           uint64
	Tx            TxMode
	Name, Subject string
	Payload       []byte // JSON; a part of the frame
}

// AppendEvent appends e.
func AppendEvent(b []byte, e Event) []byte {
	b = append(binary.AppendUvarint(b, e.Seq), byte(e.Tx))
	return AppendBytes(AppendString(AppendString(b, e.Name), e.Subject), e.Payload)
}

// ReadEvent reads what AppendEvent wrote.
func ReadEvent(body []byte) (Event, error) {
	d := NewDecoder(body)
	e := Event{Seq: d.Uvarint(), Tx: TxMode(d.Byte()), Name: d.String(200), Subject: d.String(500), Payload: d.Bytes(MaxPayload)}
	if e.Tx >= txModeCount {
		d.fail("unknown transaction mode %d", e.Tx)
	}
	return e, d.End()
}

// Applied is the record of a migration that ran.
type Applied struct {
	Seq    uint64
	Tx     TxMode
	Number int64
	Name   string
}

// AppendApplied appends a.
func AppendApplied(b []byte, a Applied) []byte {
	b = append(binary.AppendUvarint(b, a.Seq), byte(a.Tx))
	return AppendString(binary.AppendVarint(b, a.Number), a.Name)
}

// ReadApplied reads what AppendApplied wrote.
func ReadApplied(body []byte) (Applied, error) {
	d := NewDecoder(body)
	a := Applied{Seq: d.Uvarint(), Tx: TxMode(d.Byte()), Number: d.Varint(), Name: d.String(500)}
	if a.Tx >= txModeCount {
		d.fail("unknown transaction mode %d", a.Tx)
	}
	return a, d.End()
}

// AppendHello appends the first frame's body.
func AppendHello(b []byte, bearer string) []byte {
	return AppendString(append(b, Version), bearer)
}

// ReadHello reads what AppendHello wrote.
func ReadHello(body []byte) (version byte, bearer string, err error) {
	d := NewDecoder(body)
	version, bearer = d.Byte(), d.String(MaxHello)
	return version, bearer, d.End()
}

// Welcome is the answer to Hello.
type Welcome struct {
	Version byte
	Migrate bool   // tables may be made and changed
	Module  string // whose session it is
}

// AppendWelcome appends w.
func AppendWelcome(b []byte, w Welcome) []byte {
	return AppendString(append(b, w.Version, boolByte(w.Migrate)), w.Module)
}

// ReadWelcome reads what AppendWelcome wrote.
func ReadWelcome(body []byte) (Welcome, error) {
	d := NewDecoder(body)
	w := Welcome{Version: d.Byte(), Migrate: d.Byte() == 1, Module: d.String(100)}
	return w, d.End()
}

// ReadSeq reads a body that is a number alone.
func ReadSeq(body []byte) (uint64, error) {
	d := NewDecoder(body)
	return d.Uvarint(), d.End()
}

// ReadTwo reads a body of two numbers.
func ReadTwo(body []byte) (a, b uint64, err error) {
	d := NewDecoder(body)
	a, b = d.Uvarint(), d.Uvarint()
	return a, b, d.End()
}
