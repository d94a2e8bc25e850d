package handover

import (
	"fmt"
	"strings"

	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
)

const (
	maxLines  = 500 // of one form: as many as can be looked up at once
	maxName   = 80  // characters of a device's name
	maxSerial = 60
)

// line is a device that somebody entered.
type line struct {
	Number int    // from 1, as it was typed; 0 for a box that was ticked
	ID     string // 24 hex digits in lower case; what was typed when it is no id
	Name   string // "": take the device's own
	Serial string // "": take the device's own
	Wrong  string // a sentence, or "" when it can be looked up
}

// readLines reads devices: one a line, as an id, or as "id, name, serial" with commas, semicolons or tabs between, then the ids of boxes
// that were ticked. Empty lines, lines that begin with # and a first line without an id (the heads of a table) are left out. tooMany counts
// the lines above maxLines, which are not read.
func readLines(text string, ticked []string) (lines []line, tooMany int) {
	seen := map[string]int{}
	add := func(l line) {
		if len(lines) == maxLines {
			tooMany++
			return
		}
		if first, twice := seen[l.ID]; twice && l.Wrong == "" {
			if l.Number == 0 || first == 0 { // typed and ticked
				return
			}
			l.Wrong = fmt.Sprintf("The same device stands in line %d.", first)
		} else if l.Wrong == "" {
			seen[l.ID] = l.Number
		}
		lines = append(lines, l)
	}
	for i, row := range strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		if row = strings.TrimSpace(row); row == "" || row[0] == '#' {
			continue
		}
		l := readLine(i+1, row)
		if i == 0 && l.Wrong != "" && strings.ContainsAny(row, ",;\t") {
			continue
		}
		add(l)
	}
	for _, id := range ticked {
		add(readLine(0, id))
	}
	return lines, tooMany
}

func readLine(number int, row string) line {
	parts := strings.Split(strings.NewReplacer(";", ",", "\t", ",").Replace(row), ",")
	l := line{Number: number}
	for i, part := range parts {
		part = strings.Trim(strings.TrimSpace(part), `"`)
		switch i {
		case 0:
			l.ID = particle.NormalID(part)
		case 1:
			l.Name = site.Readable(part, maxName)
		case 2:
			l.Serial = site.Readable(part, maxSerial)
		}
	}
	if !particle.IsDeviceID(l.ID) {
		l.ID = site.Readable(l.ID, 40)
		l.Wrong = "This is no device id: expected 24 digits from 0 to 9 and a to f."
	}
	return l
}
