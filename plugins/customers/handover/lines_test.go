package handover

import (
	"strings"
	"testing"

	"mortise/plugins/internal/particle"
)

func TestReadLines_KeepsCountOfWhatPeoplePaste(t *testing.T) {
	t.Parallel()
	const lamp, pump = "0a10aced202194944a000001", "0a10aced202194944a000002"
	lines, tooMany := readLines("\"Device\";\"Name\"\r\n\r\n\""+strings.ToUpper(lamp)+"\"\tPorch \x00lamp\t SN 1 \n#"+pump+"\n"+pump+",,SN-2\n"+pump+"\nlamp", []string{lamp, pump, lamp, "x"})
	want := []line{
		{Number: 3, ID: lamp, Name: "Porch lamp", Serial: "SN 1"},
		{Number: 5, ID: pump, Serial: "SN-2"},
		{Number: 6, ID: pump, Wrong: "The same device stands in line 5."},
		{Number: 7, ID: "lamp", Wrong: "This is no device id: expected 24 digits from 0 to 9 and a to f."},
		{ID: "x", Wrong: "This is no device id: expected 24 digits from 0 to 9 and a to f."},
	}
	if len(lines) != len(want) || tooMany != 0 {
		t.Fatalf("read %+v, %d", lines, tooMany)
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("line %d is %+v", i, lines[i])
		}
	}
	if lines, tooMany := readLines(strings.Repeat("x\n", 510), []string{lamp}); len(lines) != maxLines || tooMany != 11 {
		t.Errorf("%d lines and %d too many", len(lines), tooMany)
	}
}

func FuzzReadLines(f *testing.F) {
	for _, s := range []string{"0a10aced202194944a000001,Lamp;1", "id,name\n", "\r\r\n,,,", "\xff\t\"", "#"} {
		f.Add(s, "0a10aced202194944a000001")
	}
	f.Fuzz(func(t *testing.T, text, ticked string) {
		lines, tooMany := readLines(text, []string{ticked})
		if len(lines) > maxLines || tooMany < 0 {
			t.Fatalf("%d lines", len(lines))
		}
		seen := map[string]bool{}
		for _, l := range lines {
			if l.Wrong == "" && (!particle.IsDeviceID(l.ID) || seen[l.ID]) {
				t.Errorf("%+v counts as right", l)
			}
			seen[l.ID] = seen[l.ID] || l.Wrong == ""
			if len([]rune(l.ID)) > 40 || len([]rune(l.Name)) > maxName || len([]rune(l.Serial)) > maxSerial || strings.ContainsAny(l.Name+l.Serial, "\n\x00") {
				t.Errorf("%+v is too long or holds what cannot be read", l)
			}
		}
	})
}
