package main

import (
	"context"
	"fmt"
	"strings"

	"mortise/core"
	"mortise/core/control"
	"mortise/core/fault"
	"mortise/plugins"
)

// demoPerson is somebody who can sign in to a demonstration.
type demoPerson struct {
	name, email, password string
	roles                 []string
}

// Two customers show the two ways to have devices: Ann links a Particle account of her own, Ben has devices of the maker's product.
// Ina installs devices, and sees nothing but her own jobs.
var (
	demoAdmin     = demoPerson{"Ada Admin", demoAdminEmail, demoAdminPassword, []string{"administrator"}}
	demoAnn       = demoPerson{"Ann Customer", demoCustomerEmail, demoCustomerPassword, []string{"customer"}}
	demoBen       = demoPerson{"Ben Gardener", "ben@demo.example", "water-the-roses", []string{"customer"}}
	demoInstaller = demoPerson{"Ina Installer", "ina@demo.example", "up-the-ladder", []string{demoInstallerRole}}
)

const demoInstallerRole = "installer"

// demoAccounts makes the people who are there from the start. Who is there already stays as they are.
func demoAccounts(ctx context.Context, host *core.Host, people ...demoPerson) error {
	for _, p := range people {
		_, err := host.Operations().CreateUser(ctx, control.NewUser{Name: p.name, Email: p.email, Password: p.password, Roles: p.roles})
		if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Invalid) {
			return fmt.Errorf("make the account %s: %w", p.email, err)
		}
	}
	return nil
}

// demoStep is one thing that the administrator of a demonstration has done before anybody looks.
type demoStep struct {
	does string
	do   func(context.Context, *demoOffice) error
}

// demoOffice is the administrator at work.
type demoOffice struct {
	*demoVisitor
	host  *core.Host
	cloud *simulated
}

// fillDemo does what a maker does in the first days, by the pages, so that each of them has something to show. A site that has a workspace
// is left alone: it was filled before, or somebody works with it.
func fillDemo(ctx context.Context, host *core.Host, cloud *simulated) error {
	office := &demoOffice{newDemoVisitor(host.URL()), host, cloud}
	if err := office.signIn(ctx, demoAdmin.email, demoAdmin.password); err != nil {
		return err
	}
	var list struct {
		Workspaces []struct{} `json:"workspaces"`
	}
	if err := office.get(ctx, "/admin/organizations", &list); err != nil || len(list.Workspaces) > 0 {
		return err
	}
	for _, step := range []demoStep{
		{"connect the workspaces", connectDemoWorkspaces},
		{"make a role for installers", makeDemoInstaller},
		{"import customers", importDemoCustomers},
		{"attach devices", attachDemoDevices},
		{"put devices on the bench", benchDemoDevices},
	} {
		if err := step.do(ctx, office); err != nil {
			return fmt.Errorf("fill the demonstration: %s: %w", step.does, err)
		}
	}
	return nil
}

const demoWorkspace = "/admin/organizations/workspaces/1"

// connectDemoWorkspaces adds one with the token of an API user, as it should be, and one with the token of a person, which reaches the
// organization and ends after 90 days.
func connectDemoWorkspaces(ctx context.Context, o *demoOffice) error {
	for _, w := range []struct{ name, token string }{
		{"Garden lamps", plugins.ParticleDemoAPIToken},
		{"Weather stations", o.cloud.server.IssueToken(plugins.ParticleDemoEmail, "")},
	} {
		if _, err := o.send(ctx, "/admin/organizations/workspaces/new", "name", w.name, "base_url", o.cloud.url, "token", w.token); err != nil {
			return err
		}
	}
	_, err := o.send(ctx, demoWorkspace+"/products/"+plugins.ParticleDemoProduct+"/default")
	return err
}

func makeDemoInstaller(ctx context.Context, o *demoOffice) error {
	if _, err := o.send(ctx, "/admin/roles", "id", demoInstallerRole, "title", "Installer", "description", "Fits devices at customers' places."); err != nil {
		return err
	}
	if _, err := o.send(ctx, "/admin/permissions", "change", demoInstallerRole+" customers.install 1 0"); err != nil {
		return err
	}
	if err := demoAccounts(ctx, o.host, demoInstaller); err != nil {
		return err
	}
	ina := newDemoVisitor(o.host.URL()) // whoever opened the records once can be given jobs
	if err := ina.signIn(ctx, demoInstaller.email, demoInstaller.password); err != nil {
		return err
	}
	return ina.get(ctx, "/admin/customers/records", nil)
}

// demoCustomers is the file that is imported: with lines that are wrong, since such files are.
const demoCustomers = `name,email,note
Clara Vogt,clara.vogt@customers.example,Two lamps on the terrace
Dietrich Freiherr von und zu Hohenberg-Schönbrunn,dietrich@customers.example,
Emma Okafor,emma@customers.example,Prefers to be called in the afternoon
Farid Haddad,farid@customers.example,
Greta Lind,greta@customers.example,
Hana Suzuki,hana@customers.example,
Ivo Novák,ivo@customers.example,
Jonas Berg,jonas@@customers.example,
Kim Park,kim@customers.example,
Clara Vogt,clara.vogt@customers.example,
Lena Brandt,lena@customers.example,
Green Acres Nursery,office@greenacres.example,A business customer with a fleet of their own
`

func importDemoCustomers(ctx context.Context, o *demoOffice) error {
	var page struct {
		Once string `json:"once"`
	}
	if err := o.get(ctx, "/admin/customers/import", &page); err != nil {
		return err
	}
	_, err := o.send(ctx, "/admin/customers/import", "once", page.Once, "text", demoCustomers)
	return err
}

// demoDevices are the devices that Ben has: two that work and one that is away.
var demoDevices = []string{"e00fce680000000000100004", "e00fce680000000000100005", "e00fce680000000000100007"}

func attachDemoDevices(ctx context.Context, o *demoOffice) error {
	var list struct {
		People []struct {
			ID   int64  `json:"id"`
			Path string `json:"path"`
		} `json:"people"`
	}
	if err := o.get(ctx, "/admin/customers?q=ben", &list); err != nil {
		return err
	}
	if len(list.People) == 0 {
		return fmt.Errorf("%s is not on the list of customers", demoBen.email)
	}
	_, err := o.send(ctx, list.People[0].Path+"/attach", "product", "1/"+plugins.ParticleDemoProduct, "ids", strings.Join(demoDevices, "\n"))
	return err
}

func benchDemoDevices(ctx context.Context, o *demoOffice) error {
	path := "/admin/customers/records/new?product=1/" + plugins.ParticleDemoProduct
	var page struct {
		Form struct {
			Once string `json:"once"`
		} `json:"form"`
	}
	if err := o.get(ctx, path, &page); err != nil {
		return err
	}
	_, err := o.send(ctx, "/admin/customers/records/new", "product", "1/"+plugins.ParticleDemoProduct, "once", page.Form.Once, "job", "Miller house", "keys", "1", "lines",
		"e00fce680000000000100001, Porch lamp, SN-1001\ne00fce680000000000100002, Gate lamp, SN-1002\ne00fce680000000000100003, Pond lamp, SN-1003")
	return err
}
