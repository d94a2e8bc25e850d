package help

import (
	"bytes"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

var fileLink = regexp.MustCompile(`\]\(([a-z0-9-]+)\.md[)#]`)

// ordered gives the ids with index first, then those that index links in the order of its links, then the rest.
func ordered(texts map[string]string) []string {
	var ids []string
	add := func(id string) {
		if _, ok := texts[id]; ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add("index")
	for _, m := range fileLink.FindAllStringSubmatch(texts["index"], -1) {
		add(m[1])
	}
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		add(id)
	}
	return ids
}

// render turns one text into a page.
func (b *Book) render(id, markdown string) (Page, error) {
	page := Page{ID: id, Headings: []Heading{}}
	if len(markdown) > MaxSize {
		return page, fmt.Errorf("help page %s has %d bytes, at most %d are allowed", id, len(markdown), MaxSize)
	}
	// Without the option for unsafe output goldmark leaves out raw HTML and dangerous link targets.
	md := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.Linkify),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	source := []byte(markdown)
	doc := md.Parser().Parse(text.NewReader(source))
	b.prepare(&page, doc, source)
	var out bytes.Buffer
	if err := md.Renderer().Render(&out, source, doc); err != nil {
		return page, fmt.Errorf("render help page %s: %w", id, err)
	}
	page.HTML = template.HTML(out.String()) //nolint:gosec // goldmark's safe output
	return page, nil
}

// prepare takes the title out of the document, collects headings and plain text, and points links between pages to where they
// are served.
func (b *Book) prepare(page *Page, doc ast.Node, source []byte) {
	if first, ok := doc.FirstChild().(*ast.Heading); ok && first.Level == 1 {
		page.Title = plain(first, source)
		doc.RemoveChild(doc, first)
	}
	var words []string
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			words = append(words, plain(n, source))
			if n.Level == 2 || n.Level == 3 {
				id, _ := n.AttributeString("id")
				text, _ := id.([]byte)
				page.Headings = append(page.Headings, Heading{Level: n.Level, ID: string(text), Title: plain(n, source)})
			}
		case *ast.Paragraph, *ast.TextBlock:
			line := plain(n, source)
			if _, ok := n.(*ast.Paragraph); ok && page.Summary == "" {
				page.Summary = line
			}
			words = append(words, line)
		case *ast.FencedCodeBlock:
			words = append(words, string(n.Lines().Value(source)))
		case *ast.Link:
			n.Destination = []byte(b.target(string(n.Destination)))
		}
		return ast.WalkContinue, nil
	})
	page.text = strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// target turns "write-a-theme.md#tokens" into the address of that page; other links stay.
func (b *Book) target(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasSuffix(u.Path, ".md") || strings.HasPrefix(u.Path, "/") {
		return link
	}
	to := b.Path(strings.TrimSuffix(path.Base(u.Path), ".md"))
	if u.Fragment != "" {
		to += "#" + u.EscapedFragment()
	}
	return to
}

// plain is the text of a node without its markup.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch c := c.(type) {
		case *ast.Text:
			b.Write(c.Segment.Value(source))
			if c.SoftLineBreak() || c.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(c.Value)
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(b.String())
}
