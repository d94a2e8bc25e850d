package particle_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

func TestDevices_AreReadInEveryShape(t *testing.T) {
	t.Parallel()
	for _, bent := range []bool{false, true} {
		var cloud particletest.Server
		client, token := newCloud(t, &cloud, particle.Timeouts{})
		cloud.Faults.Set(particletest.Faults{WrongShapes: bent})
		list, err := client.Devices(t.Context(), token)
		must(t, err)
		if len(list) != 5 || !list[0].Online || list[2].Online || list[0].Platform() != "Photon 2" {
			t.Fatalf("bent %v: got %+v", bent, list)
		}
		lamp, err := client.Device(t.Context(), token, " "+"E00FCE680000000000000001")
		must(t, err)
		if lamp.Name != "desk-lamp" || !slices.Equal(lamp.Functions, []string{"brightness", "led"}) || lamp.Variables["brightness"] != "int32" ||
			lamp.ProductID != "10001" || lamp.LastHeard.IsZero() || lamp.Owner != particletest.DemoEmail {
			t.Errorf("bent %v: got %+v", bent, lamp)
		}
		product, err := client.Product(t.Context(), token, "garden-lamp-10001")
		must(t, err)
		if product.ID != "10001" || product.PlatformID != 32 {
			t.Errorf("bent %v: got %+v", bent, product)
		}
		if n, err := client.Call(t.Context(), token, lamp.ID, "led", "on"); err != nil || n != 1 {
			t.Errorf("bent %v: got %d, %v", bent, n, err)
		}
	}
}

func TestDevices_OfASelfHostedCloudAreRead(t *testing.T) {
	t.Parallel()
	old := answering(t, 200, "application/json", `[{"id":"0a10aced202194944a000001","name":null,"connected":true,"functions":null,"variables":null,"last_heard":null,"product_id":0},
		{"name":"no id"}, 17, {"id":"0a10aced202194944a000002","connected":false,"functions":"led","variables":{"a":3},"last_heard":"2026-02-03"}]`)
	list, err := old.Devices(t.Context(), "token")
	must(t, err)
	if len(list) != 2 || !list[0].Online || list[0].Functions != nil || list[0].Variables != nil || list[1].Online ||
		list[1].Variables["a"] != "3" || list[1].LastHeard != time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC) {
		t.Errorf("got %+v", list)
	}
}

func TestCall_SwitchesTheLampAndReturnsWhatTheDeviceReturns(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	n, err := client.Call(t.Context(), token, particletest.DemoLamp, "led", "on")
	if err != nil || n != 1 || cloud.Variable(particletest.DemoLamp, "led") != "on" {
		t.Errorf("got %d, %v; the lamp is %v", n, err, cloud.Variable(particletest.DemoLamp, "led"))
	}
	value, err := client.Variable(t.Context(), token, particletest.DemoLamp, "led")
	if err != nil || value.Text() != "on" {
		t.Errorf("got %+v, %v", value, err)
	}
	if n, err := client.Call(t.Context(), token, particletest.DemoNegative, "check", ""); err != nil || n != -7 {
		t.Errorf("got %d, %v", n, err)
	}
	_, err = client.Call(t.Context(), token, particletest.DemoLamp, "Led", "on")
	wantKind(t, err, particle.NotFound)
	_, err = client.Variable(t.Context(), token, particletest.DemoLamp, "nope")
	wantKind(t, err, particle.NotFound)
	_, err = client.Variable(t.Context(), token, particletest.DemoLamp, "events")
	wantKind(t, err, particle.NotFound)
	_, err = client.Call(t.Context(), token, unknown, "led", "on")
	wantKind(t, err, particle.UnknownDevice)
	_, err = client.Device(t.Context(), token, unknown)
	wantKind(t, err, particle.UnknownDevice)
	_, err = client.Call(t.Context(), "dead", particletest.DemoLamp, "led", "on")
	wantKind(t, err, particle.DeadToken)
	_, err = client.Call(t.Context(), token, particletest.DemoLamp, "", "on")
	wantKind(t, err, particle.Invalid)
}

func TestCall_KeepsThirtyTwoBitsAndTheirSign(t *testing.T) {
	t.Parallel()
	for _, want := range []int{math.MinInt32, -1, 0, math.MaxInt32} {
		for _, body := range []string{`{"return_value":%d}`, `{"return_value":"%d","connected":true}`} {
			n, err := answering(t, 200, "application/json", fmt.Sprintf(body, want)).Call(t.Context(), "token", unknown, "f", "")
			if err != nil || n != want {
				t.Errorf("got %d, %v, want %d", n, err, want)
			}
		}
	}
	_, err := answering(t, 200, "application/json", `{"connected":true}`).Call(t.Context(), "token", unknown, "f", "")
	wantKind(t, err, particle.NotParticle)
}

func TestVariable_KeepsEveryDigitAndType(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]any{`21.5`: json.Number("21.5"), `9007199254740993`: json.Number("9007199254740993"), `"x"`: "x", `true`: true, `null`: nil, `{"a":1}`: `{"a":1}`} {
		v, err := answering(t, 200, "application/json", `{"name":"v","result":`+raw+`}`).Variable(t.Context(), "token", unknown, "v")
		if err != nil || v.Value != want {
			t.Errorf("%s: got %#v, %v", raw, v.Value, err)
		}
	}
}

func TestOffline_HasOneKindForItsFourFacesAndSilenceAnother(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	cloud.DeviceWait = 250 * time.Millisecond
	client, token := newCloud(t, &cloud, quick)
	for _, face := range []int{0, 400, 200} {
		cloud.Faults.Set(particletest.Faults{OfflineAs: face})
		_, err := client.Call(t.Context(), token, particletest.DemoOffline, "door", "")
		wantKind(t, err, particle.Offline)
		_, err = client.Variable(t.Context(), token, particletest.DemoOffline, "open")
		wantKind(t, err, particle.Offline)
	}
	wantKind(t, client.Signal(t.Context(), token, particletest.DemoOffline, true), particle.Offline)
	online, err := client.Ping(t.Context(), token, particletest.DemoOffline)
	if online || err != nil {
		t.Errorf("got %v, %v", online, err)
	}
	must(t, client.Rename(t.Context(), token, particletest.DemoOffline, "garage"))
	_, err = client.Call(t.Context(), token, particletest.DemoLate, "heat", "")
	wantKind(t, err, particle.DeviceTimeout)
	if n := cloud.Called(particletest.DemoLate, "heat"); n != 1 {
		t.Errorf("the function ran %d times, want once", n)
	}
}

func TestDevice_IsRenamedSignalledPingedReleasedAndClaimed(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, lamp := t.Context(), particletest.DemoLamp
	must(t, client.Rename(ctx, token, lamp, "küche/1"))
	must(t, client.SetNotes(ctx, token, lamp, "on the desk"))
	device, err := client.Device(ctx, token, "küche/1") // a name with a slash must not become two steps of a path
	if err != nil || device.ID != lamp || device.Notes != "on the desk" {
		t.Errorf("got %+v, %v", device, err)
	}
	must(t, client.Signal(ctx, token, lamp, true))
	if !cloud.Signaling(lamp) {
		t.Error("the lamp is not signalling")
	}
	must(t, client.Signal(ctx, token, lamp, false))
	if online, err := client.Ping(ctx, token, lamp); !online || err != nil {
		t.Errorf("got %v, %v", online, err)
	}
	must(t, client.Unclaim(ctx, token, lamp))
	_, err = client.Device(ctx, token, lamp)
	wantKind(t, err, particle.UnknownDevice)
	_, err = client.Claim(ctx, token, lamp, false)
	must(t, err)
	_, err = client.Claim(ctx, token, unknown, false)
	wantKind(t, err, particle.UnknownDevice)
	cloud.AddAccount(particletest.Account{Username: "bob@example.com", Password: "pw"})
	other := cloud.IssueToken("bob@example.com", "")
	_, err = client.Claim(ctx, other, lamp, false)
	wantKind(t, err, particle.OwnedByOther)
	if id, err := client.Claim(ctx, other, lamp, true); err != nil || id == "" {
		t.Errorf("got %q, %v", id, err)
	}
	if list, err := client.Devices(ctx, other); err != nil || len(list) != 0 {
		t.Errorf("another account sees %d devices, %v", len(list), err)
	}
	if code, err := client.ClaimCode(ctx, token); err != nil || len(code.Code) != 63 || len(code.DeviceIDs) != 5 {
		t.Errorf("got %d devices, %v", len(code.DeviceIDs), err)
	}
}

func TestClient_SendsWhatTheCloudDocuments(t *testing.T) {
	t.Parallel()
	type request struct{ line, contentType, auth, body string }
	got := make(chan request, 1)
	client := handling(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got <- request{r.Method + " " + r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.PostForm.Encode()}
		_, _ = w.Write([]byte(`{"return_value":1,"id":"x","ok":true,"access_token":"t"}`))
	})
	const form = "application/x-www-form-urlencoded"
	ctx := t.Context()
	for _, c := range []struct {
		do   func()
		want request
	}{
		{func() { _, _ = client.Call(ctx, "tok", "0A10ACED202194944A000001", "led", "a b&c") }, request{"POST /v1/devices/0a10aced202194944a000001/led", form, "Bearer tok", "arg=a+b%26c"}},
		{func() { _, _ = client.InProduct("pump-1").Call(ctx, "tok", "x/../y", "..", "") }, request{"POST /v1/products/pump-1/devices/x%2F..%2Fy/%2E%2E", form, "Bearer tok", "arg="}},
		{func() { _ = client.Signal(ctx, "tok", "lamp", true) }, request{"PUT /v1/devices/lamp", form, "Bearer tok", "signal=1"}},
		{func() { _ = client.Rename(ctx, "tok", "lamp", "x") }, request{"PUT /v1/devices/lamp", form, "Bearer tok", "name=x"}},
		{func() { _ = client.Publish(ctx, "tok", "a/b", "d") }, request{"POST /v1/devices/events", form, "Bearer tok", "data=d&name=a%2Fb&private=true&ttl=60"}},
		{func() { _, _ = client.Exchange(ctx, particle.OAuthClient{ID: "a", Secret: "b+/%"}, "c", "https://x") }, request{"POST /oauth/token", form, "Basic YTpiKy8l", "code=c&grant_type=authorization_code&redirect_uri=https%3A%2F%2Fx"}},
		{func() {
			_, _ = client.CustomerToken(ctx, particle.OAuthClient{ID: "a", Secret: "b"}, "Ann+x@example.com")
		}, request{"POST /oauth/token", form, "Basic YTpi", "grant_type=client_credentials&scope=customer%3Dann%2Bx%40example.com"}},
		{func() { _ = client.RevokeToken(ctx, "tok") }, request{"DELETE /v1/access_tokens/current", "", "Bearer tok", ""}},
		{func() { _ = client.DeleteCustomer(ctx, "tok", "p", "a/b+c@x") }, request{"DELETE /v1/products/p/customers/a%2Fb+c@x", "", "Bearer tok", ""}},
		{func() { _, _ = client.OpenStream(ctx, "tok", particle.Source{Prefix: "a/b"}) }, request{"GET /v1/devices/events/a%2Fb", "", "Bearer tok", ""}},
		{func() { _, _ = client.InProduct("7").OpenStream(ctx, "tok", particle.Source{Device: "d"}) }, request{"GET /v1/products/7/devices/d/events", "", "Bearer tok", ""}},
	} {
		c.do()
		if r := <-got; r != c.want {
			t.Errorf("\n got %+v\nwant %+v", r, c.want)
		}
	}
}

func TestProduct_HasFleetTeamClientsAndCustomers(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, product := t.Context(), particletest.DemoProduct
	fleet := client.InProduct(product)
	server := particle.OAuthClient{ID: particletest.DemoServerID, Secret: particletest.DemoServerSecret}
	for i := range 30 {
		_, err := client.CreateCustomer(ctx, server, product, fmt.Sprintf("Ann+%d@Example.com", i), "")
		must(t, err)
	}
	list, pages, err := client.Customers(ctx, token, product, particle.Page{Number: 3})
	if err != nil || pages != 3 || len(list) != 12 || list[11].Username != "ann+29@example.com" {
		t.Errorf("got %d customers of %d pages, %v", len(list), pages, err)
	}
	customer, err := client.CustomerToken(ctx, server, "ANN+3@example.com")
	must(t, err)
	if _, err := fleet.Call(ctx, customer.AccessToken, particletest.DemoLamp, "led", "on"); particle.KindOf(err) != particle.Denied {
		t.Errorf("a customer's token on a product's path: %v", err)
	}
	_, err = client.CustomerToken(ctx, server, "nobody@example.com")
	wantKind(t, err, particle.BadScope)
	must(t, client.DeleteCustomer(ctx, token, product, "ann+3@example.com"))
	_, err = client.Devices(ctx, customer.AccessToken)
	wantKind(t, err, particle.DeadToken)
	owner, err := client.ClientCredentials(ctx, server)
	must(t, err)
	if n, err := fleet.Call(ctx, owner.AccessToken, particletest.DemoLamp, "led", "on"); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if devices, pages, err := client.ProductDevices(ctx, token, product, particle.Page{}); err != nil || len(devices) != 25 || pages != 3 {
		t.Errorf("got %d devices, %v", len(devices), err)
	}
	if team, err := client.Team(ctx, token, product); err != nil || len(team) != 4 || team[0].Role != "Owner" || team[0].Programmer || !team[2].Programmer || len(team[2].Scopes) == 0 {
		t.Errorf("got %+v, %v", team, err)
	}
	made, err := fleet.CreateClient(ctx, token, particle.ClientInfo{Name: "Garden CMS", Type: "web", RedirectURI: "https://x.example/cb"})
	if err != nil || len(made.Secret) != 40 {
		t.Fatalf("got %v, %v", made, err)
	}
	must(t, fleet.UpdateClient(ctx, token, made.ID, "Other", ""))
	clients, err := fleet.Clients(ctx, token)
	if err != nil || len(clients) != 2 || clients[0].Name != "Other" || clients[0].Secret != "" || clients[0].RedirectURI != "https://x.example/cb" {
		t.Errorf("got %v, %v", clients, err)
	}
	must(t, fleet.DeleteClient(ctx, token, made.ID))
	wantKind(t, fleet.DeleteClient(ctx, token, made.ID), particle.NotFound)
	_, err = client.Product(ctx, token, "none")
	wantKind(t, err, particle.NotFound)
}
