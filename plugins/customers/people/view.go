package people

import (
	"strconv"

	"mortise/core/sdk"
)

const root = "/admin/customers"

// Top is the crumb of the list, for the pages of all parts.
var Top = sdk.Link{Title: "Customers", Path: root}

// PersonView is a customer as pages and programs see one; the template part _person wants it under "person".
type PersonView struct {
	Person
	Path    string `json:"path"`     // of the person's own page
	MayJoin bool   `json:"may_join"` // can be invited: no password yet, and not blocked
}

// View makes the view of a customer.
func View(p Person) PersonView {
	return PersonView{Person: p, Path: PathOf(p.ID), MayJoin: !p.Registered && !p.Blocked}
}

// PathOf is the page of a customer.
func PathOf(id int64) string { return root + "/people/" + strconv.FormatInt(id, 10) }

// Crumbs lead to a page below a customer's.
func Crumbs(p Person) []sdk.Link {
	return []sdk.Link{Top, {Title: p.Name, Path: PathOf(p.ID)}}
}
