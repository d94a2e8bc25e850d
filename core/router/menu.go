package router

import (
	"cmp"
	"slices"

	"mortise/core/manifest"
)

// MenuItem is a link of a menu.
type MenuItem struct {
	Title      string
	Path       string
	Icon       string
	Group      string // the module's group, a heading
	Module     string
	Permission string // what the visitor needs to see it; "" for everybody
	Weight     int
}

// ModulePermissions are the permissions that one module's manifest lists.
type ModulePermissions struct {
	Module      string
	Name        string
	Permissions []manifest.Permission
}

// Menu gives the links of a menu ("main", "account", "admin") that a visitor may see, ordered by weight; links of one group
// stand together, where the lightest of them is. can tells whether the visitor has a permission; nil means none.
func (s *Snapshot) Menu(menu string, can func(permission string) bool) []MenuItem {
	all := s.menus[menu]
	seen := make([]MenuItem, 0, len(all))
	for i := range all {
		if p := all[i].Permission; p == "" || can != nil && can(p) {
			seen = append(seen, all[i])
		}
	}
	return seen
}

// Permissions gives the permissions of all modules, also of paused ones, ordered by the modules' names.
func (s *Snapshot) Permissions() []ModulePermissions { return slices.Clone(s.permissions) }

func buildMenus(s *Snapshot, entries []Entry) map[string][]MenuItem {
	menus := map[string][]MenuItem{}
	for i := range entries {
		e := &entries[i]
		if e.State == Paused {
			continue
		}
		for _, l := range e.Manifest.Links {
			menus[l.Menu] = append(menus[l.Menu], MenuItem{
				Title: l.Title, Path: l.Path, Icon: l.Icon, Group: e.Manifest.Group, Module: e.Manifest.ID,
				Permission: linkPermission(s, l), Weight: l.Weight,
			})
		}
	}
	for _, items := range menus {
		sortMenu(items)
	}
	return menus
}

// linkPermission falls back to the permission of the page: nobody shall see a link that only leads to a refusal.
func linkPermission(s *Snapshot, l manifest.Link) string {
	if l.Permission != "" {
		return l.Permission
	}
	if m := s.Match("GET", l.Path); m.Outcome == Found {
		return m.Page.Permission
	}
	return ""
}

func sortMenu(items []MenuItem) {
	lightest := map[string]int{}
	for _, it := range items {
		if w, ok := lightest[it.Group]; !ok || it.Weight < w {
			lightest[it.Group] = it.Weight
		}
	}
	slices.SortStableFunc(items, func(a, b MenuItem) int {
		return cmp.Or(
			cmp.Compare(lightest[a.Group], lightest[b.Group]), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Title, b.Title), cmp.Compare(a.Path, b.Path))
	})
}

func collectPermissions(entries []Entry) []ModulePermissions {
	var all []ModulePermissions
	for i := range entries {
		if m := entries[i].Manifest; len(m.Permissions) > 0 {
			all = append(all, ModulePermissions{Module: m.ID, Name: m.Name, Permissions: m.Permissions})
		}
	}
	slices.SortFunc(all, func(a, b ModulePermissions) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Module, b.Module))
	})
	return all
}
