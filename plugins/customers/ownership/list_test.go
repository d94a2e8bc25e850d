package ownership

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
)

// fill writes n attached devices of ten customers into the store.
func (b *bench) fill(t testing.TB, n int) []sdk.Identity {
	t.Helper()
	who := []sdk.Identity{}
	for i := range 10 {
		who = append(who, b.customer(t, fmt.Sprintf("Person%d", i)))
	}
	rows := make([]attachment, 0, n)
	for i := range n {
		rows = append(rows, attachment{DeviceID: deviceID(0x100000 + i), UserID: who[i%10].UserID, WorkspaceID: 1, ProductID: []string{lamp, pump}[i%2], Product: "Garden lamp", Name: fmt.Sprint("lamp-", i),
			Way: attachapi.Product, Version: 1, AttachedAt: time.Now().UTC().Add(-time.Duration(i) * time.Minute)})
	}
	if err := b.owner.transaction(t.Context(), func(tx *gorm.DB) error { return b.owner.records.saveDevices(tx, rows) }); err != nil {
		t.Fatal(err)
	}
	return who
}

func TestList_TenThousandDevicesAreSearchedAndPagedQuickly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	who := b.fill(t, 10_000)
	type page struct {
		Devices []deviceView
		Total   int
	}
	for query, total := range map[string]int{"": 10_000, "?q=person3": 1000, "?q=lamp-77": 111, "?q=" + deviceID(0x100005): 1, "?product=" + lampKey: 5000, "?way=shadow": 0, "?page=400": 10_000, "?q=person3&product=1/" + pump: 1000, "?q=%25": 0} {
		fastest := time.Hour
		for range 5 {
			began := time.Now()
			got := decode[page](t, b.Get(b.sam, root+"/devices"+query))
			fastest = min(fastest, time.Since(began))
			if got.Total != total {
				t.Errorf("%q finds %d, expected %d", query, got.Total, total)
			}
		}
		if t.Logf("%-30q %s", query, fastest); fastest > time.Second { // far above what it takes: the machine may be busy with other tests
			t.Errorf("%q took %s", query, fastest)
		}
	}
	began := time.Now()
	out, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.List, User: who[3]})
	if err != nil || len(attachedOf(t, out).Devices) != 1000 {
		t.Errorf("%v", err)
	}
	t.Logf("the service lists 1,000 in %s", time.Since(began))
}

func TestService_ListTakesTwoQueries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	n := 0
	count := func(*gorm.DB) { n++ }
	if err := errors.Join(b.db.Callback().Query().After("gorm:query").Register("count", count), b.db.Callback().Row().After("gorm:row").Register("count", count)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.List, User: ann}); err != nil || n != 2 {
		t.Errorf("%d queries, %v", n, err)
	}
}

func FuzzLinesOf_NothingButIdsComesThrough(f *testing.F) {
	f.Add(deviceID(1) + "\r\n" + strings.ToUpper(deviceID(2)) + "; x,\t,\x00")
	f.Add("1/10001")
	f.Fuzz(func(t *testing.T, text string) {
		for _, id := range linesOf(text) {
			if id == "" || strings.ContainsAny(id, " \t\r\n,;") {
				t.Errorf("%q", id)
			}
		}
		ids := normal(linesOf(text))
		list := make([]Attach, 0, len(ids))
		for _, id := range ids {
			list = append(list, Attach{UserID: 1, WorkspaceID: 1, ProductID: lamp, DeviceID: id})
		}
		if err := checkAll(list); err == nil && slices.ContainsFunc(list, func(a Attach) bool { return !isDeviceID(a.DeviceID) }) {
			t.Errorf("%q is accepted", text)
		}
		if key, ok := productKeyOf(text); ok && (key.workspaceID <= 0 || !isProductID(key.productID)) {
			t.Errorf("%q is %+v", text, key)
		}
	})
}

// attachedOf reads the answer of the service as another module gets it.
func attachedOf(t testing.TB, out any) attachapi.Attached {
	t.Helper()
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var a attachapi.Attached
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return a
}

func TestService_ListsWhatTheRowsSay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	if out, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.List, User: ann}); err != nil || attachedOf(t, out).Devices == nil {
		t.Errorf("nothing: %+v %v", out, err)
	}
	b.attach(t, ann, deviceID(1), deviceID(2), deviceID(3))
	if err := b.db.Exec(`UPDATE customers_attachments SET name = ?, given = 1, way = 'shadow', attached_at = ? WHERE device_id = ?`,
		"Ann's \"big\" <lamp>\n\u2028 größer \\", time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC), deviceID(2)).Error; err != nil {
		t.Fatal(err)
	}
	rows, err := b.owner.records.ofPerson(t.Context(), ann.UserID)
	if err != nil || len(rows) != 3 || rows[0].DeviceID != deviceID(2) {
		t.Fatalf("%+v %v", rows, err)
	}
	out, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.List, User: ann})
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range attachedOf(t, out).Devices {
		want := rows[i].forService()
		if !got.AttachedAt.Equal(want.AttachedAt) {
			t.Errorf("attached at %s, want %s", got.AttachedAt, want.AttachedAt)
		}
		got.AttachedAt, want.AttachedAt = time.Time{}, time.Time{}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestService_TellsWhichDevicesAreOthersAndNotWhose(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1), deviceID(2))
	b.attach(t, bob, deviceID(3))
	ask := func(ids ...string) (attachapi.Devices, error) {
		in, _ := json.Marshal(attachapi.Devices{DeviceIDs: ids})
		out, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.Others, Input: in, User: bob})
		if err != nil {
			return attachapi.Devices{}, err
		}
		return out.(attachapi.Devices), nil
	}
	got, err := ask(strings.ToUpper(deviceID(2)), deviceID(3), deviceID(4), "nonsense", deviceID(1))
	if err != nil || !slices.Equal(got.DeviceIDs, []string{deviceID(1), deviceID(2)}) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := ask(); err != nil || len(got.DeviceIDs) != 0 || got.DeviceIDs == nil {
		t.Errorf("of none: %v %v", got, err)
	}
	many := make([]string, attachapi.MaxIDs)
	for i := range many {
		many[i] = deviceID(i + 1)
	}
	if got, err := ask(many...); err != nil || len(got.DeviceIDs) != 2 {
		t.Errorf("of very many: %d %v", len(got.DeviceIDs), err)
	}
	if _, err := ask(append(many, deviceID(1))...); !fault.Is(err, fault.Invalid) {
		t.Errorf("of too many: %v", err)
	}
}

// BenchmarkService_List answers with 1,000 devices, and beside it reads them row by row.
func BenchmarkService_List(b *testing.B) {
	bench := newBench(b)
	ann := bench.customer(b, "Ann")
	rows := make([]attachment, 1000)
	for i := range rows {
		rows[i] = attachment{DeviceID: deviceID(i + 1), UserID: ann.UserID, WorkspaceID: 1, ProductID: lamp, Product: "Garden lamp", Name: fmt.Sprintf("lamp-%d", i), Way: attachapi.Product, AttachedAt: time.Now().UTC()}
	}
	if err := bench.owner.records.saveDevices(bench.db, rows); err != nil {
		b.Fatal(err)
	}
	b.Run("made by the store", func(b *testing.B) {
		for b.Loop() {
			out, err := bench.owner.Call(b.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.List, User: ann})
			if text, err2 := json.Marshal(out); err != nil || err2 != nil || len(text) < 100000 {
				b.Fatal(err, err2)
			}
		}
	})
	b.Run("row by row", func(b *testing.B) {
		for b.Loop() {
			list, err := bench.owner.records.ofPerson(b.Context(), ann.UserID)
			out := make([]attachapi.Attachment, 0, len(list))
			for i := range list {
				out = append(out, list[i].forService())
			}
			if text, err2 := json.Marshal(out); err != nil || err2 != nil || len(text) < 100000 {
				b.Fatal(err, err2)
			}
		}
	})
}
