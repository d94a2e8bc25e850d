package help

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

//go:embed *.md
var own embed.FS

// MaxSize bounds one page's Markdown, in bytes.
const MaxSize = 256 << 10

// Heading is a heading inside a page.
type Heading struct {
	Level int    `json:"level"` // 2 or 3
	ID    string `json:"id"`    // of the element, for a link
	Title string `json:"title"`
}

// Page is one page of the handbook.
type Page struct {
	ID       string        `json:"id"` // "index", "write-a-theme"; "module/devices" for a module's
	Module   string        `json:"module,omitempty"`
	Title    string        `json:"title"`
	Summary  string        `json:"summary"` // the first paragraph as plain text
	Headings []Heading     `json:"headings"`
	HTML     template.HTML `json:"html"` // without the title
	text     string        // plain, for the search
}

// Module is a module's help.md.
type Module struct{ ID, Name, Text string }

// Book is the handbook. It is safe for concurrent use.
type Book struct {
	root  string
	own   []Page
	pages atomic.Pointer[[]Page]
}

// New reads the handbook. root is the path under which the pages are served, such as "/admin/help"; links between pages lead
// there.
func New(root string) (*Book, error) { return NewFrom(own, root) }

// NewFrom is New with other texts, for tests.
func NewFrom(folder fs.FS, root string) (*Book, error) {
	names, err := fs.Glob(folder, "*.md")
	if err != nil {
		return nil, fmt.Errorf("list the help pages: %w", err)
	}
	b := &Book{root: strings.TrimSuffix(root, "/")}
	texts := map[string]string{}
	for _, name := range names {
		body, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, fmt.Errorf("read help page %s: %w", name, err)
		}
		texts[strings.TrimSuffix(name, ".md")] = string(body)
	}
	for _, id := range ordered(texts) {
		page, err := b.render(id, texts[id])
		if err != nil {
			return nil, err
		}
		b.own = append(b.own, page)
	}
	b.pages.Store(&b.own)
	return b, nil
}

// SetModules replaces the modules' pages. A text that cannot be used is left out and named in the error; the others count.
func (b *Book) SetModules(modules []Module) error {
	pages := slices.Clone(b.own)
	var broken []string
	for _, m := range modules {
		if strings.TrimSpace(m.Text) == "" {
			continue
		}
		page, err := b.render("module/"+m.ID, m.Text)
		if err != nil {
			broken = append(broken, err.Error())
			continue
		}
		page.Module = m.ID
		if page.Title == "" {
			page.Title = m.Name
		}
		pages = append(pages, page)
	}
	b.pages.Store(&pages)
	if len(broken) > 0 {
		return fmt.Errorf("help of modules: %s", strings.Join(broken, "; "))
	}
	return nil
}

// Pages lists the pages in their order: the index first, the modules' last.
func (b *Book) Pages() []Page { return slices.Clone(*b.pages.Load()) }

// Page finds a page by its id.
func (b *Book) Page(id string) (Page, bool) {
	pages := *b.pages.Load()
	i := slices.IndexFunc(pages, func(p Page) bool { return p.ID == id })
	if i < 0 {
		return Page{}, false
	}
	return pages[i], true
}

// Path is where a page is served.
func (b *Book) Path(id string) string {
	if id == "index" {
		return b.root
	}
	return b.root + "/" + id
}

// Hit is a page that was found.
type Hit struct {
	ID      string `json:"id"`
	Path    string `json:"path"`
	Title   string `json:"title"`
	Snippet string `json:"snippet"` // plain text around the first match
	score   int
}

// maxWords bounds the words of a query that count.
const maxWords = 8

// Search finds the pages that have every word of the query, best first: in the title, then in a heading, then in the text. An
// empty query finds nothing. limit bounds the hits.
func (b *Book) Search(query string, limit int) []Hit {
	words := strings.Fields(strings.ToLower(truncated(query, 200)))
	if len(words) > maxWords {
		words = words[:maxWords]
	}
	if len(words) == 0 {
		return nil
	}
	var hits []Hit
	for _, p := range *b.pages.Load() {
		if score := p.score(words); score > 0 {
			hits = append(hits, Hit{ID: p.ID, Path: b.Path(p.ID), Title: p.Title, Snippet: snippet(p.text, words), score: score})
		}
	}
	slices.SortStableFunc(hits, func(x, y Hit) int { return y.score - x.score })
	return hits[:min(len(hits), max(limit, 0))]
}

func (p Page) score(words []string) int {
	title, text, total := strings.ToLower(p.Title), strings.ToLower(p.text), 0
	for _, word := range words {
		score := 0
		if strings.Contains(title, word) {
			score += 20
		}
		for _, h := range p.Headings {
			if strings.Contains(strings.ToLower(h.Title), word) {
				score += 5
			}
		}
		score += min(strings.Count(text, word), 5)
		if score == 0 {
			return 0
		}
		total += score
	}
	return total
}

// snippet is the text around the first word that is found, on whole words.
func snippet(text string, words []string) string {
	lower := strings.ToLower(text)
	at := 0
	if len(lower) == len(text) { // small letters may take another number of bytes; then the start serves
		for _, word := range words {
			if i := strings.Index(lower, word); i >= 0 {
				at = i
				break
			}
		}
	}
	from := max(at-60, 0)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	part := text[from:]
	if from > 0 {
		if i := strings.IndexByte(part, ' '); i >= 0 && i < 60 {
			part = part[i+1:]
		}
		part = "… " + part
	}
	return truncated(part, 180)
}

// truncated cuts a text to about so many bytes, between words.
func truncated(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	text = text[:limit]
	if i := strings.LastIndexByte(text, ' '); i > limit/2 {
		text = text[:i]
	}
	return text + " …"
}
