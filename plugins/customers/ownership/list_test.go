package ownership

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

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
	if err != nil || len(out.(attachapi.Attached).Devices) != 1000 {
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
	if err := b.db.Callback().Query().After("gorm:query").Register("count", func(*gorm.DB) { n++ }); err != nil {
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
