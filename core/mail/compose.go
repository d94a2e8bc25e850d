package mail

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// Kind names one of the site's own mails.
type Kind string

// The kinds.
const (
	KindReset           Kind = "reset"            // Link: choose a new password
	KindInvite          Kind = "invite"           // Link: choose the first password
	KindPasswordChanged Kind = "password_changed" // Link: choose a new password
	KindEmailChanged    Kind = "email_changed"
	KindTest            Kind = "test"
)

// Data fills a mail.
type Data struct {
	SiteName  string
	SiteURL   string
	Name      string // of the person
	Link      string
	ExpiresAt time.Time      // of the link
	Location  *time.Location // of the person; UTC when nil
}

//go:embed texts/*.txt
var texts embed.FS

// Compose gives the subject, which is the first line of the text's file, and the text. The values are put in as they are: the mail is plain
// text.
func Compose(kind Kind, d Data) (subject, text string, err error) {
	if d.Location == nil {
		d.Location = time.UTC
	}
	if d.SiteName == "" {
		d.SiteName = "this site"
	}
	d.Name, d.SiteName = printable(d.Name), printable(d.SiteName)
	source, err := texts.ReadFile("texts/" + string(kind) + ".txt")
	if err != nil {
		return "", "", fmt.Errorf("mail %s: %w", kind, err)
	}
	t, err := template.New(string(kind)).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return "", "", fmt.Errorf("mail %s: %w", kind, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, d); err != nil {
		return "", "", fmt.Errorf("mail %s: %w", kind, err)
	}
	subject, text, _ = strings.Cut(b.String(), "\n")
	if len(subject) > MaxSubject {
		subject = strings.ToValidUTF8(subject[:MaxSubject], "")
	}
	return subject, strings.TrimSpace(text) + "\n", nil
}

// Until is when the link ends, in the person's time.
func (d Data) Until() string {
	return d.ExpiresAt.In(d.Location).Format("Monday, 2 January 2006, 15:04 MST")
}
