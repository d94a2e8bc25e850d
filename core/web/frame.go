package web

import (
	"strings"

	"mortise/core/identity"
	"mortise/core/router"
	"mortise/core/theme"
)

// frame fills in what surrounds a page's own content. It asks memory only: no query, no file, no module.
func (v *visit) frame(p *theme.Page) {
	s := v.s
	p.Surface, p.Module, p.Path, p.RequestID = v.surface, v.module, v.path, v.id
	p.Query = v.queries()
	p.Now = v.start
	if p.Message == nil {
		p.Message = v.takeMessage()
	}
	p.CSRF = v.token()
	if v.nonce == "" {
		v.nonce = randomText(16)
	}
	p.Nonce = v.nonce
	p.Visitor = theme.Visitor{Location: v.who.User.Location(), Can: v.can}
	if v.signedIn {
		p.Visitor.UserID, p.Visitor.Name, p.Visitor.Locale = v.who.User.ID, v.who.User.Name, v.who.User.Locale
	}
	p.Site = theme.Site{
		Name: s.o.Site.Get("site.name"), Logo: s.o.Site.Get("site.logo"), PublicURL: s.o.PublicURL,
		Demo: s.o.Demo, Registration: s.o.People.RegistrationOpen(),
	}
	p.Menus = v.menus()
	if v.surface == "admin" && s.o.Attention != nil && v.can(identity.AdminAccess) {
		p.Attention = s.o.Attention()
	}
}

// hostLink is a link of the host in the admin menu. It shows when its page exists and the visitor may see it.
type hostLink struct {
	title, path, icon, group, permission string
	system                               bool // stands after the modules' groups
}

// hostMenu is the host's part of the admin menu, in its order.
var hostMenu = []hostLink{
	{title: "Overview", path: "/admin", icon: "dashboard", permission: identity.AdminAccess},
	{title: "Modules", path: "/admin/modules", icon: "puzzle", permission: identity.AdminModules},
	{title: "People", path: "/admin/people", icon: "users", group: "People", permission: identity.AdminPeople},
	{title: "Roles", path: "/admin/roles", icon: "user", group: "People", permission: identity.AdminPeople},
	{title: "Permissions", path: "/admin/permissions", icon: "shield", group: "People", permission: identity.AdminPermissions},
	{title: "Appearance", path: "/admin/appearance", icon: "palette", group: "Appearance", permission: identity.AdminAppearance},
	{title: "Log", path: "/admin/log", icon: "log", group: "System", permission: identity.AdminLog, system: true},
	{title: "Status", path: "/admin/status", icon: "activity", group: "System", permission: identity.AdminStatus, system: true},
	{title: "Settings", path: "/admin/settings", icon: "settings", group: "System", permission: identity.AdminSettings, system: true},
	{title: "Help", path: "/admin/help", icon: "book", group: "System", permission: identity.AdminHelp, system: true},
}

// menus gives the menus as this visitor may see them.
func (v *visit) menus() map[string][]theme.MenuItem {
	snapshot := v.s.o.Routes()
	menus := map[string][]theme.MenuItem{
		"main":    v.items(nil, snapshot.Menu("main", v.can)),
		"account": v.items(nil, snapshot.Menu("account", v.can)),
	}
	if v.surface == "admin" || v.can(identity.AdminAccess) {
		admin := v.hostItems(nil, false)
		admin = v.items(admin, snapshot.Menu("admin", v.can))
		menus["admin"] = v.hostItems(admin, true)
	}
	for _, items := range menus {
		markActive(items, v.path)
	}
	return menus
}

func (v *visit) items(to []theme.MenuItem, from []router.MenuItem) []theme.MenuItem {
	for i := range from {
		to = append(to, theme.MenuItem{Title: from[i].Title, Path: from[i].Path, Icon: from[i].Icon, Group: from[i].Group})
	}
	return to
}

func (v *visit) hostItems(to []theme.MenuItem, system bool) []theme.MenuItem {
	for _, l := range hostMenu {
		if l.system == system && v.s.hasPage[l.path] && v.can(l.permission) {
			to = append(to, theme.MenuItem{Title: l.title, Path: l.path, Icon: l.icon, Group: l.group})
		}
	}
	return to
}

// markActive marks the item whose path is the page's, or the longest one that the page lies below.
func markActive(items []theme.MenuItem, path string) {
	best := -1
	for i := range items {
		if items[i].Path == path || strings.HasPrefix(path, items[i].Path+"/") && items[i].Path != "/admin" {
			if best < 0 || len(items[i].Path) > len(items[best].Path) {
				best = i
			}
		}
	}
	if best >= 0 {
		items[best].Active = true
	}
}

// policy is the content security policy of a page. Scripts run only with the nonce, which modules never learn; forms may lead to
// this site and, on the pages of a module that sends its visitors to another site, to that one (browsers apply form-action to the
// redirect after a form as well).
func (v *visit) policy(nonce string) string {
	forms := "'self'"
	if v.module != "" {
		if entry, ok := v.s.o.Routes().Entry(v.module); ok && sendsOffsite(entry) {
			for _, origin := range entry.Egress {
				if safeOrigin(origin) {
					forms += " " + origin
				}
			}
		}
	}
	return "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; form-action " + forms + "; base-uri 'none'; frame-ancestors 'none'"
}

func sendsOffsite(entry *router.Entry) bool {
	for i := range entry.Manifest.Pages {
		if entry.Manifest.Pages[i].Offsite {
			return true
		}
	}
	return false
}

// safeOrigin keeps anything out of the policy that could end a directive.
func safeOrigin(origin string) bool {
	return originOf(origin) == strings.ToLower(origin) && !strings.ContainsAny(origin, " ;,'\"\t\r\n*")
}
