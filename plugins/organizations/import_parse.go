package main

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

// Bounds of what is imported at once, and of what a line may hold.
const (
	maxImportBytes = 1 << 20
	maxImportLines = 10_000
	maxRecordLines = 20 // that one quoted cell may go over
	maxDeviceName  = 64
	maxDeviceNotes = 4000
	maxGroups      = 20
	maxGroupName   = 60
)

// entry is one line of an import as it was read.
type entry struct {
	Number   int    // of the line in the text, from 1
	Read     string // what stood in the place of the id, shortened
	DeviceID string // 24 lower-case hex digits; "" when it is none
	Name     string
	Groups   []string
	Notes    string
	Problem  string // why it is no id, or what was shortened; "" when all is well
}

// entries is a text that was read.
type entries struct {
	list    []entry
	ignored []string // columns that nobody asked for
}

// readEntries reads device ids, one a line, or a CSV with the columns id, name, groups and notes in any order, with a head or
// without, parted by commas, semicolons or tabs. A line that cannot be read is one with a Problem. The error is a fault with
// the sentence for the field: what is no text at all, has no lines, or too many.
func readEntries(raw []byte) (entries, error) {
	text, err := decodeText(raw)
	if err != nil {
		return entries{}, err
	}
	lines := strings.Split(text, "\n")
	separator := separatorOf(lines)
	var out entries
	var columns layout
	head := true
	for i := 0; i < len(lines); {
		record, next, unclosed := readRecord(lines, i, separator)
		number := i + 1
		i = next
		if blank(record) {
			continue
		}
		if head {
			head = false
			var isHead bool
			if columns, isHead, err = layoutOf(record); err != nil {
				return entries{}, err
			}
			if isHead {
				out.ignored = columns.ignored
				continue
			}
			if !hasID(record) {
				columns = columns.guess(lines[next:], separator)
			}
		}
		if len(out.list) == maxImportLines {
			return entries{}, fault.New(fault.TooLarge, "these are more than 10,000 lines; import them in several parts")
		}
		out.list = append(out.list, columns.entry(number, record, unclosed))
	}
	if len(out.list) == 0 {
		return entries{}, fault.New(fault.Invalid, "there is no line to import; expected one device id a line")
	}
	return out, nil
}

// decodeText makes one text with \n of what a program has saved: UTF-8 with or without a mark, UTF-16 with one, or the one-byte
// letters of old spreadsheets.
func decodeText(raw []byte) (string, error) {
	text := string(raw)
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		units := make([]uint16, 0, len(raw)/2)
		for i := 2; i+1 < len(raw); i += 2 {
			if raw[0] == 0xff {
				units = append(units, uint16(raw[i])|uint16(raw[i+1])<<8)
			} else {
				units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
			}
		}
		text = string(utf16.Decode(units))
	case !utf8.ValidString(text):
		runes := make([]rune, len(raw))
		for i, b := range raw {
			runes[i] = rune(b)
		}
		text = string(runes)
	}
	text = strings.TrimPrefix(text, "\ufeff")
	if strings.ContainsRune(text, 0) || strings.HasPrefix(text, "PK\x03\x04") {
		return "", fault.New(fault.Invalid, "this is no text; save the table as CSV, or as text with one id a line")
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), nil
}

// separatorOf finds what parts the cells: the first of tab, semicolon and comma that stands outside of quotes, in the first
// line that has one of them.
func separatorOf(lines []string) byte {
	for _, line := range lines {
		found := map[byte]bool{}
		quoted := false
		for i := range len(line) {
			switch c := line[i]; {
			case c == '"':
				quoted = !quoted
			case !quoted && (c == '\t' || c == ';' || c == ','):
				found[c] = true
			}
		}
		for _, c := range []byte{'\t', ';', ','} {
			if found[c] {
				return c
			}
		}
	}
	return ','
}

// readRecord reads the record that begins in a line, and says where the next one begins. A quoted cell may go over several
// lines. One that is never closed ends with its line, so that it swallows no other: so does one with an id in a line below.
func readRecord(lines []string, at int, separator byte) (cells []string, next int, unclosed bool) {
	text := lines[at]
	cells, open := splitCells(text, separator)
	for next = at + 1; open && next < len(lines) && next-at < maxRecordLines; next++ {
		if plain, _ := splitCells(lines[next], separator); hasID(plain) {
			break
		}
		text += "\n" + lines[next]
		if cells, open = splitCells(text, separator); !open {
			return cells, next + 1, false
		}
	}
	if open {
		cells, _ = splitCells(lines[at], separator)
		return cells, at + 1, true
	}
	return cells, at + 1, false
}

// splitCells parts a record. open tells that its last cell began with a quote that nothing closes.
func splitCells(text string, separator byte) (cells []string, open bool) {
	for {
		lead := strings.TrimLeft(text, " ")
		if !strings.HasPrefix(lead, `"`) {
			before, after, more := strings.Cut(text, string(separator))
			cells = append(cells, before)
			if !more {
				return cells, false
			}
			text = after
			continue
		}
		var cell strings.Builder
		rest := lead[1:]
		for {
			before, after, found := strings.Cut(rest, `"`)
			cell.WriteString(before)
			if !found {
				return append(cells, cell.String()), true
			}
			if !strings.HasPrefix(after, `"`) {
				rest = after
				break
			}
			cell.WriteByte('"')
			rest = after[1:]
		}
		before, after, more := strings.Cut(rest, string(separator)) // what stands behind the closing quote belongs to the cell
		cell.WriteString(before)
		cells = append(cells, cell.String())
		if !more {
			return cells, false
		}
		text = after
	}
}

func hasID(cells []string) bool {
	for _, c := range cells {
		if deviceIDIn(c) != "" {
			return true
		}
	}
	return false
}

func blank(cells []string) bool {
	for _, c := range cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}

// layout says in which column what stands; -1: nowhere.
type layout struct {
	id, name, groups, notes int
	ignored                 []string
}

var columnNames = map[string]string{"id": "id", "deviceid": "id", "device": "id", "coreid": "id", "ids": "id", "deviceids": "id",
	"name": "name", "devicename": "name", "groups": "groups", "group": "groups", "notes": "notes", "note": "notes"}

// layoutOf reads the first record: a head that names the columns, or a line without one. A head without an id is an error.
func layoutOf(record []string) (l layout, isHead bool, err error) {
	l = layout{-1, -1, -1, -1, nil}
	for i, cell := range record {
		if deviceIDIn(cell) != "" { // no head: the id stands here, and behind it name, groups and notes
			l = layout{id: i, name: i + 1, groups: i + 2, notes: i + 3}
			return l, false, nil
		}
		word := strings.Map(func(c rune) rune {
			if unicode.IsLetter(c) {
				return unicode.ToLower(c)
			}
			return -1
		}, cell)
		place := map[string]*int{"id": &l.id, "name": &l.name, "groups": &l.groups, "notes": &l.notes}[columnNames[word]]
		switch {
		case place != nil && *place < 0:
			*place = i
		case strings.TrimSpace(cell) != "" && len(l.ignored) < 20:
			l.ignored = append(l.ignored, readable(cell, 40))
		}
	}
	switch {
	case l.id >= 0:
		return l, true, nil
	case l.name >= 0 && (l.groups >= 0 || l.notes >= 0):
		return l, false, fault.New(fault.Invalid, "the first line names the columns, and none is called id or device id")
	}
	return layout{id: 0, name: 1, groups: 2, notes: 3}, false, nil
}

// guess finds the column of the ids in the first line that has one, for a text whose first line has neither a head nor an id.
func (l layout) guess(lines []string, separator byte) layout {
	for _, line := range lines {
		cells, _ := splitCells(line, separator)
		if hasID(cells) {
			l, _, _ = layoutOf(cells) // it has an id: no head, no error
			break
		}
	}
	return l
}

func cellOf(record []string, i int) string {
	if i < 0 || i >= len(record) {
		return ""
	}
	return record[i]
}

func (l layout) entry(number int, record []string, unclosed bool) entry {
	raw := cellOf(record, l.id)
	e := entry{Number: number, Read: readable(raw, 100), DeviceID: deviceIDIn(raw)}
	if e.DeviceID == "" {
		e.Problem = whyNoID(raw)
		if unclosed {
			e.Problem = "A quotation mark is opened in this line and not closed. " + e.Problem
		}
		return e
	}
	var cut []string
	name := readable(cellOf(record, l.name), maxDeviceName+1)
	if e.Name = readable(name, maxDeviceName); e.Name != name {
		cut = append(cut, "The name was cut after 64 characters.")
	}
	for _, g := range strings.FieldsFunc(cellOf(record, l.groups), func(c rune) bool { return c == ',' || c == ';' || c == '|' }) {
		if g = readable(g, maxGroupName); g == "" {
			continue
		}
		if len(e.Groups) == maxGroups {
			cut = append(cut, "Only the first twenty groups are taken.")
			break
		}
		e.Groups = append(e.Groups, g)
	}
	notes := strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || unicode.IsPrint(c) {
			return c
		}
		return -1
	}, cellOf(record, l.notes)))
	if len(notes) > maxDeviceNotes {
		notes = strings.ToValidUTF8(notes[:maxDeviceNotes], "")
		cut = append(cut, "The notes were cut after 4,000 characters.")
	}
	e.Notes = notes
	if unclosed {
		cut = append(cut, "A quotation mark is opened in this line and not closed.")
	}
	e.Problem = strings.Join(cut, " ")
	return e
}

// deviceIDIn is the device id that a cell holds, without the spaces, the upper case and the apostrophe that people and spreadsheets
// put there; "" when it is none.
func deviceIDIn(cell string) string {
	id := bare(cell)
	if len(id) != 24 || !particle.IsDeviceID(id) {
		return ""
	}
	return particle.NormalID(id)
}

// bare takes away what surrounds an id.
func bare(cell string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) || c == '\'' || c == '"' {
			return -1
		}
		return c
	}, cell)
}

const expectedID = "Expected 24 characters, each 0 to 9 or a to f."

// whyNoID says what was read instead of an id, and what was expected.
func whyNoID(cell string) string {
	id := bare(cell)
	letters := []rune(id)
	switch wrong := strings.IndexFunc(id, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", c) }); {
	case id == "":
		return "There is no id in this line. " + expectedID
	case strings.ContainsAny(id, "eE") && strings.ContainsAny(id, "+.,"):
		return "Read a number such as spreadsheets make of long ids. Format the column as text and enter the id again. " + expectedID
	case wrong >= 0 && len(letters) == 24:
		return "Read “" + string([]rune(id[wrong:])[0]) + "” in the id, which does not occur in ids. " + expectedID
	case wrong >= 0:
		return "Read " + countOf(len(letters), "character") + " that are no id. " + expectedID
	}
	return "Read " + countOf(len(letters), "character") + ". " + expectedID
}
