package particle_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

func TestFleet_IsFilteredSortedAndPaged(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, product := t.Context(), "garden-lamp-10001"
	for _, c := range []struct {
		query       particle.DeviceQuery
		rows, pages int
		first       string
	}{
		{particle.DeviceQuery{}, 25, 3, particletest.DemoLamp},
		{particle.DeviceQuery{Page: particle.Page{Number: 3}}, 11, 3, ""},
		{particle.DeviceQuery{Name: "LAMP-01"}, 10, 1, ""},
		{particle.DeviceQuery{ID: "000010000"}, 9, 1, ""},
		{particle.DeviceQuery{Serial: "sim00100060"}, 1, 1, particletest.DemoFleetID(60)},
		{particle.DeviceQuery{Groups: []string{"bench"}, Sort: particle.SortName, Ascending: true}, 3, 1, particletest.DemoFleetID(1)},
		{particle.DeviceQuery{Groups: []string{"bench"}, Sort: particle.SortName}, 3, 1, particletest.DemoFleetID(3)},
		{particle.DeviceQuery{Groups: []string{"north", "south"}, Sort: particle.SortID, Page: particle.Page{Size: 100}}, 59, 1, particletest.DemoFleetID(59)},
		{particle.DeviceQuery{Quarantined: true}, 1, 1, particletest.DemoFleetID(60)},
		{particle.DeviceQuery{Sort: particle.SortLastConnection, Ascending: true}, 25, 3, particletest.DemoFleetID(56)},
		{particle.DeviceQuery{Name: "nobody"}, 0, 1, ""},
	} {
		page, err := client.FindProductDevices(ctx, token, product, c.query)
		if err != nil || len(page.Devices) != c.rows || page.Pages != c.pages || c.first != "" && page.Devices[0].ID != c.first {
			t.Errorf("%+v: got %d devices of %d pages, %v", c.query, len(page.Devices), page.Pages, err)
		}
	}
	page, err := client.FindProductDevices(ctx, token, product, particle.DeviceQuery{Name: "lamp-010"})
	if err != nil || len(page.Customers) != 1 || page.Customers[0].Username != particletest.DemoCustomer {
		t.Errorf("got owners %+v, %v", page.Customers, err)
	}
	seen := map[string]bool{}
	must(t, client.EachProductDevice(ctx, token, product, particle.DeviceQuery{}, func(d particle.Device) error { seen[d.ID] = true; return nil }))
	if n, err := client.CountDevices(ctx, token, product); err != nil || n != 61 || len(seen) != 61 {
		t.Errorf("counted %d, saw %d, %v", n, len(seen), err)
	}
	enough := errors.New("enough")
	if err := client.EachProductDevice(ctx, token, product, particle.DeviceQuery{}, func(particle.Device) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if n, err := client.CountCustomers(ctx, token, product); err != nil || n != 32 {
		t.Errorf("counted %d customers, %v", n, err)
	}
}

func TestCountDevices_WorksWhenTheCloudIgnoresThePageSize(t *testing.T) {
	t.Parallel()
	client := handling(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		rows := `{"id":"e00fce680000000000000001"},{"id":"e00fce680000000000000002"}`
		if r.URL.Query().Get("page") == "4" {
			rows = `{"id":"e00fce680000000000000007"}`
		}
		_, _ = w.Write([]byte(`{"devices":[` + rows + `],"meta":{"total_pages":"4"}}`))
	})
	if n, err := client.CountDevices(t.Context(), "tok", "1"); err != nil || n != 7 {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestProductDevice_IsChangedAndLeaves(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, id := t.Context(), particletest.DemoFleetID(10)
	in := client.InProduct(particletest.DemoProduct)
	must(t, in.SetGroups(ctx, token, id, []string{"west", "attic"}))
	must(t, in.SetDevelopment(ctx, token, id, true))
	must(t, in.SetNotes(ctx, token, id, "on the roof"))
	must(t, in.Rename(ctx, token, id, "roof"))
	must(t, in.Signal(ctx, token, id, true))
	d, err := in.Device(ctx, token, id)
	if err != nil || !slices.Equal(d.Groups, []string{"west", "attic"}) || !d.Development || d.Notes != "on the roof" || d.Name != "roof" || d.Owner != particletest.DemoCustomer {
		t.Errorf("got %+v, %v", d, err)
	}
	if v, err := in.Variable(ctx, token, id, "led"); err != nil || v.Text() != "off" {
		t.Errorf("got %+v, %v", v, err)
	}
	if online, err := in.Ping(ctx, token, id); err != nil || !online {
		t.Errorf("got %v, %v", online, err)
	}
	must(t, in.SetGroups(ctx, token, id, nil))
	must(t, in.Unclaim(ctx, token, id))
	if d, err = in.Device(ctx, token, id); err != nil || len(d.Groups) != 0 || d.Owner != "" {
		t.Errorf("got %+v, %v", d, err)
	}
	must(t, in.RemoveFromProduct(ctx, token, id))
	err = in.RemoveFromProduct(ctx, token, id)
	wantKind(t, err, particle.UnknownDevice)
	if e := err.(*particle.Error); !particle.IsGone(err) || e.Scope != "" || e.Uncertain() {
		t.Errorf("got %+v", e)
	}
	must(t, in.DenyDevice(ctx, token, particletest.DemoFleetID(60)))
	wantKind(t, client.SetGroups(ctx, token, id, nil), particle.Invalid)
	wantKind(t, in.SetDevelopment(ctx, token, unknown, true), particle.UnknownDevice)
}

func TestImport_TellsWhatBecameOfEachID(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, product := t.Context(), "garden-lamp-10001"
	want := map[string]particle.ImportOutcome{
		strings.ToUpper(particletest.SpareID(1)): particle.ImportAdded,
		" " + particletest.SpareID(2):            particle.ImportAdded,
		particletest.DemoLamp:                    particle.ImportExisting,
		particletest.DemoForeign:                 particle.ImportNotMember,
		particletest.DemoOtherPlatform:           particle.ImportInvalid,
		particletest.DemoStationID(1):            particle.ImportInvalid,
		unknown:                                  particle.ImportInvalid,
		"not an id":                              particle.ImportInvalid,
	}
	var ids []string
	for id := range want {
		ids = append(ids, id)
	}
	for name, do := range map[string]func(context.Context, string, string, []string, particle.ImportOptions) (particle.ImportResult, error){
		"list": client.AddDevices, "file": client.UploadDevices,
	} {
		result, err := do(ctx, token, product, ids, particle.ImportOptions{SIMs: true})
		must(t, err)
		for id, outcome := range want {
			if got := result.Outcome(id); got != outcome {
				t.Errorf("%s: %q: got %s, want %s", name, id, got, outcome)
			}
		}
		if got := result.Outcome(particletest.SpareID(9)); got != particle.ImportUnknown {
			t.Errorf("%s: an id that was not sent is %s", name, got)
		}
		for _, id := range result.Added {
			must(t, client.InProduct(product).RemoveFromProduct(ctx, token, id))
		}
	}
	if r, err := client.UploadDevices(ctx, token, product, []string{particletest.SpareID(3)}, particle.ImportOptions{ClaimUser: particletest.DemoEmail}); err != nil || len(r.Added) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	if d, err := client.Device(ctx, token, particletest.SpareID(3)); err != nil || d.Owner != particletest.DemoEmail {
		t.Errorf("got owner %q, %v", d.Owner, err)
	}
	_, err := client.AddDevices(ctx, token, product, []string{particletest.SpareID(4)}, particle.ImportOptions{ClaimUser: "nobody@example.com"})
	wantKind(t, err, particle.Invalid)
	for _, bad := range [][]string{nil, {""}, {"a\nb"}, make([]string, 501)} {
		_, err := client.AddDevices(ctx, token, product, bad, particle.ImportOptions{})
		wantKind(t, err, particle.Invalid)
	}
	if !particle.IsDeviceID(" "+strings.ToUpper(unknown)) || particle.IsDeviceID(unknown+"0") || particle.IsDeviceID("desk-lamp") {
		t.Error("IsDeviceID")
	}
}

func TestImport_ReadsOldAnswers(t *testing.T) {
	t.Parallel()
	ids := []string{"e00fce680000000000000001", "e00fce680000000000000002"}
	for body, want := range map[string][2]particle.ImportOutcome{
		`{"updated":1,"nonmemberDeviceIds":[],"invalidDeviceIds":["E00FCE680000000000000002"]}`: {particle.ImportAdded, particle.ImportInvalid},
		`{"updated":"2","nonmemberDeviceIds":null,"invalidDeviceIds":[]}`:                       {particle.ImportAdded, particle.ImportAdded},
		`{"updated":1,"nonmemberDeviceIds":[],"invalidDeviceIds":[]}`:                           {particle.ImportUnknown, particle.ImportUnknown},
	} {
		r, err := answering(t, 200, "application/json", body).AddDevices(t.Context(), "tok", "1", ids, particle.ImportOptions{})
		if got := [2]particle.ImportOutcome{r.Outcome(ids[0]), r.Outcome(ids[1])}; err != nil || got != want {
			t.Errorf("%s: got %v, %v", body, got, err)
		}
	}
	_, err := answering(t, 200, "application/json", `{"hello":1}`).AddDevices(t.Context(), "tok", "1", ids, particle.ImportOptions{})
	wantKind(t, err, particle.NotParticle)
}

func TestImport_CanBeRepeatedAfterAHalfDoneOne(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	for n, fault := range []string{"done500@POST /v1/products/10001/devices#1", "donedrop@POST /v1/products#1"} {
		change, err := particletest.ParseFault(fault)
		must(t, err)
		cloud.Faults.Update(change)
		ids := []string{particletest.SpareID(n + 1)}
		_, err = client.AddDevices(t.Context(), token, "10001", ids, particle.ImportOptions{})
		var e *particle.Error
		if !errors.As(err, &e) || !e.Uncertain() {
			t.Errorf("%s: got %v", fault, err)
		}
		if calls := cloud.Calls("POST /v1/products/{p}/devices"); calls != 2*n+1 {
			t.Errorf("%s: %d requests, want no repetition by itself", fault, calls)
		}
		r, err := client.AddDevices(t.Context(), token, "10001", ids, particle.ImportOptions{})
		if err != nil || r.Outcome(ids[0]) != particle.ImportExisting {
			t.Errorf("%s: again: got %+v, %v", fault, r, err)
		}
	}
}

func TestCustomer_IsMadeOnceHoweverOftenAsked(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, product := t.Context(), particletest.DemoProduct
	server := particle.OAuthClient{ID: particletest.DemoServerID, Secret: particletest.DemoServerSecret}
	first, created, err := client.EnsureCustomer(ctx, server, product, "UUID-1@Site.Example", "")
	if err != nil || !created {
		t.Fatalf("got %v, %v", created, err)
	}
	_, err = client.CreateCustomer(ctx, server, product, "uuid-1@site.example", "")
	wantKind(t, err, particle.Duplicate)
	again, created, err := client.EnsureCustomer(ctx, server, product, "uuid-1@site.example", "")
	if err != nil || created || again.AccessToken == first.AccessToken {
		t.Errorf("again: got %v, %v", created, err)
	}
	change, err := particletest.ParseFault("done500@POST /v1/products/10001/customers#1")
	must(t, err)
	cloud.Faults.Update(change)
	if _, created, err := client.EnsureCustomer(ctx, server, product, "uuid-2@site.example", ""); err != nil || created {
		t.Errorf("half done: got %v, %v", created, err)
	}
	if c, ok, err := client.FindCustomer(ctx, token, product, "UUID-2@site.example"); err != nil || !ok || c.Username != "uuid-2@site.example" {
		t.Errorf("got %+v %v, %v", c, ok, err)
	}
	_, ok, err := client.FindCustomer(ctx, token, product, "nobody@site.example")
	if err != nil || ok {
		t.Errorf("got %v, %v", ok, err)
	}
	wrong := particle.OAuthClient{ID: particletest.DemoServerID, Secret: "wrong"}
	_, _, err = client.EnsureCustomer(ctx, wrong, product, "uuid-3@site.example", "")
	wantKind(t, err, particle.BadClient)
	if _, err = client.CreateCustomerByTeam(ctx, token, product, "Ann@Example.com", "pw"); err != nil {
		t.Error(err)
	}
	wantKind(t, client.SetCustomerPassword(ctx, token, product, "uuid-1@site.example", "new"), particle.Invalid)
	must(t, client.SetCustomerPassword(ctx, token, product, "ANN@example.com", "new"))
	_, err = client.Password(ctx, server, "ann@example.com", "new")
	must(t, err)
}

func TestCustomer_ClaimsWithItsOwnTokenAlone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cloud := &particletest.Server{Now: func() time.Time { return now }}
	client, token := newCloud(t, cloud, particle.Timeouts{})
	ctx, product := t.Context(), particletest.DemoProduct
	in := client.InProduct(product)
	server := particle.OAuthClient{ID: particletest.DemoServerID, Secret: particletest.DemoServerSecret}
	shadow, err := client.CustomerToken(ctx, server, particletest.DemoShadow)
	must(t, err)
	code, err := in.ClaimCode(ctx, shadow.AccessToken)
	if err != nil || len(code.Code) != 63 || len(code.DeviceIDs) != 1 {
		t.Fatalf("got %d characters and %v, %v", len(code.Code), code.DeviceIDs, err)
	}
	if err := cloud.Redeem(particletest.DemoStationID(1), code.Code); err == nil {
		t.Error("a device of another product was claimed")
	}
	must(t, cloud.Redeem(particletest.DemoFleetID(20), code.Code))
	if err := cloud.Redeem(particletest.DemoFleetID(21), code.Code); err == nil {
		t.Error("a code was used twice")
	}
	list, err := client.Devices(ctx, shadow.AccessToken)
	if err != nil || len(list) != 2 {
		t.Errorf("got %d devices, %v", len(list), err)
	}
	if n, err := client.Call(ctx, shadow.AccessToken, particletest.DemoFleetID(20), "led", "on"); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	_, err = client.Call(ctx, shadow.AccessToken, particletest.DemoLamp, "led", "on")
	wantKind(t, err, particle.UnknownDevice)
	_, err = client.FindProductDevices(ctx, shadow.AccessToken, product, particle.DeviceQuery{})
	wantKind(t, err, particle.Denied)
	late, err := in.ClaimCode(ctx, shadow.AccessToken)
	must(t, err)
	must(t, in.Unclaim(ctx, token, particletest.DemoFleetID(20)))
	now = now.Add(61 * time.Minute)
	if err := cloud.Redeem(particletest.DemoFleetID(22), late.Code); err == nil {
		t.Error("a code was used after an hour")
	}
	must(t, client.DeleteCustomer(ctx, token, product, particletest.DemoShadow))
	_, err = client.Devices(ctx, shadow.AccessToken)
	wantKind(t, err, particle.DeadToken)
	_, err = client.CustomerToken(ctx, server, particletest.DemoShadow)
	wantKind(t, err, particle.BadScope)
}

func TestProductStream_IsLimitedDoubledAndReordered(t *testing.T) {
	t.Parallel()
	cloud := &particletest.Server{KeepAlive: 500 * time.Millisecond, Beat: -1}
	client, _ := newCloud(t, cloud, particle.Timeouts{})
	in, ctx := client.InProduct(particletest.DemoProduct), t.Context()
	stream, err := in.OpenStream(ctx, particletest.DemoAPIToken, particle.Source{})
	must(t, err)
	defer stream.Close()
	read := func(n int) string {
		var names []string
		for range n {
			e, err := stream.Next()
			must(t, err)
			names = append(names, e.Name)
		}
		return strings.Join(names, " ")
	}
	cloud.Faults.Set(particletest.Faults{EventsTwice: true})
	must(t, in.PublishAs(ctx, particletest.DemoAPIToken, particletest.DemoLamp, "a", "1"))
	if got := read(2); got != "a a" {
		t.Errorf("twice: got %q", got)
	}
	cloud.Faults.Set(particletest.Faults{EventsReordered: true})
	cloud.Emit(particletest.DemoFleetID(1), "b", "")
	cloud.Emit(particletest.DemoFleetID(2), "c", "")
	cloud.Emit(particletest.DemoStationID(1), "other/product", "")
	if got := read(2); got != "c b" {
		t.Errorf("reordered: got %q", got)
	}
	cloud.Emit(particletest.DemoFleetID(1), "d", "")
	if got := read(1); got != "d" {
		t.Errorf("alone: got %q", got)
	}
	for faults, status := range map[*particletest.Faults]int{{StreamLimit: 1}: 529, {StreamOpenings: 1}: 429, {StreamStatus: 529}: 529} {
		cloud.Faults.Set(*faults)
		_, err := in.OpenStream(ctx, particletest.DemoAPIToken, particle.Source{})
		if e := wantKind(t, err, particle.RateLimited); e.Status != status {
			t.Errorf("got status %d, want %d", e.Status, status)
		}
	}
}

func TestHub_StopsAProductsStreamThatLacksTheScope(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, particle.Timeouts{})
	for _, as := range []int{400, 403} {
		cloud.Faults.Set(particletest.Faults{ScopeAs: as})
		h := hub(t, client.InProduct(particletest.DemoProduct), func() string { return particletest.DemoReadToken }, nil)
		s, err := h.Subscribe("the product", "")
		must(t, err)
		m := until(t, s, isState(particle.Dead))
		var e *particle.Error
		if !errors.As(m.Err, &e) || e.Scope != "events:get" {
			t.Errorf("refused as %d: got %v", as, m.Err)
		}
	}
}
