package main

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"mortise/core/fault"
)

const (
	id1 = "0a10aced2021949440000001"
	id2 = "0a10aced2021949440000002"
	id3 = "0a10aced2021949440000003"
)

// told is what was read, one line each.
func told(e entries) string {
	var b strings.Builder
	for _, one := range e.list {
		fmt.Fprintf(&b, "%d %s %s %s %s\n", one.Number, one.DeviceID, one.Name, strings.Join(one.Groups, "+"), strings.ReplaceAll(one.Notes, "\n", "/"))
	}
	return strings.TrimSpace(b.String())
}

func TestReadEntries_TakesTextAndTablesAsTheyCome(t *testing.T) {
	t.Parallel()
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune("id\tname\r\n" + id1 + "\tGärtchen\r\n")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, one := range map[string]struct{ text, want string }{
		"one a line":              {id1 + "\n\n" + id2, "1 " + id1 + "   \n3 " + id2},
		"a mark and CRLF":         {"\ufeff" + id1 + "\r\n" + id2 + "\r\n", "1 " + id1 + "   \n2 " + id2},
		"old line ends":           {id1 + "\r" + id2, "1 " + id1 + "   \n2 " + id2},
		"upper case and spaces":   {"  0A10 ACED 2021 9494 4000 0001 \n'" + id2, "1 " + id1 + "   \n2 " + id2},
		"a head in another order": {"Notes,Device ID,Name\nwest,\"" + id1 + "\",Porch", "2 " + id1 + " Porch  west"},
		"semicolons":              {"device_id;name;groups;notes\n" + id1 + ";Lamp, old;north|bench;a, b", "2 " + id1 + " Lamp, old north+bench a, b"},
		"no head":                 {id1 + ",Porch,\"north,bench\",wall", "1 " + id1 + " Porch north+bench wall"},
		"the id elsewhere":        {"7," + id1 + ",Porch", "1 " + id1 + " Porch"},
		"quotes in quotes":        {id1 + `,"the ""big"" lamp"`, "1 " + id1 + ` the "big" lamp`},
		"a cell over lines":       {"id,notes\n" + id1 + ",\"north\nwall\"\n" + id2 + ",", "2 " + id1 + "   north/wall\n4 " + id2},
		"an open quote":           {"id,notes\n" + id1 + ",\"north\n" + id2 + ",\"south\"", "2 " + id1 + "   north\n3 " + id2 + "   south"},
		"a bad first line":        {"lamp one,x\nA," + id1 + ",Porch", "1    \n2 " + id1 + " Porch"},
		"from a spreadsheet":      {string(wide), "2 " + id1 + " Gärtchen"},
		"one-byte letters":        {"id;name\n" + id1 + ";G\xe4rtchen", "2 " + id1 + " Gärtchen"},
		"tabs":                    {id1 + "\tPorch\n" + id2 + "\tCellar", "1 " + id1 + " Porch  \n2 " + id2 + " Cellar"},
	} {
		e, err := readEntries([]byte(one.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		trim := func(s string) string {
			lines := strings.Split(s, "\n")
			for i := range lines {
				lines[i] = strings.TrimRight(lines[i], " ")
			}
			return strings.Join(lines, "\n")
		}
		if got := trim(told(e)); got != trim(one.want) {
			t.Errorf("%s:\n%s\ninstead of\n%s", name, got, trim(one.want))
		}
	}
}

func TestReadEntries_SaysWhatIsNoIDAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0a10aced20219494":         "Read 16 characters.",
		id1 + "00":                 "Read 26 characters.",
		"0a10aced202194944000000g": "Read “g” in the id",
		"1.23E+23":                 "Read a number such as spreadsheets make",
		"porch lamp":               "Read 9 characters that are no id.",
		",Porch":                   "There is no id in this line.",
	} {
		e, err := readEntries([]byte(id1 + "\n" + text))
		if err != nil || len(e.list) != 2 || !strings.HasPrefix(e.list[1].Problem, want) || !strings.HasSuffix(e.list[1].Problem, expectedID) {
			t.Errorf("%q: %v %+v", text, err, e.list)
		}
	}
}

func TestReadEntries_RefusesWhatIsNoListOfIDs(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		text string
		kind fault.Kind
	}{
		"nothing":         {"\n \r\n", fault.Invalid},
		"a head alone":    {"id,name\n", fault.Invalid},
		"no id column":    {"name,groups\nPorch,north", fault.Invalid},
		"a workbook":      {"PK\x03\x04\x14\x00", fault.Invalid},
		"too many lines":  {strings.Repeat("x\n", maxImportLines+1), fault.TooLarge},
		"bytes of a file": {"\x7fELF\x00\x01", fault.Invalid},
	} {
		if _, err := readEntries([]byte(one.text)); !fault.Is(err, one.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, err := readEntries([]byte("id,serial,colour\n" + id1 + ",1,red"))
	if err != nil || strings.Join(e.ignored, " ") != "serial colour" {
		t.Errorf("columns that nobody asked for: %v %v", e.ignored, err)
	}
}

func FuzzReadEntries(f *testing.F) {
	for _, seed := range []string{id1, id1 + "\r\n" + id2, "\ufeffid;name\n" + id1 + `;"a""b` + "\n" + id2, "\xff\xfe0\x00", `"""`, "id,notes\n" + id1 + ",\"x\ny\"z,\n", "\"\n\"\n\"", "a,b\n'" + id3} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		e, err := readEntries(raw)
		if err != nil {
			if _, visible := fault.Visible(err); !visible {
				t.Fatalf("nobody can read %v", err)
			}
			return
		}
		last := 0
		for _, one := range e.list {
			if one.Number <= last {
				t.Fatalf("line %d follows line %d", one.Number, last)
			}
			last = one.Number
			if one.DeviceID == "" && !strings.HasSuffix(one.Problem, expectedID) {
				t.Fatalf("line %d does not say what was expected: %+v", last, one)
			}
			if one.DeviceID != "" && deviceIDIn(one.DeviceID) != one.DeviceID {
				t.Fatalf("line %d: %q is no id", last, one.DeviceID)
			}
			for _, text := range append([]string{one.Read, one.Name, one.Notes}, one.Groups...) {
				if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
					t.Fatalf("line %d holds what is no text", last)
				}
			}
			if len([]rune(one.Name)) > maxDeviceName || len(one.Groups) > maxGroups || len(one.Notes) > maxDeviceNotes {
				t.Fatalf("line %d is longer than it may be", last)
			}
		}
		// Every id that stands alone in its line is found, whatever the lines around it hold.
		if again, err := readEntries(append([]byte(id1+"\n"), raw...)); err == nil && utf8.Valid(raw) && len(again.list) > 0 && again.list[0].DeviceID != id1 {
			t.Fatalf("the first line became %+v", again.list[0])
		}
	})
}
