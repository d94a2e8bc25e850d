package help_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"mortise/core/help"
	"mortise/core/manifest"
)

func book(t *testing.T, texts map[string]string) *help.Book {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range texts {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	b, err := help.NewFrom(files, "/admin/help")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBook_ShipsAnIndexWhoseLinksBetweenPagesExist(t *testing.T) {
	t.Parallel()
	b, err := help.New("/admin/help")
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, p := range b.Pages() {
		paths[b.Path(p.ID)] = true
		if p.Title == "" {
			t.Errorf("page %s does not begin with a title", p.ID)
		}
	}
	for _, p := range b.Pages() {
		for _, part := range strings.Split(string(p.HTML), `href="`)[1:] {
			link, _, _ := strings.Cut(part, `"`)
			target, _, _ := strings.Cut(link, "#")
			if strings.HasPrefix(target, "/admin/help") && !paths[target] {
				t.Errorf("page %s links to %s, which does not exist", p.ID, link)
			}
		}
	}
	if first := b.Pages()[0].ID; first != "index" {
		t.Errorf("the first page is %s, want index", first)
	}
}

func TestBook_DescribesEveryMethodOfTheHostsServices(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("services.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range manifest.Host().Provides {
		_, section, ok := strings.Cut(string(text), "\n## "+s.Name+"\n")
		if !ok {
			t.Errorf("the page has no section %s", s.Name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for name, method := range s.Methods {
			if !strings.Contains(section, "`"+name+"`") {
				t.Errorf("%s.%s is not described", s.Name, name)
			}
			properties, _ := method.Input["properties"].(map[string]any)
			for field := range properties {
				if !strings.Contains(section, "`"+field+"`") {
					t.Errorf("%s.%s: the field %s is not described", s.Name, name, field)
				}
			}
		}
	}
}

func TestBook_OrdersPagesAsTheIndexLinksThem(t *testing.T) {
	t.Parallel()
	b := book(t, map[string]string{"index.md": "# Help\n\n[z](zebra.md) and [a](apple.md#seeds)", "apple.md": "# Apple", "zebra.md": "# Zebra", "extra.md": "# Extra"})
	var ids []string
	for _, p := range b.Pages() {
		ids = append(ids, p.ID)
	}
	if got := strings.Join(ids, " "); got != "index zebra apple extra" {
		t.Errorf("order = %s", got)
	}
	index, _ := b.Page("index")
	if !strings.Contains(string(index.HTML), `href="/admin/help/apple#seeds"`) {
		t.Errorf("the link between pages is not rewritten: %s", index.HTML)
	}
}

func TestBook_LeavesOutHTMLAndDangerousLinksOfModules(t *testing.T) {
	t.Parallel()
	b := book(t, map[string]string{"index.md": "# Help"})
	err := b.SetModules([]help.Module{
		{ID: "evil", Name: "Evil", Text: "# Evil <img src=x onerror=alert(1)>\n\n<script>alert(1)</script>\n\nHello [x](javascript:alert(1)) <b onclick=x>y</b> ![i](data:text/html,x)"},
		{ID: "huge", Name: "Huge", Text: strings.Repeat("x", help.MaxSize+1)},
	})
	if err == nil || !strings.Contains(err.Error(), "module/huge") {
		t.Errorf("err = %v, want one that names the huge page", err)
	}
	p, ok := b.Page("module/evil")
	if !ok {
		t.Fatal("the module's page is missing")
	}
	for _, bad := range []string{"<script", "javascript:", "onclick", "onerror", "data:text"} {
		if strings.Contains(string(p.HTML), bad) {
			t.Errorf("the page contains %q: %s", bad, p.HTML)
		}
	}
	if p.Module != "evil" || !strings.Contains(string(p.HTML), "Hello") {
		t.Errorf("page = %+v", p)
	}
}

func TestBook_FindsPagesByAllWordsTitlesFirst(t *testing.T) {
	t.Parallel()
	b := book(t, map[string]string{
		"index.md":  "# Help\n\nTokens are mentioned here, and a theme.",
		"themes.md": "# Write a theme\n\n## Tokens\n\nColours are tokens.",
		"backup.md": "# Backup\n\nCopy the folder.",
	})
	hits := b.Search("TOKENS theme", 10)
	if len(hits) != 2 || hits[0].ID != "themes" || hits[0].Path != "/admin/help/themes" {
		t.Fatalf("hits = %+v", hits)
	}
	if !strings.Contains(hits[1].Snippet, "Tokens are mentioned") {
		t.Errorf("snippet = %q", hits[1].Snippet)
	}
	if got := b.Search("tokens absent-word", 10); len(got) != 0 {
		t.Errorf("a word that is nowhere still finds %v", got)
	}
	if got := b.Search("  ", 10); got != nil {
		t.Errorf("an empty query finds %v", got)
	}
	if got := b.Search("e", 1); len(got) != 1 {
		t.Errorf("the limit is not kept: %d hits", len(got))
	}
}

func FuzzBook_Search(f *testing.F) {
	f.Add("theme", "Ärger mit İstanbul")
	f.Fuzz(func(t *testing.T, query, text string) {
		b := book(t, map[string]string{"index.md": "# Help\n\n" + text})
		for _, h := range b.Search(query, 5) {
			if h.ID != "index" {
				t.Errorf("hit %q", h.ID)
			}
		}
	})
}
