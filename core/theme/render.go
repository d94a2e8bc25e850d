package theme

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"time"

	"mortise/core/fault"
)

// maxPooled is the greatest buffer that is kept for the next page, in bytes; a rare huge page should not stay in memory.
const maxPooled = 256 << 10

// Render writes the whole page, or nothing and an error: a template that fails half-way leaves nothing behind. The error is a
// fault of kind Internal; its cause is a Problem that names the theme, the file and the line. An error of w is returned as it is.
func (r *Renderer) Render(w io.Writer, p *Page) error { return r.render(w, p, true) }

// RenderBody is Render without the frame around the content.
func (r *Renderer) RenderBody(w io.Writer, p *Page) error { return r.render(w, p, false) }

func (r *Renderer) render(w io.Writer, given *Page, whole bool) error {
	now := r.active.Load()
	s, ok := now.surfaces[given.Surface]
	if !ok {
		return fault.Wrap(fault.Internal, fmt.Errorf("surface %q", given.Surface), "This page cannot be shown.")
	}
	page := *given
	if page.Now.IsZero() {
		page.Now = r.options.Clock()
	}
	if err := page.readyData(); err != nil {
		return fault.Wrap(fault.Internal, err, "This page cannot be shown.")
	}
	if s.brand != "" {
		page.Site.Name = s.brand
	}
	if s.logo != "" {
		page.Site.Logo = s.logo
	}
	body, out := r.buffer(), r.buffer()
	defer r.keep(body)
	defer r.keep(out)
	found, ok := s.set(page.Module)
	if !ok {
		return cannotShow(Problem{Theme: s.info.ID, Module: page.Module, Template: page.Template + ".html", Message: "the module has no templates"})
	}
	if err := found.draw(body, page.Template, &page); err != nil {
		return cannotShow(err)
	}
	if !whole {
		_, err := w.Write(body.Bytes())
		return err
	}
	root := &frame{Page: &page, Content: template.HTML(body.String()), Theme: s.info} //nolint:gosec // html/template escaped it a moment ago
	if err := s.host.draw(out, "layouts/main", root); err != nil {
		return cannotShow(err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func cannotShow(err error) error {
	return fault.Wrap(fault.Internal, err, "This page cannot be shown.")
}

// readyData gives Data the shape that templates expect.
func (p *Page) readyData() error {
	if p.Data == nil {
		p.Data = map[string]any{}
	}
	if plain(p.Data) {
		return nil
	}
	data, err := Data(p.Data)
	if err != nil {
		return err
	}
	p.Data = data
	return nil
}

// plain tells whether a value already is what Decode gives; a map with a struct somewhere inside is not.
func plain(v any) bool {
	switch v := v.(type) {
	case nil, string, bool, int64, float64, int, json.Number:
		return true
	case map[string]any:
		for _, one := range v {
			if !plain(one) {
				return false
			}
		}
		return true
	case []any:
		for _, one := range v {
			if !plain(one) {
				return false
			}
		}
		return true
	}
	return false
}

// errTooLong ends a render that would fill the memory.
var errTooLong = errors.New("the page is longer than the site allows")

// limited is a buffer that refuses to grow beyond a limit, and to be written to after a time.
type limited struct {
	bytes.Buffer
	max    int
	until  time.Time
	writes uint
}

func (l *limited) Write(p []byte) (int, error) {
	if err := l.takes(len(p)); err != nil {
		return 0, err
	}
	return l.Buffer.Write(p)
}

func (l *limited) WriteString(s string) (int, error) {
	if err := l.takes(len(s)); err != nil {
		return 0, err
	}
	return l.Buffer.WriteString(s)
}

func (l *limited) takes(n int) error {
	if l.Len()+n > l.max {
		return errTooLong
	}
	if l.writes++; (n == 0 || l.writes%clockEvery == 0) && time.Now().After(l.until) {
		return errTooSlow
	}
	return nil
}

func (r *Renderer) buffer() *limited {
	b, ok := r.buffers.Get().(*limited)
	if !ok {
		b = &limited{max: r.options.MaxPage}
	}
	b.until = time.Now().Add(r.options.MaxTime)
	return b
}

func (r *Renderer) keep(b *limited) {
	if b.Cap() > maxPooled {
		return
	}
	b.Reset()
	r.buffers.Put(b)
}
