package people

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"mortise/core/fault"
)

// told writes lines down shortly: number, result or address, name, invite, note.
func told(lines []importLine) []string {
	var said []string
	for _, l := range lines {
		text := fmt.Sprintf("%d %s|%s|%t|%s", l.Number, l.Email, l.Name, l.Invite, l.Note)
		if l.Result != lineWaiting {
			text = fmt.Sprintf("%d %s: %s", l.Number, l.Result, l.Sentence)
		}
		said = append(said, text)
	}
	return said
}

func TestReadLines_TakesWhatSpreadsheetsWrite(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"addresses alone":       {"ada@example.com\nbob@example.com", []string{"1 ada@example.com|ada|true|", "2 bob@example.com|bob|true|"}},
		"windows line ends":     {"ada@example.com\r\n\r\n  \r\nbob@example.com\r\n", []string{"1 ada@example.com|ada|true|", "4 bob@example.com|bob|true|"}},
		"old line ends":         {"ada@example.com\rbob@example.com\r", []string{"1 ada@example.com|ada|true|", "2 bob@example.com|bob|true|"}},
		"without headings":      {"ada@example.com, Ada Lovelace ,no,\"Likes, green\"", []string{"1 ada@example.com|Ada Lovelace|false|Likes, green"}},
		"name first":            {"Ada Lovelace;ada@example.com;nein;Grün", []string{"1 ada@example.com|Ada Lovelace|false|Grün"}},
		"address third":         {"Ada,Lovelace,ada@example.com", []string{"1 ada@example.com|Ada|true|"}},
		"headings in any order": {"Note,Invite,E-Mail,Phone,Name\nhello,yes,ada@example.com,123,Ada", []string{"2 ada@example.com|Ada|true|hello"}},
		"german Excel":          {"\xef\xbb\xbfVorname;Nachname;E-Mail-Adresse;Einladen\r\nKäthe;Müller;k@example.com;ja\r\n", []string{"2 k@example.com|Käthe Müller|true|"}},
		"german Excel, old":     {"Vorname;Nachname;E-Mail\r\nK\xe4the;M\xfcller;k@example.com\r\n", []string{"2 k@example.com|Käthe Müller|true|"}},
		"Excel says how":        {"sep=;\r\nName;E-Mail\r\nA, B;a@example.com", []string{"3 a@example.com|A, B|true|"}},
		"UTF-16":                {"\xff\xfeE\x00-\x00M\x00a\x00i\x00l\x00\n\x00a\x00@\x00b\x00", []string{"2 a@b|a|true|"}},
		"tabs":                  {"e-mail\tname\nada@example.com\tAda, the first", []string{"2 ada@example.com|Ada, the first|true|"}},
		"quotation marks":       {"ada@example.com,\"Ada \"\"the first\"\"\nLovelace\",yes\nbob@example.com", []string{"1 ada@example.com|Ada \"the first\" Lovelace|true|", "3 bob@example.com|bob|true|"}},
		"never closed":          {"ada@example.com,\"Ada\nbob@example.com,Bob", []string{"1 invalid: A quotation mark is not closed.", "2 bob@example.com|Bob|true|"}},
		"a mail's form":         {"Ada Lovelace <ada@example.com>", []string{"1 ada@example.com|Ada Lovelace|true|"}},
		"our own file":          {"E-mail,Name,State\nada@example.com,'=Ada,linked", []string{"2 ada@example.com|=Ada|true|"}},
		"from right to left":    {"duaa@example.com,\u200fدعاء الأحمد", []string{"1 duaa@example.com|دعاء الأحمد|true|"}},
		"bad lines": {"e-mail,name,invite\nnobody\n,Ada\nada@example.com,Ada\nADA@example.com\nx@y z,X\nb@example.com,B,perhaps\n@,\nc@example.com," + strings.Repeat("ü", 101),
			[]string{"2 invalid: “nobody” is not an e-mail address.", "3 invalid: There is no address.", "4 ada@example.com|Ada|true|", "5 duplicate: The same address as in line 4.",
				"6 invalid: “x@y z” is not an e-mail address.", "7 invalid: Invite is yes or no, not “perhaps”.", "8 invalid: “@” is not an e-mail address.",
				"9 invalid: The name has more than 100 characters."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := readLines([]byte(tc.file), true)
			if got := told(lines); err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestReadLines_HasLimits(t *testing.T) {
	t.Parallel()
	if lines, err := readLines([]byte("e-mail\n"+strings.Repeat("a@b\n", mostLines)), false); err != nil || len(lines) != mostLines {
		t.Errorf("%d, %v", len(lines), err)
	}
	for name, file := range map[string]string{"lines with headings": "e-mail\n" + strings.Repeat("a@b\n", mostLines+1), "lines": strings.Repeat("a@b\n", mostLines+1), "bytes": strings.Repeat("a", mostBytes+1)} {
		if _, err := readLines([]byte(file), false); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, file := range map[string]string{"nothing": "", "blanks": " \n;;;\n", "headings alone": "e-mail,name\n"} {
		if _, err := readLines([]byte(file), false); !fault.Is(err, fault.Invalid) || fault.FieldsOf(err)["text"] == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGuard_KeepsSpreadsheetsFromComputing(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{"=1+1": "'=1+1", "+49": "'+49", "-1": "'-1", "@SUM": "'@SUM", "\tx": "'\tx", "": "", "Ada": "Ada", "'quoted": "'quoted"} {
		if got := guard(cell); got != want || unguard(got) != cell {
			t.Errorf("%q became %q and %q again", cell, got, unguard(got))
		}
	}
}

func FuzzReadLines(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "E-Mail;Name\r\na@b;\"x\"\"y\nz\"", "\xef\xbb\xbfa@b", "\xff\xfea\x00", "sep=;\na;b", "\"", "\"\n\"", ",,,\n'=x@y", "a@b,\"\x00\xff"} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, invite bool) {
		lines, err := readLines(data, invite)
		if err != nil {
			if len(lines) > 0 {
				t.Error("lines with an error")
			}
			return
		}
		last, seen := 0, map[string]bool{}
		for _, l := range lines {
			if l.Number <= last {
				t.Errorf("line %d after %d", l.Number, last)
			}
			last = l.Number
			for _, text := range []string{l.Email, l.Name, l.Note, l.Sentence} {
				if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
					t.Errorf("unreadable: %q", text)
				}
			}
			if utf8.RuneCountInString(l.Name) > mostAddress || utf8.RuneCountInString(l.Email) > mostAddress+1 || utf8.RuneCountInString(l.Note) > mostNote {
				t.Errorf("too long: %+v", l)
			}
			if l.Result != lineWaiting {
				if l.Sentence == "" {
					t.Error("a result without a sentence")
				}
				continue
			}
			key := strings.ToLower(l.Email)
			if l.Name == "" || !strings.Contains(l.Email, "@") || seen[key] {
				t.Errorf("cannot be tried: %+v", l)
			}
			seen[key] = true
		}
	})
}
