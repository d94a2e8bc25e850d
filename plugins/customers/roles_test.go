package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// cast are the people of the matrix, in the order of its columns.
var cast = []struct {
	name        string
	permissions []string
}{
	{"nobody", nil},
	{"a customer", []string{"customers.own"}},
	{"a viewer", []string{"customers.view"}},
	{"a manager", []string{"customers.view", "customers.manage"}},
	{"an attacher", []string{"customers.view", "customers.attach", "customers.install"}},
	{"an installer", []string{"customers.install"}},
	{"a configurer", []string{"customers.view", "customers.configure"}},
	{"an officer", []string{"customers.view", "customers.privacy"}},
}

// matrix says for every page of the manifest what each of the cast gets. {person} is a customer, though not the one of the cast, {record}
// nobody's job, {customer} unknown at Particle; forms are empty, so that 422 and 303 mean that the page has read them. The host
// sends who is not signed in to the sign-in page where this says 401.
//
//	nobody customer viewer manager attacher installer configurer officer
var matrix = map[string]string{
	"GET /admin/customers":                               "401 403 200 200 200 403 200 200",
	"GET /admin/customers/new":                           "401 403 403 200 403 403 403 403",
	"POST /admin/customers/new":                          "401 403 403 422 403 403 403 403",
	"GET /admin/customers/import":                        "401 403 403 200 403 403 403 403",
	"POST /admin/customers/import":                       "401 403 403 422 403 403 403 403",
	"GET /admin/customers/imports/{import}":              "401 403 403 200 403 403 403 403",
	"POST /admin/customers/imports/{import}":             "401 403 403 303 403 403 403 403",
	"GET /admin/customers/imports/{import}/report":       "401 403 403 200 403 403 403 403",
	"GET /admin/customers/export":                        "401 403 403 200 403 403 403 403",
	"GET /admin/customers/people/{person}":               "401 403 200 200 200 403 200 200",
	"POST /admin/customers/people/{person}/notes":        "401 403 403 422 403 403 403 403",
	"GET /admin/customers/people/{person}/notes/{note}":  "401 403 403 200 403 403 403 403",
	"POST /admin/customers/people/{person}/notes/{note}": "401 403 403 422 403 403 403 403",
	"POST /admin/customers/people/{person}/invite":       "401 403 403 303 403 403 403 403",
	"GET /admin/customers/people/{person}/block":         "401 403 403 200 403 403 403 403",
	"POST /admin/customers/people/{person}/block":        "401 403 403 303 403 403 403 403",
	"GET /admin/customers/people/{person}/delete":        "401 403 403 200 403 403 403 403",
	"POST /admin/customers/people/{person}/delete":       "401 403 403 409 403 403 403 403",

	"GET /admin/customers/products":                                                   "401 403 200 200 200 403 200 200",
	"GET /admin/customers/products/{workspace}/{product}":                             "401 403 403 403 403 403 200 403",
	"POST /admin/customers/products/{workspace}/{product}":                            "401 403 403 403 403 403 422 403",
	"GET /admin/customers/products/{workspace}/{product}/particle":                    "401 403 403 403 403 403 200 403",
	"GET /admin/customers/products/{workspace}/{product}/particle/{customer}/reset":   "401 403 403 403 403 403 404 403",
	"POST /admin/customers/products/{workspace}/{product}/particle/{customer}/reset":  "401 403 403 403 403 403 404 403",
	"GET /admin/customers/products/{workspace}/{product}/particle/{customer}/delete":  "401 403 403 403 403 403 404 403",
	"POST /admin/customers/products/{workspace}/{product}/particle/{customer}/delete": "401 403 403 403 403 403 404 403",
	"GET /admin/customers/people/{person}/devices":                                    "401 403 200 200 200 403 200 200",
	"GET /admin/customers/people/{person}/attach":                                     "401 403 403 403 200 403 403 403",
	"POST /admin/customers/people/{person}/attach":                                    "401 403 403 403 422 403 403 403",
	"POST /admin/customers/people/{person}/detach":                                    "401 403 403 403 303 403 403 403",
	"POST /admin/customers/people/{person}/shadow":                                    "401 403 403 403 403 403 404 403",
	"GET /admin/customers/devices":                                                    "401 403 200 200 200 403 200 200",
	"GET /admin/customers/devices/{device}":                                           "401 403 200 200 200 403 200 200",
	"GET /admin/customers/devices/{device}/transfer":                                  "401 403 403 403 200 403 403 403",
	"POST /admin/customers/devices/{device}/transfer":                                 "401 403 403 403 422 403 403 403",
	"POST /admin/customers/products/{workspace}/{product}/move":                       "401 403 403 403 403 403 422 403",
	"POST /admin/customers/devices/{device}/detach":                                   "401 403 403 403 422 403 403 403",
	"POST /admin/customers/devices/{device}/undo":                                     "401 403 403 403 422 403 403 403",
	"GET /admin/customers/operations":                                                 "401 403 200 200 200 403 200 200",
	"GET /admin/customers/operations/{operation}":                                     "401 403 200 200 200 403 200 200",
	"POST /admin/customers/operations/{operation}/retry":                              "401 403 403 403 403 403 303 403",
	"GET /customers/password":                                                         "404 404 404 404 404 404 404 404",
	"POST /customers/password":                                                        "404 404 404 404 404 404 404 404",

	"GET /admin/customers/records":                  "401 403 403 403 200 200 403 403",
	"GET /admin/customers/records/new":              "401 403 403 403 200 403 403 403",
	"POST /admin/customers/records/new":             "401 403 403 403 404 403 403 403",
	"POST /admin/customers/records/keys":            "401 403 403 403 303 303 403 403",
	"GET /admin/customers/records/labels":           "401 403 403 403 200 200 403 403",
	"GET /admin/customers/records/{record}":         "401 403 403 403 200 404 403 403",
	"POST /admin/customers/records/{record}":        "401 403 403 403 422 404 403 403",
	"POST /admin/customers/records/{record}/key":    "401 403 403 403 303 404 403 403",
	"GET /admin/customers/records/{record}/qr.svg":  "401 403 403 403 404 404 403 403",
	"POST /admin/customers/records/{record}/mail":   "401 403 403 403 303 404 403 403",
	"POST /admin/customers/records/{record}/take":   "401 403 403 403 303 404 403 403",
	"GET /admin/customers/records/{record}/assign":  "401 403 403 403 200 404 403 403",
	"POST /admin/customers/records/{record}/assign": "401 403 403 403 422 404 403 403",
	"POST /admin/customers/records/{record}/undo":   "401 403 403 403 303 403 403 403",
	"GET /admin/customers/records/{record}/delete":  "401 403 403 403 200 403 403 403",
	"POST /admin/customers/records/{record}/delete": "401 403 403 403 303 403 403 403",
	"GET /customers/claim":                          "200 200 403 403 403 403 403 403",
	"POST /customers/claim":                         "401 422 403 403 403 403 403 403",
	"GET /customers/setup":                          "401 404 403 403 403 403 403 403",
	"POST /customers/setup":                         "401 404 403 403 403 403 403 403",

	"GET /admin/customers/people/{person}/privacy":        "401 403 403 403 403 403 403 200",
	"GET /admin/customers/people/{person}/privacy/export": "401 403 403 403 403 403 403 200",
	"GET /admin/customers/people/{person}/privacy/erase":  "401 403 403 403 403 403 403 200",
	"POST /admin/customers/people/{person}/privacy/erase": "401 403 403 403 403 403 403 422",
	"GET /admin/customers/erasures":                       "401 403 403 403 403 403 403 200",
	"GET /customers":                                      "401 200 403 403 403 403 403 403",
	"POST /customers/sessions/{session}/end":              "401 303 403 403 403 403 403 403",
	"GET /customers/data":                                 "401 200 403 403 403 403 403 403",
	"GET /customers/delete":                               "401 200 403 403 403 403 403 403",
	"POST /customers/delete":                              "401 422 403 403 403 403 403 403",
}

// people makes accounts for the cast.
func (w *whole) people() []sdk.Identity {
	w.t.Helper()
	list := []sdk.Identity{{}}
	for i, c := range cast[1:] {
		role := identity.RoleCustomer
		if i > 0 {
			role = identity.RoleAdministrator
		}
		u, err := w.People.CreateUser(w.t.Context(), identity.System, identity.NewUser{Name: c.name, Email: fmt.Sprintf("p%d@example.com", i), Roles: []string{role}})
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, sdk.Identity{UserID: u.ID, Name: u.Name, Roles: u.Roles, Permissions: c.permissions})
	}
	return list
}

// pages lists every method and path of the manifest, GET first, so that no form changes what a page is to show.
func (w *whole) pages() []string {
	var list []string
	for _, p := range w.Manifest.Pages {
		methods := p.Methods
		if len(methods) == 0 {
			methods = []string{http.MethodGet}
		}
		for _, m := range methods {
			list = append(list, m+" "+p.Path)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int { return strings.Compare(a[:3], b[:3]) })
	return list
}

// open asks for a page, with a form that has nothing but its own word if it wants one.
func (w *whole) open(who sdk.Identity, page, path string) (status int, body string) {
	w.t.Helper()
	method, _, _ := strings.Cut(page, " ")
	var form url.Values
	if method == http.MethodPost {
		form = url.Values{"once": {site.Once()}}
	}
	a := w.Do(who, method, path, form, "text/html")
	return a.Status, a.Body
}

func TestRoles_EveryPageForEverybody(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	zuleika := w.aLife()
	w.send(w.chief, customersRoot+"/records/new", "product", "1/10001", "lines", fourthLamp)
	// An operation at Particle, as ownership leaves one when nobody knows what came of it.
	err := w.db.Exec("INSERT INTO customers_operations (once, kind, workspace_id, product_id, product, subject, owner, customer_id, state, sentence, by_id, by_name, tries, next_at, started_at) VALUES ('A', 'shadow_delete', 1, '10001', 'Garden lamp', 'x', '', 0, 'attention', 'Nobody knows.', 0, '', 1, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)").Error
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{person}", strconv.FormatInt(zuleika.UserID, 10), "{note}", "1", "{import}", "1", "{workspace}", "1", "{product}", "10001", "{customer}", "c1",
		"{device}", firstLamp, "{operation}", "1", "{record}", "2", "{session}", "x")
	cast, seen := w.people(), map[string]bool{}
	for _, page := range w.pages() {
		want, ok := matrix[page]
		if seen[page] = true; !ok {
			t.Errorf("the matrix does not say who may open %s", page)
			continue
		}
		got := make([]string, len(cast))
		for i, who := range cast {
			calls := w.calls.Load()
			status, body := w.open(who, page, fill.Replace(strings.Fields(page)[1]))
			got[i] = strconv.Itoa(status)
			if (status == 401 || status == 403 || status == 404) && w.calls.Load() != calls {
				t.Errorf("%s: %s was refused, and another module was asked", page, who.Name)
			}
			if (status == 401 || status == 403) && strings.Contains(strings.ToLower(body), "zuleika") {
				t.Errorf("%s: %s was refused, and told of the customer", page, who.Name)
			}
		}
		if have := strings.Join(got, " "); have != want {
			t.Errorf("%s:\n  want %s\n  have %s", page, want, have)
		}
	}
	for page := range matrix {
		if !seen[page] {
			t.Errorf("%s is in the matrix, but not in the manifest", page)
		}
	}
}

// Whoever may open a page gets the same answer for a customer, a device or a record that does not exist and for one that is none of
// theirs, and nothing is asked for either.
func TestRoles_ForgedNumbersAllLookTheSame(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	w.aLife()
	staff := w.people()[2]
	forged := map[string][]string{
		"{person}":    {strconv.FormatInt(staff.UserID, 10), strconv.FormatInt(w.chief.UserID, 10), "999999", "0", "-1", "1%20OR%201", "99999999999999999999"},
		"{device}":    {"0a10aced2021949440000000", "0a10aced2021949440000001"},
		"{record}":    {"999999", "0", "x"},
		"{operation}": {"999999", "0", "x"},
		"{import}":    {"999999", "0", "x"},
	}
	fill := strings.NewReplacer("{note}", "1", "{workspace}", "1", "{product}", "10001", "{customer}", "c1", "{session}", "x")
	for _, page := range w.pages() {
		for part, values := range forged {
			if !strings.Contains(page, part) {
				continue
			}
			answers := map[string]bool{}
			for _, v := range values {
				calls := w.calls.Load()
				status, body := w.open(w.chief, page, fill.Replace(strings.Replace(strings.Fields(page)[1], part, v, 1)))
				if answers[body] = true; status != http.StatusNotFound {
					t.Errorf("%s with %s: %d", page, v, status)
				}
				if w.calls.Load() != calls {
					t.Errorf("%s with %s: another module was asked", page, v)
				}
			}
			if len(answers) != 1 {
				t.Errorf("%s tells forged numbers apart: %d answers", page, len(answers))
			}
		}
	}
}

// A customer who names another one's device, session or key gets nowhere.
func TestRoles_ACustomerReachesNothingOfAnother(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	zuleika := w.aLife()
	carl := w.Person("Carl", "carl@example.com", "customers.own")
	for _, path := range []string{"/customers", "/customers/data", "/customers/delete", "/customers/claim", "/customers/setup?device=" + firstLamp, "/customers/setup?device=" + secondLamp} {
		a := w.Get(carl, path)
		if text := strings.ToLower(a.Body); strings.Contains(text, "zuleika") || strings.Contains(text, "quarrel") || strings.Contains(text, "first lamp") {
			t.Errorf("%s shows another customer's: %s", path, a.Body)
		}
	}
	if a := w.Post(carl, "/customers/delete", url.Values{"once": {"AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "confirm": {"zuleika@quarrel.example"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("deleting another account: %d", a.Status)
	}
	if _, err := w.People.User(t.Context(), zuleika.UserID); err != nil {
		t.Error(err)
	}
}
