package site

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// Site is where a part lives: its host, the module's tables, and the clock, which tests put forward.
type Site struct {
	Host sdk.Host
	DB   *gorm.DB
	Now  func() time.Time // UTC
}

// ErrNotFound is the answer for what does not exist and for what the visitor may not know of.
var ErrNotFound = fault.New(fault.NotFound, "There is nothing here. It may have been deleted, or the address is misspelt.")

// ID reads a number from the path, such as {person}. What is no positive number is ErrNotFound.
func ID(r *http.Request, name string) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || id <= 0 {
		return 0, ErrNotFound
	}
	return id, nil
}

// Once gives a form its own word: what the form leads to is found by it when the form comes twice.
func Once() string { return rand.Text() }

var onceShape = regexp.MustCompile(`^[A-Z2-7]{20,40}$`)

// ReadOnce reads the word of Once from a form.
func ReadOnce(r *http.Request) (string, error) {
	once := r.PostFormValue("once")
	if !onceShape.MatchString(once) {
		return "", fault.New(fault.Invalid, "The form is incomplete. Open the page again.")
	}
	return once, nil
}

// Readable trims s, takes out what cannot be read, and cuts it after most characters. Line ends become blanks.
func Readable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return cut(strings.TrimSpace(s), most)
}

// ReadableLines is Readable for text of several lines.
func ReadableLines(s string, most int) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(Readable(line, most), " ")
	}
	return cut(strings.TrimSpace(strings.Join(lines, "\n")), most)
}

// Subject makes a mail's subject of a text with names in it: one line of at most 200 bytes, which is what the site takes.
func Subject(s string) string {
	s = Readable(s, mostSubject)
	for len(s) > mostSubject {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}

const mostSubject = 200 // bytes

func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return strings.TrimSpace(string(runes[:most]))
	}
	return s
}

// Page is which page of a list is asked for: ?page= from 1, and ?size= if it is one of sizes, else the first of them.
func Page(r *http.Request, sizes ...int) (page, size int) {
	page, size = 1, sizes[0]
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil && n > 0 && n <= 100_000 {
		page = n
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("size")); err == nil {
		for _, s := range sizes {
			if n == s {
				size = n
			}
		}
	}
	return page, size
}

// Like makes a text to be searched for out of what a person typed, for SQL's LIKE with ESCAPE '\'.
func Like(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// PersonOf gives the number of the person whom a fact of the host is about: its subject is "user/12". ok is false for others.
func PersonOf(event sdk.Event) (userID int64, ok bool) {
	digits, found := strings.CutPrefix(event.Subject, "user/")
	userID, err := strconv.ParseInt(digits, 10, 64)
	return userID, found && err == nil && userID > 0
}
