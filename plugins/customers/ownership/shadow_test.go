package ownership

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
)

var opaque = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}@site\.example$`)

// customersAt lists the user names of the customers of the product lamp at the cloud.
func (b *bench) customersAt(t testing.TB) []string {
	t.Helper()
	list, _, err := b.services.client.Customers(t.Context(), b.services.token, lamp, particle.Page{Number: 1, Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, c := range list {
		names = append(names, c.Username)
	}
	return names
}

// run does the job "resume" after the pause that follows a failure.
func (b *bench) run(t testing.TB, m *module) {
	t.Helper()
	b.clock.forward(2 * time.Hour)
	if mine, err := m.owner.Run(t.Context(), "resume"); err != nil || !mine {
		t.Fatal(mine, err)
	}
}

func TestShadow_IsMadeForTheFirstDeviceUnderAnOpaqueName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1), deviceID(2))
	s := b.shadowOf(t, ann)
	if s == nil || s.State != shadowReady || !opaque.MatchString(s.Username) || s.ExpiresAt == nil || s.TokenAt == nil {
		t.Fatalf("the shadow customer is %+v", s)
	}
	if names := b.customersAt(t); len(names) != 1 || names[0] != s.Username {
		t.Errorf("Particle has %v", names)
	}
	token := b.cloud.Tokens(s.Username)
	if len(token) != 1 || !strings.Contains(b.Host.Sealed(secretShadow)[s.Username], token[0].Token) {
		t.Error("the token is not sealed")
	}
	b.attach(t, ann, deviceID(3))
	if ops := b.operations(t); len(ops) != 1 || ops[0].State != opDone || ops[0].ByName != "Ada" {
		t.Errorf("operations: %+v", ops)
	}
	page := b.Get(b.sam, personPage(ann, "devices")).Body
	if !strings.Contains(page, s.Username) || strings.Contains(page, token[0].Token) {
		t.Error("the page shows the token, or not the name")
	}
	if log := b.Host.LogText(); strings.Contains(log, token[0].Token) || strings.Contains(log, "s3cr3t-of-client") || strings.Contains(log, "ann@") {
		t.Error("the log has a secret or an address")
	}
}

func TestShadow_EveryFaultInTheMiddleOfItsMakingEndsWithOneCustomer(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"done500", "donehang", "donedrop", "429", "529", "500", "503", "html", "drop", "hang", "not_ok"} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.shadowWay(t)
			ann := b.customer(t, "Ann")
			b.fault(t, spec+"@POST /v1/products/10001/customers", spec+"@POST /oauth/token")
			b.attach(t, ann, deviceID(1))
			if v := b.check(t, ann, deviceID(1)); !v.Attached {
				t.Error("the device is not attached")
			}
			b.noFaults()
			if spec == "not_ok" { // a refusal: a person has to try again
				op := b.operations(t)[0]
				if op.State == opFailed {
					b.Post(b.ada, fmt.Sprintf("%s/operations/%d/retry", root, op.ID), nil)
				}
			}
			b.run(t, b.restart(t))
			s := b.shadowOf(t, ann)
			if s == nil || s.State != shadowReady || s.Problem != "" {
				t.Fatalf("the shadow customer is %+v, operations %+v", s, b.operations(t))
			}
			if names := b.customersAt(t); len(names) != 1 || names[0] != s.Username {
				t.Errorf("Particle has %v", names)
			}
			if b.Host.Sealed(secretShadow)[s.Username] == "" {
				t.Error("no token is sealed")
			}
		})
	}
}

func TestShadow_EveryFaultInTheMiddleOfItsDeletionEndsWithNone(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"done500", "donehang", "donedrop", "429", "529", "500", "html", "drop"} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.shadowWay(t)
			ann := b.customer(t, "Ann")
			b.attach(t, ann, deviceID(1))
			username := b.shadowOf(t, ann).Username
			b.fault(t, spec+"@DELETE /v1/products/10001/customers")
			if err := b.owner.Forget(t.Context(), ann.UserID); err != nil {
				t.Fatal(err)
			}
			if b.shadowOf(t, ann) != nil || len(b.Host.Sealed(secretShadow)) != 0 || len(b.has(t, ann)) != 0 {
				t.Error("something is left here")
			}
			b.noFaults()
			m := b.restart(t)
			b.run(t, m)
			if names := b.customersAt(t); len(names) != 0 {
				t.Errorf("Particle has %v", names)
			}
			last := b.operations(t)
			op := last[len(last)-1]
			if op.Kind != opShadowDelete || op.State != opDone || op.CustomerID != 0 || op.Subject != username {
				t.Errorf("the operation is %+v", op)
			}
			if err := m.owner.Forget(t.Context(), ann.UserID); err != nil {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

func TestShadow_AKillBetweenTheStoreAndParticleIsMadeGood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	// The transaction of an attachment, and then nothing: as when the program dies.
	err := b.owner.transaction(t.Context(), func(tx *gormDB) error {
		_, err := b.owner.AttachIn(tx, Attach{UserID: ann.UserID, WorkspaceID: 1, ProductID: lamp, Product: "Garden lamp", DeviceID: deviceID(1)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.shadowOf(t, ann); s.State != shadowWanted {
		t.Fatalf("the shadow customer is %+v", s)
	}
	m := b.restart(t)
	b.run(t, m)
	if s := b.shadowOf(t, ann); s.State != shadowReady {
		t.Errorf("the shadow customer is %+v", s)
	}
	// The same with the customer made and the token lost: it is signed in again.
	username := b.shadowOf(t, ann).Username
	if err := b.Host.Secrets().Delete(t.Context(), secretShadow, username); err != nil {
		t.Fatal(err)
	}
	claim, err := m.owner.ClaimCode(t.Context(), ann.UserID, 1, lamp)
	if err != nil || claim.Owner != username {
		t.Errorf("%v, %v", claim, err)
	}
}

func TestShadow_WaitsForTheClientAndGoesOnWhenItComes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.way(t, "shadow")
	ann := b.customer(t, "Ann")
	before := b.upstreamPosts()
	b.attach(t, ann, deviceID(1))
	if b.upstreamPosts() != before {
		t.Error("Particle was asked without a client")
	}
	found, err := b.owner.Check(t.Context())
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Title, "Garden lamp has no OAuth client") {
		t.Errorf("findings %+v, %v", found, err)
	}
	b.setClient(t, "shadow-client-1", "wrong")
	if _, err := b.owner.Run(t.Context(), "resume"); err != nil {
		t.Fatal(err)
	}
	if found, _ = b.owner.Check(t.Context()); len(found) != 2 || !strings.Contains(found[1].Title, "does not accept the OAuth client") {
		t.Errorf("with a wrong secret: %+v", found)
	}
	if s := b.shadowOf(t, ann); s.Problem == "" {
		t.Error("the shadow customer shows no problem")
	}
	b.setClient(t, "shadow-client-1", "s3cr3t-of-client")
	if _, err := b.owner.Run(t.Context(), "resume"); err != nil {
		t.Fatal(err)
	}
	if s := b.shadowOf(t, ann); s.State != shadowReady || s.Problem != "" {
		t.Errorf("the shadow customer is %+v", s)
	}
	if found, _ = b.owner.Check(t.Context()); len(found) != 0 {
		t.Errorf("findings %+v", found)
	}
}

// upstreamPosts counts the requests that make something of customers.
func (b *bench) upstreamPosts() int {
	return b.cloud.Calls("POST /v1/products/{p}/customers") + b.cloud.Calls("POST /oauth/token")
}

func TestShadow_DetachingReleasesTheDeviceAndTheLastOneEndsTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1), deviceID(2))
	s := b.shadowOf(t, ann)
	claim, err := b.owner.ClaimCode(t.Context(), ann.UserID, 1, lamp)
	if err != nil || claim.Code == "" || claim.Way != attachapi.Shadow || strings.Contains(fmt.Sprintf("%v %+v %#v", claim, claim, claim), claim.Code) {
		t.Fatalf("%v, %v", claim, err)
	}
	if err := b.cloud.Redeem(deviceID(1), claim.Code); err != nil {
		t.Fatal(err)
	}
	b.detach(t, ann, deviceID(1))
	if owner := b.ownerAt(t, deviceID(1)); owner != "" {
		t.Errorf("at Particle the device belongs to %s", owner)
	}
	if len(b.cloud.Tokens(s.Username)) != 1 {
		t.Error("the token ended while there is a device")
	}
	b.detach(t, ann, deviceID(2))
	if len(b.cloud.Tokens(s.Username)) != 0 || len(b.Host.Sealed(secretShadow)) != 0 {
		t.Error("the token lives without a device")
	}
	if s := b.shadowOf(t, ann); s.State != shadowRevoked {
		t.Errorf("the shadow customer is %+v", s)
	}
	b.attach(t, ann, deviceID(2)) // the same customer is used again
	if again := b.shadowOf(t, ann); again.State != shadowReady || again.Username != s.Username || len(b.customersAt(t)) != 1 {
		t.Errorf("the shadow customer is %+v", again)
	}
}

func (b *bench) ownerAt(t testing.TB, id string) string {
	t.Helper()
	d, err := b.services.client.InProduct(lamp).Device(t.Context(), b.services.token, id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Owner
}

func TestShadow_AReleaseThatComesLateNeverTakesTheDeviceFromItsNewOwner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1))
	b.fault(t, "503@GET /v1/products/10001/devices/", "503@DELETE /v1/products/10001/devices/")
	b.detach(t, ann, deviceID(1))
	b.noFaults()
	b.attach(t, bob, deviceID(1))
	claim, err := b.owner.ClaimCode(t.Context(), bob.UserID, 1, lamp)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cloud.Redeem(deviceID(1), claim.Code); err != nil {
		t.Fatal(err)
	}
	b.run(t, b.module)
	if owner := b.ownerAt(t, deviceID(1)); owner != b.shadowOf(t, bob).Username {
		t.Errorf("at Particle the device belongs to %q", owner)
	}
}

func TestShadow_TheTokenIsRenewedEarlyAndByHandAndRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	username := b.shadowOf(t, ann).Username
	first := b.cloud.Tokens(username)[0].Token
	renew := func() {
		t.Helper()
		if _, err := b.owner.Run(t.Context(), "tokens"); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	if b.cloud.Tokens(username)[0].Token != first {
		t.Error("a fresh token was renewed")
	}
	b.clock.forward(80 * 24 * time.Hour)
	b.fault(t, "500@POST /oauth/token")
	renew()
	if s := b.shadowOf(t, ann); s.Problem == "" || !strings.Contains(b.Host.Sealed(secretShadow)[username], first) {
		t.Errorf("after a failure: %+v", s)
	}
	b.noFaults()
	renew()
	tokens := b.cloud.Tokens(username)
	if len(tokens) != 1 || tokens[0].Token == first || !strings.Contains(b.Host.Sealed(secretShadow)[username], tokens[0].Token) || b.shadowOf(t, ann).Problem != "" {
		t.Errorf("after the job: %d tokens, %+v", len(tokens), b.shadowOf(t, ann))
	}
	if a := b.Post(b.ada, personPage(ann, "shadow"), url.Values{"product": {lampKey}, "action": {"renew"}}); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("renewing answered %d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.ada, personPage(ann, "shadow"), url.Values{"product": {lampKey}, "action": {"revoke"}}); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("revoking answered %d %q", a.Status, a.Flash)
	}
	if len(b.cloud.Tokens(username)) != 0 || len(b.Host.Sealed(secretShadow)) != 0 {
		t.Error("the token lives")
	}
	if a := b.Post(b.ada, personPage(ann, "shadow"), url.Values{"product": {lampKey}, "action": {"revoke"}}); a.Status != http.StatusSeeOther || !strings.Contains(a.Flash, "no token") {
		t.Errorf("revoking once more answered %d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.ada, personPage(ann, "shadow"), url.Values{"product": {lampKey}, "action": {"renew"}}); !strings.HasPrefix(a.Flash, "good ") || len(b.cloud.Tokens(username)) != 1 {
		t.Errorf("a new one: %q", a.Flash)
	}
}

func TestShadow_ARevocationThatFailsIsNotUsedHereAndTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	username := b.shadowOf(t, ann).Username
	b.fault(t, "donehang@DELETE /v1/access_tokens")
	if a := b.Post(b.ada, personPage(ann, "shadow"), url.Values{"product": {lampKey}, "action": {"revoke"}}); !strings.Contains(a.Flash, "not confirmed") {
		t.Errorf("%q", a.Flash)
	}
	if s := b.shadowOf(t, ann); s.State != shadowRevoking {
		t.Errorf("the shadow customer is %+v", s)
	}
	b.noFaults()
	b.run(t, b.restart(t))
	if s := b.shadowOf(t, ann); s.State != shadowRevoked || len(b.Host.Sealed(secretShadow)) != 0 || len(b.cloud.Tokens(username)) != 0 {
		t.Errorf("the shadow customer is %+v", s)
	}
}

func TestShadow_OneDeletedAtParticleIsMadeAgainWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	username := b.shadowOf(t, ann).Username
	if err := b.services.client.DeleteCustomer(t.Context(), b.services.token, lamp, username); err != nil {
		t.Fatal(err)
	}
	claim, err := b.owner.ClaimCode(t.Context(), ann.UserID, 1, lamp)
	if err != nil || claim.Owner != username || len(b.customersAt(t)) != 1 {
		t.Errorf("%v, %v", claim, err)
	}
}
