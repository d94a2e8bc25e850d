package theme

import (
	"html/template"
	"net/url"
	"time"

	"mortise/core/sdk"
)

// The surfaces. Each has one active theme.
const (
	SurfaceSite  = "site"  // customers' pages
	SurfaceAdmin = "admin" // pages under /admin
)

// Page is everything that a template can see; it is the root "." of every template.
type Page struct {
	Surface     string // SurfaceSite or SurfaceAdmin
	Module      string // whose template it is; "" is the host
	Template    string // "list" for list.html
	Title       string // the page's heading and the window's title
	Data        any    // what Decode gave; other values are sent through JSON, so that the names are those of the JSON keys
	Status      int    // HTTP status, for the error page; 0 means 200
	Message     *sdk.Message
	Breadcrumbs []sdk.Link
	FieldErrors sdk.Fields
	Refresh     int // reload after so many seconds where there is no script; 0: never
	Visitor     Visitor
	Site        Site
	Menus       map[string][]MenuItem // "main", "account", "admin"
	CSRF        string                // the token of the hidden field _csrf
	Nonce       string                // of the content security policy, for the one script element
	Path        string                // of the request
	Query       url.Values            // of the request; links that sort, filter or turn pages keep it
	RequestID   string                // quoted on error pages
	Now         time.Time             // zero: the time of the render
	Attention   int                   // open findings, shown in the frame of the admin pages
}

// Visitor is who looks at the page.
type Visitor struct {
	UserID   int64 // 0: nobody is signed in
	Name     string
	Locale   string
	Location *time.Location               // nil means UTC
	Scheme   string                       // "light" or "dark" when the visitor chose; "" follows the device
	Can      func(permission string) bool // nil: nothing
}

// Site is what the frame shows of the site.
type Site struct {
	Name         string
	Logo         string // path of an image; "" shows the name alone
	PublicURL    string
	Demo         bool // a demo site says so at its top
	Registration bool // visitors may register
}

// MenuItem is one link of a menu.
type MenuItem struct {
	Title  string
	Path   string
	Icon   string
	Group  string // heading in the sidebar of the admin pages
	Active bool   // the page is this one or lies below it
}

// SignedIn tells whether somebody is.
func (v Visitor) SignedIn() bool { return v.UserID != 0 }

func (p *Page) page() *Page { return p }

// frame is the root of a layout: the page and its finished content.
type frame struct {
	*Page
	Content template.HTML
	Theme   Info
}

// pageHolder is a Page or what embeds one.
type pageHolder interface{ page() *Page }

// pageOf finds the page behind what a template has in $: the page itself, a frame, or a partial's dict with a "page".
func pageOf(v any) *Page {
	switch v := v.(type) {
	case pageHolder:
		return v.page()
	case map[string]any:
		if inner, ok := v["page"].(pageHolder); ok {
			return inner.page()
		}
	}
	return nil
}
