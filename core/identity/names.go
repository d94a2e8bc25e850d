package identity

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"mortise/core/fault"
)

var (
	localPart   = regexp.MustCompile(`^[a-z0-9!#$%&'*+/=?^_{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_{|}~-]+)*$`)
	localeForm  = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)
	roleForm    = regexp.MustCompile(`^[a-z][a-z0-9_]{1,39}$`)
	permitForm  = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	wrongEmail  = "This is not an e-mail address."
	wrongName   = "The name must have 1 to 100 characters."
	takenEmail  = "There is an account with this e-mail address already."
	wrongZone   = "This time zone is unknown. An example is Europe/Berlin."
	wrongLocale = "This language is unknown. An example is en."
)

// NormaliseEmail gives the one form in which an address is stored and compared: lower case, the domain in ASCII. It accepts
// the unquoted ASCII local parts that mail systems give to people, and any domain name or host name. ok is false for anything else.
func NormaliseEmail(s string) (email string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > 254 || !utf8.ValidString(s) {
		return "", false
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return "", false
	}
	local := strings.ToLower(s[:at])
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil || domain == "" || strings.HasSuffix(domain, ".") || len(domain) > 253 || len(local) > 64 || !localPart.MatchString(local) {
		return "", false
	}
	// What ToASCII makes of odd input is not always a name itself; only a name has one form.
	if again, err := idna.Lookup.ToASCII(domain); err != nil || again != domain {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	email = local + "@" + strings.ToLower(domain)
	return email, len(email) <= 254
}

// cleanName gives a person's or role's name in NFC without surrounding or repeated space; ok is false when it is empty, longer than
// 100 characters, or has invisible characters (which could imitate another name or turn the text around).
func cleanName(s string) (name string, ok bool) {
	if !utf8.ValidString(s) || len(s) > 1000 {
		return "", false
	}
	name = strings.Join(strings.Fields(norm.NFC.String(s)), " ")
	n := utf8.RuneCountInString(name)
	if n < 1 || n > 100 {
		return "", false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return "", false
		}
	}
	return name, true
}

func nameKey(name string) string { return strings.ToLower(norm.NFKC.String(name)) }

// cleanZone gives the name of a known time zone; "" becomes UTC.
func cleanZone(s string) (zone string, ok bool) {
	if s == "" {
		return "UTC", true
	}
	if s == "Local" || len(s) > 64 {
		return "", false
	}
	_, err := time.LoadLocation(s)
	return s, err == nil
}

func cleanLocale(s string) (locale string, ok bool) {
	if s == "" {
		return "en", true
	}
	return s, localeForm.MatchString(s)
}

// fields collects what is wrong with a form.
type fields map[string]string

func (f fields) add(name, message string) {
	if message != "" && f[name] == "" {
		f[name] = message
	}
}

func (f fields) err() error {
	if len(f) == 0 {
		return nil
	}
	return fault.InvalidFields("Please correct what is marked.", f)
}
