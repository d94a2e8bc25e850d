package main

import (
	"net"
	"net/url"
	"strings"

	"mortise/core/sdk"
)

// purpose is what an OAuth client is made for. The person chooses it; type, redirect URI and scope follow.
type purpose struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Sentence string `json:"sentence"` // what the client will be able to do
	Type     string `json:"type"`     // "" lets the person choose
	Scope    string `json:"scope"`    // "" means full rights
	Product  bool   `json:"product"`  // works only as a client of a product
	Icon     string `json:"icon"`
	Redirect bool   `json:"redirect"` // asks for a redirect URI
}

const (
	forLinking = "link"
	forServer  = "server"
	forApp     = "app"
	forService = "service"
	forCustom  = "custom"

	typeWeb        = "web"
	typeInstalled  = "installed"
	scopeCustomers = "customers:create"
	scopeFull      = "none" // what Particle wants to hear to take a restriction away
)

var purposes = []purpose{
	{ID: forLinking, Title: "Link customers' accounts", Type: typeWeb, Icon: "link", Redirect: true,
		Sentence: "People sign in at Particle and allow this site to use their own devices; the client itself opens nobody's devices."},
	{ID: forServer, Title: "Server creates customers", Type: typeInstalled, Product: true, Icon: "server",
		Sentence: "This server makes customers of the product and gets tokens for them; whoever has the secret can do everything with the product's devices."},
	{ID: forApp, Title: "App that may only sign customers up", Type: typeInstalled, Scope: scopeCustomers, Product: true, Icon: "device",
		Sentence: "An app can make new customers of the product and nothing else; its secret may be inside an app that is given away."},
	{ID: forService, Title: "Alexa or another service", Type: typeWeb, Icon: "cloud", Redirect: true,
		Sentence: "People link their Particle account in another company's app; that company then acts with their devices."},
	{ID: forCustom, Title: "Something else", Icon: "sliders", Redirect: true,
		Sentence: "You choose type, redirect URI and scope yourself; without a scope the client can do everything."},
}

func purposeOf(id string) (purpose, bool) {
	for _, p := range purposes {
		if p.ID == id {
			return p, true
		}
	}
	return purpose{}, false
}

// amazonURIs are where Amazon sends people back to, by region. Each is followed by the skill's vendor id. One client has one
// redirect URI, so a skill in several regions needs several clients.
var amazonURIs = []struct{ Region, Prefix string }{
	{"North America", "https://pitangui.amazon.com/api/skill/link/"},
	{"Europe", "https://layla.amazon.com/api/skill/link/"},
	{"Japan", "https://alexa.amazon.co.jp/api/skill/link/"},
}

// checkRedirect tells what is wrong with a redirect URI, or what is worth knowing about it.
func checkRedirect(uri string) (wrong, note string) {
	u, err := url.Parse(uri)
	switch {
	case uri == "":
		return "enter the address that people are sent back to", ""
	case err != nil || u.Host == "" || len(uri) > 500 || strings.ContainsAny(uri, " <>\"'[]\\") && !strings.HasPrefix(u.Host, "["):
		return "this is not a web address such as https://example.com/callback", ""
	case u.RawQuery != "" || u.ForceQuery:
		return "a redirect URI has no query: everything from the question mark on must go", ""
	case u.Fragment != "" || strings.Contains(uri, "#"):
		return "a redirect URI has no fragment: everything from the # on must go", ""
	case u.User != nil:
		return "a redirect URI holds no user name", ""
	case u.Scheme == "https":
		return "", ""
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return "", "This address is this computer's own and not encrypted: good for trying things out, and useless for anybody else."
	}
	return "use https: Particle sends people back to encrypted addresses only", ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// clientForm is what a person enters for a new client.
type clientForm struct {
	Purpose  string `json:"purpose"`
	Product  string `json:"product"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Redirect string `json:"redirect_uri"`
	Vendor   string `json:"vendor_id"`
	Region   string `json:"region"`
	Scope    string `json:"scope"`
	Once     string `json:"once"`
}

// settle fills in what follows from the purpose and finds what is wrong. inProduct tells whether a product was picked.
func (f *clientForm) settle(own string, inProduct bool) (wrong sdk.Fields) {
	wrong = sdk.Fields{}
	p, ok := purposeOf(f.Purpose)
	if !ok {
		wrong["purpose"] = "choose what the client is for"
		return wrong
	}
	if f.Name == "" {
		wrong["name"] = "give the client a name; Particle makes its id from it, and people see it when they allow access"
	}
	if p.Product && !inProduct {
		wrong["product"] = "choose a product: only a client of a product reaches its customers"
	}
	if p.Type != "" {
		f.Type = p.Type
	}
	if p.ID != forCustom {
		f.Scope = p.Scope
	} else if f.Scope != "" && f.Scope != scopeCustomers {
		wrong["scope"] = "choose one of the scopes"
	}
	if f.Type != typeWeb && f.Type != typeInstalled {
		wrong["type"] = "choose web or installed"
	}
	f.settleRedirect(p, own, wrong)
	return wrong
}

func (f *clientForm) settleRedirect(p purpose, own string, wrong sdk.Fields) {
	if f.Type != typeWeb {
		f.Redirect = ""
		return
	}
	if p.ID == forLinking {
		f.Redirect = own
	}
	if p.ID == forService && f.Region != "" {
		vendor := strings.TrimSpace(f.Vendor)
		if vendor == "" || len(vendor) > 40 || strings.ContainsFunc(vendor, func(c rune) bool {
			return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
		}) {
			wrong["vendor_id"] = "enter the vendor id of your Amazon developer account: letters and digits, such as M2ABCDEF123456"
			return
		}
		f.Redirect = ""
		for _, a := range amazonURIs {
			if a.Region == f.Region {
				f.Redirect = a.Prefix + vendor
			}
		}
	}
	if problem, _ := checkRedirect(f.Redirect); problem != "" {
		wrong["redirect_uri"] = problem
		if p.ID == forLinking {
			wrong["redirect_uri"] = "this site's own address does not do: " + problem + ". Set a public address that starts with https://"
		}
	}
}
