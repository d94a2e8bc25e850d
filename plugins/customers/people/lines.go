package people

import (
	"fmt"
	"strings"

	"mortise/core/fault"
	"mortise/plugins/customers/site"
)

const (
	mostLines = 10_000
	mostBytes = 1 << 20
	shownCell = 60 // characters of a cell in a sentence
)

// columns says in which cell of a record something stands; -1: nowhere.
type columns struct{ email, name, first, last, invite, note int }

// headings are what the first line may call a column.
var headings = map[string]string{
	"e-mail": "email", "email": "email", "mail": "email", "e-mail address": "email", "email address": "email", "e-mail-adresse": "email", "emailadresse": "email",
	"email-adresse": "email", "mailadresse": "email", "adresse": "email", "address": "email", "courriel": "email", "correo": "email",
	"name": "name", "full name": "name", "customer": "name", "kunde": "name", "nom": "name", "nombre": "name",
	"first name": "first", "firstname": "first", "given name": "first", "vorname": "first", "prenom": "first",
	"last name": "last", "lastname": "last", "surname": "last", "family name": "last", "nachname": "last", "familienname": "last",
	"invite": "invite", "einladen": "invite", "einladung": "invite",
	"note": "note", "notes": "note", "notiz": "note", "notizen": "note", "bemerkung": "note", "anmerkung": "note", "comment": "note",
}

var (
	yes = []string{"yes", "y", "true", "1", "x", "ja", "j", "oui", "si"}
	no  = []string{"no", "n", "false", "0", "nein", "non"}
)

// readLines makes the lines of an import of a file or of typed text. Every line that can be read is there, also the bad ones, with what
// is wrong. inviteAll counts where a line says nothing of it.
//
// Errors: fault.TooLarge, and fault.Invalid when there is no line at all.
func readLines(data []byte, inviteAll bool) ([]importLine, error) {
	if len(data) > mostBytes {
		return nil, fault.New(fault.TooLarge, "The file is larger than 1 MiB. Part it into several.")
	}
	table, tooMany := readTable(decode(data), mostLines+1) // one for the headings
	if len(table) > mostLines {
		_, heading := headingOf(table[0])
		tooMany = tooMany || !heading
	}
	if tooMany {
		return nil, fault.New(fault.TooLarge, "The file has more than %d lines. Part it into several.", mostLines)
	}
	if len(table) == 0 {
		return nil, fault.InvalidFields("There is nothing to import.", map[string]string{"text": "choose a file or type at least one address"})
	}
	where, heading := headingOf(table[0])
	if heading {
		table = table[1:]
	} else {
		where = guess(table)
	}
	if len(table) == 0 {
		return nil, fault.InvalidFields("There is nothing to import.", map[string]string{"text": "below the headings there is no line"})
	}
	lines, first := make([]importLine, 0, len(table)), map[string]int{}
	for _, one := range table {
		l := lineOf(one, where, inviteAll)
		if l.Result == lineWaiting {
			key := strings.ToLower(l.Email)
			if at, again := first[key]; again {
				l.Result, l.Sentence = lineDuplicate, fmt.Sprintf("The same address as in line %d.", at)
			} else {
				first[key] = l.Number
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// headingOf reads the first line as headings. It is one when it has no address but names the column of addresses.
func headingOf(r record) (where columns, ok bool) {
	where = columns{-1, -1, -1, -1, -1, -1}
	slots := map[string]*int{"email": &where.email, "name": &where.name, "first": &where.first, "last": &where.last, "invite": &where.invite, "note": &where.note}
	for i, cell := range r.cells {
		if strings.Contains(cell, "@") {
			return where, false
		}
		if slot := slots[headings[fold(cell)]]; slot != nil && *slot < 0 {
			*slot = i
		}
	}
	return where, where.email >= 0
}

// guess tells the columns of a file without headings: the addresses where the first one is, the others after it in the order name,
// invite, note.
func guess(table []record) columns {
	where := columns{0, 1, -1, -1, 2, 3}
	for _, r := range table[:min(len(table), 20)] {
		for i, cell := range r.cells {
			if !strings.Contains(cell, "@") {
				continue
			}
			if where.email = i; i == 1 {
				where.name = 0
			} else if i > 1 {
				where = columns{i, 0, -1, -1, -1, -1}
			}
			return where
		}
	}
	return where
}

func lineOf(r record, where columns, inviteAll bool) importLine {
	cell := func(i int) string {
		if i < 0 || i >= len(r.cells) {
			return ""
		}
		return unguard(r.cells[i])
	}
	l := importLine{Number: r.line, Invite: inviteAll, Note: site.ReadableLines(cell(where.note), mostNote)}
	bad := func(format string, args ...any) importLine {
		l.Result, l.Sentence = lineInvalid, fmt.Sprintf(format, args...)
		return l
	}
	if r.broken {
		return bad("A quotation mark is not closed.")
	}
	name, email := cell(where.name), cell(where.email)
	if name == "" {
		name = cell(where.first) + " " + cell(where.last)
	}
	if before, inside, ok := strings.Cut(email, "<"); ok && strings.HasSuffix(inside, ">") { // Ada <ada@example.com>
		if email = strings.TrimSuffix(inside, ">"); strings.TrimSpace(name) == "" {
			name = strings.Trim(before, ` "`)
		}
	}
	l.Email = site.Readable(email, mostAddress+1)
	l.Name = strings.Join(strings.Fields(site.Readable(name, mostName+1)), " ")
	switch {
	case l.Email == "":
		return bad("There is no address.")
	case !looksLikeAddress(l.Email):
		l.Email = site.Readable(l.Email, shownCell)
		return bad("“%s” is not an e-mail address.", l.Email)
	case len([]rune(l.Name)) > mostName:
		l.Name = site.Readable(l.Name, shownCell)
		return bad("The name has more than %d characters.", mostName)
	}
	if l.Name == "" {
		l.Name, _, _ = strings.Cut(l.Email, "@")
	}
	if word := fold(strings.TrimSpace(cell(where.invite))); word != "" {
		if l.Invite = contains(yes, word); !l.Invite && !contains(no, word) {
			return bad("Invite is yes or no, not “%s”.", site.Readable(word, shownCell))
		}
	}
	return l
}

// looksLikeAddress sorts out what is certainly none; the site says the rest.
func looksLikeAddress(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && len(s) <= mostAddress && !strings.ContainsAny(s, " \t\"<>,;")
}

func contains(list []string, word string) bool {
	for _, one := range list {
		if one == word {
			return true
		}
	}
	return false
}

// formula tells whether a spreadsheet would compute a cell rather than show it.
func formula(cell string) bool {
	return cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0]))
}

// guard makes a cell harmless for spreadsheets by an apostrophe in front; unguard takes it away again.
func guard(cell string) string {
	if formula(cell) {
		return "'" + cell
	}
	return cell
}

func unguard(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && formula(rest) {
		return rest
	}
	return cell
}
