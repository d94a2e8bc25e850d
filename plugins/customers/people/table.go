package people

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// record is one row of a table in text.
type record struct {
	line   int // where it begins, from 1
	cells  []string
	broken bool // a quotation mark is not closed
}

// decode makes text of a file as spreadsheets write them: UTF-8 with or without a mark, UTF-16 with a mark, or Windows-1252, which is
// what Excel writes in Western Europe.
func decode(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		b = b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return fromUTF16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return fromUTF16(b[2:], binary.BigEndian)
	}
	if utf8.Valid(b) {
		return string(b)
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(text)
}

func fromUTF16(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return string(utf16.Decode(units))
}

// separatorOf finds what parts the cells: what Excel says in a first line "sep=;", or what the first lines have most of.
func separatorOf(text string) (separator byte, rest string, skipped int) {
	first, after, _ := strings.Cut(text, "\n")
	if s, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(first)), "sep="); ok && len(s) == 1 {
		return s[0], after, 1
	}
	sample := text[:min(len(text), 4096)]
	separator = ','
	for _, s := range []byte{';', '\t'} {
		if strings.Count(sample, string(s)) > strings.Count(sample, string(separator)) {
			separator = s
		}
	}
	return separator, text, 0
}

const longestQuoted = 8 << 10 // bytes of a quoted cell; one that is longer was never closed

// readTable parts text into records. Lines without anything are left out. A quotation mark that is never closed breaks its own line
// and no other.
func readTable(text string, most int) (list []record, tooMany bool) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	separator, text, line := separatorOf(text)
	for line++; text != ""; {
		one := record{line: line}
		var used int
		one.cells, used, one.broken = readRecord(text, separator)
		line += strings.Count(text[:used], "\n")
		text = text[used:]
		if !one.broken && strings.Join(one.cells, "") == "" {
			continue
		}
		if len(list) == most {
			return list, true
		}
		list = append(list, one)
	}
	return list, false
}

const mostCells = 100 // of a record; what stands behind them is not read

// readRecord reads one record and tells how many bytes it took, with the line end.
func readRecord(text string, separator byte) (cells []string, used int, broken bool) {
	for at := 0; ; {
		cell, next, ok := readCell(text[at:], separator)
		if !ok {
			end := strings.IndexByte(text, '\n')
			if end < 0 {
				end = len(text) - 1
			}
			return nil, end + 1, true
		}
		if len(cells) < mostCells {
			cells = append(cells, strings.TrimSpace(cell))
		}
		at += next
		switch {
		case at >= len(text):
			return cells, len(text), false
		case text[at] == '\n':
			return cells, at + 1, false
		}
		at++ // the separator
	}
}

// readCell reads up to the next separator or line end outside of quotation marks. ok is false when one is not closed.
func readCell(text string, separator byte) (cell string, used int, ok bool) {
	blanks := len(text) - len(strings.TrimLeft(text, " "))
	if blanks < len(text) && text[blanks] == '"' {
		var b strings.Builder
		for at := blanks + 1; at < len(text) && at < longestQuoted; at++ {
			if text[at] != '"' {
				b.WriteByte(text[at])
				continue
			}
			if at+1 < len(text) && text[at+1] == '"' {
				b.WriteByte('"')
				at++
				continue
			}
			rest := text[at+1:]
			end := endOfCell(rest, separator)
			return b.String() + rest[:end], at + 1 + end, true
		}
		return "", 0, false
	}
	end := endOfCell(text, separator)
	return text[:end], end, true
}

func endOfCell(text string, separator byte) int {
	for i := range len(text) {
		if text[i] == separator || text[i] == '\n' {
			return i
		}
	}
	return len(text)
}
