// Command gen writes the pages of core/help that are made from the code: manifest.md from the published schema of module.yaml, and
// helpers.md from the functions of the templates. With -check it writes nothing and fails when a page is not what the code gives.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mortise/core/manifest"
	"mortise/core/theme"
)

func main() {
	check := flag.Bool("check", false, "fail when a page is not fresh")
	dir := flag.String("dir", filepath.Join("core", "help"), "the folder of the pages")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes the pages into dir, or compares them with what is there.
func run(dir string, check bool) error {
	reference, err := write(manifest.Schema())
	if err != nil {
		return err
	}
	return errors.Join(save(filepath.Join(dir, "manifest.md"), reference, check), save(filepath.Join(dir, "helpers.md"), helpers(theme.Helpers()), check))
}

func save(page string, text []byte, check bool) error {
	if !check {
		return os.WriteFile(page, text, 0o644)
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	if !bytes.Equal(old, text) {
		return fmt.Errorf("%s is not what the code gives: run go generate ./core/help", page)
	}
	return nil
}

// helpers writes the page about the functions of the templates.
func helpers(list []theme.Helper) []byte {
	var b bytes.Buffer
	b.WriteString("# Template helpers\n\n")
	b.WriteString("The functions that templates of modules and themes have besides those of Go's `html/template`. This page is made from the code.\n")
	b.WriteString("Those that look at the page take `$`, the page itself, first: inside `range` and `with` the dot is something else.\n\n")
	b.WriteString("| use | gives |\n|---|---|\n")
	for _, h := range list {
		fmt.Fprintf(&b, "| `%s` | %s |\n", cell(h.Usage), cell(escape(h.Does)))
	}
	return b.Bytes()
}

// node is as much of a JSON Schema as ours uses.
type node struct {
	Type                 string           `json:"type"`
	Description          string           `json:"description"`
	Enum                 []string         `json:"enum"`
	Pattern              string           `json:"pattern"`
	MaxLength            int              `json:"maxLength"`
	MaxItems             int              `json:"maxItems"`
	Minimum              *float64         `json:"minimum"`
	Maximum              *float64         `json:"maximum"`
	Required             []string         `json:"required"`
	Properties           *ordered         `json:"properties"`
	Items                *node            `json:"items"`
	AdditionalProperties *json.RawMessage `json:"additionalProperties"`
}

// ordered keeps the properties in the order of the file, which is the order of thought.
type ordered struct {
	names []string
	nodes map[string]*node
}

// UnmarshalJSON reads an object and its order.
func (o *ordered) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return err
	}
	o.nodes = map[string]*node{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var n node
		if err := dec.Decode(&n); err != nil {
			return err
		}
		key := fmt.Sprint(name)
		o.names = append(o.names, key)
		o.nodes[key] = &n
	}
	return nil
}

func write(schema []byte) ([]byte, error) {
	var root node
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# The manifest\n\n")
	b.WriteString("`module.yaml` says everything that an administrator must know of a module before any of its code runs. The host checks it against\n")
	b.WriteString("a published JSON Schema, at `/admin/help/module.schema.json`, and refuses unknown keys. This page is made from that schema.\n\n")
	table(&b, &root)
	sections(&b, "", &root)
	return b.Bytes(), nil
}

// table lists the properties of one object.
func table(b *bytes.Buffer, n *node) {
	b.WriteString("| key | what it is | form |\n|---|---|---|\n")
	for _, name := range n.Properties.names {
		p := n.Properties.nodes[name]
		needed := ""
		if slices.Contains(n.Required, name) {
			needed = " **needed**"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s |\n", name, needed, cell(escape(p.Description)), cell(form(p)))
	}
	b.WriteString("\n")
}

// sections goes into the objects below.
func sections(b *bytes.Buffer, prefix string, n *node) {
	for _, name := range n.Properties.names {
		p := n.Properties.nodes[name]
		title, inner := prefix+name, p
		switch {
		case p.Items != nil && p.Items.Properties != nil:
			inner, title = p.Items, title+"[]"
		case p.Properties != nil:
		case below(p) != nil:
			inner, title = below(p), title+".<name>"
		default:
			continue
		}
		fmt.Fprintf(b, "## %s\n\n%s\n\n", title, strings.TrimSpace(p.Description))
		table(b, inner)
		sections(b, title+".", inner)
	}
}

// below is the schema of the values of a free-form mapping, when they are objects of ours.
func below(n *node) *node {
	if n.AdditionalProperties == nil {
		return nil
	}
	var inner node
	if json.Unmarshal(*n.AdditionalProperties, &inner) != nil || inner.Properties == nil {
		return nil
	}
	return &inner
}

func form(n *node) string {
	switch {
	case len(n.Enum) > 0:
		return "`" + strings.Join(n.Enum, "`, `") + "`"
	case n.Type == "array" && n.Items != nil:
		return fmt.Sprintf("list of %s, at most %d", form(n.Items), n.MaxItems)
	case n.Type == "object":
		return "mapping"
	case n.Pattern != "":
		return "text like `" + n.Pattern + "`"
	case n.Type == "string":
		return fmt.Sprintf("text, at most %d", n.MaxLength)
	case n.Type == "":
		return "any value"
	}
	if n.Minimum != nil && n.Maximum != nil {
		return fmt.Sprintf("%s, %v to %v", n.Type, *n.Minimum, *n.Maximum)
	}
	return n.Type
}

// escape keeps angle brackets readable: outside of code, Markdown takes them for HTML.
func escape(text string) string { return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text) }

func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}
