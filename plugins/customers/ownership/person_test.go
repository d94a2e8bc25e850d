package ownership

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/tokenapi"
)

func TestForget_TakesEverythingOfAPersonAndTellsThoseWhoListen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1), deviceID(2))
	b.detach(t, ann, deviceID(2))
	said, err := b.owner.Follows(t.Context(), ann.UserID)
	if err != nil || len(said) != 2 || said[0] != "1 device is detached; they stay in their products." && said[0] == "" {
		t.Errorf("what follows: %q, %v", said, err)
	}
	event := sdk.Event{Name: "user.erase_requested", Subject: fmt.Sprintf("user/%d", ann.UserID), Payload: []byte(fmt.Sprintf(`{"user_id":%d}`, ann.UserID))}
	for range 2 {
		if err := b.owner.Deliver(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.Host.Events(attachapi.DeviceDetached)); n != 2 {
		t.Errorf("%d devices were told to be detached", n)
	}
	for _, table := range []string{"customers_attachments", "customers_grants", "customers_shadows"} {
		var n int64
		if err := b.db.Table(table).Where("user_id = ?", ann.UserID).Count(&n).Error; err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
	for _, op := range b.operations(t) {
		if op.CustomerID != 0 {
			t.Errorf("operation %d names the person", op.ID)
		}
	}
	if a := b.Post(b.ada, devicePath(deviceID(2))+"/undo", url.Values{"version": {"2"}}); a.Status != http.StatusNotFound {
		t.Errorf("undoing answered %d", a.Status)
	}
}

func TestForget_AnOperationUnderWayDoesNotBringThePersonBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	before := b.operations(t)
	if len(before) == 0 || before[0].CustomerID != ann.UserID {
		t.Fatalf("%+v", before)
	}
	underWay := before[0] // as it was read before Particle was asked
	if err := b.owner.Forget(t.Context(), ann.UserID); err != nil {
		t.Fatal(err)
	}
	if err := b.owner.end(t.Context(), &underWay, opUndone, "Not needed any more."); err != nil {
		t.Fatal(err)
	}
	for _, op := range b.operations(t) {
		if op.CustomerID != 0 {
			t.Errorf("operation %d names the person", op.ID)
		}
		if op.ID == underWay.ID && (op.State != opUndone || op.EndedAt == nil) {
			t.Errorf("what became of it is lost: %+v", op)
		}
	}
}

func TestRetention_ForgetsWhoHadADeviceLongAgo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1), deviceID(2))
	b.detach(t, ann, deviceID(2))
	for _, tc := range []struct {
		later time.Duration
		want  int64
	}{{keepFor - time.Hour, 2}, {2 * time.Hour, 1}} {
		b.clock.forward(tc.later)
		if _, err := b.owner.Run(t.Context(), "retention"); err != nil {
			t.Fatal(err)
		}
		var n int64
		if err := b.db.Table("customers_attachments").Count(&n).Error; err != nil || n != tc.want {
			t.Errorf("after %s there are %d rows, %v", tc.later, n, err)
		}
	}
}

func TestClaimCode_InTheWayOfOnesOwnAccountIsForThatPersonAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	if _, err := b.owner.ClaimCode(t.Context(), ann.UserID, 1, lamp); !fault.Is(err, fault.Conflict) {
		t.Errorf("in the way product: %v", err)
	}
	b.way(t, "account")
	asAnn := sdk.WithRequest(t.Context(), sdk.Request{ID: "r", User: ann})
	if _, err := b.owner.ClaimCode(asAnn, bob.UserID, 1, lamp); !fault.Is(err, fault.Denied) {
		t.Errorf("for Bob: %v", err)
	}
	if _, err := b.owner.ClaimCode(asAnn, ann.UserID, 1, lamp); !fault.Is(err, fault.Conflict) {
		t.Errorf("without a linked account: %v", err)
	}
	good := tokenapi.Account{ID: 2, Label: maker, State: tokenapi.Active, BaseURL: b.url, AccessToken: b.cloud.IssueToken(maker, "")}
	dead := tokenapi.Account{ID: 1, Label: "old", State: tokenapi.Active, BaseURL: b.url, AccessToken: "ended-long-ago"}
	elsewhere := tokenapi.Account{ID: 3, Label: "else", State: tokenapi.Active, BaseURL: "https://other.example", AccessToken: "x"}
	b.services.set(func(s *services) { s.linked = []tokenapi.Account{elsewhere, dead, good} })
	claim, err := b.owner.ClaimCode(asAnn, ann.UserID, 1, lamp)
	if err != nil || claim.Owner != maker || claim.Way != attachapi.Account || claim.Code == "" {
		t.Errorf("%v, %v", claim, err)
	}
}

func TestClient_IsTakenOnlyFromSomebodyWhoMayAndItsSecretNeverComesOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, _ := json.Marshal(newClient{1, lamp, "c-1", "opensesame", b.url})
	for _, who := range []sdk.Identity{b.sam, {}, b.customer(t, "Ann")} {
		if _, err := b.owner.Call(t.Context(), sdk.Call{Service: ClientService, Method: "set", Input: in, User: who}); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", who.Name, err)
		}
	}
	if _, err := b.owner.Call(t.Context(), sdk.Call{Service: ClientService, Method: "set", Input: []byte(`{"client_secret":"opensesame","x":1}`), User: b.ada}); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "opensesame") {
		t.Errorf("%v", err)
	}
	b.setClient(t, "c-1", "opensesame")
	out, err := b.owner.Call(t.Context(), sdk.Call{Service: ClientService, Method: "get", User: b.sam})
	text, _ := json.Marshal(out)
	if err != nil || !strings.Contains(string(text), `"client_id":"c-1"`) || strings.Contains(string(text), "opensesame") {
		t.Errorf("%s, %v", text, err)
	}
	if strings.Contains(b.Get(b.ada, root+"/products/"+lampKey).Body+b.Host.LogText(), "opensesame") {
		t.Error("the secret came out")
	}
}
