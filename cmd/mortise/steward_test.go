package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHostServices_ServeAModuleInItsOwnProcess is the way of a customer, from the invitation to the end, by a module that was granted the
// services of the host.
func TestHostServices_ServeAModuleInItsOwnProcess(t *testing.T) {
	t.Parallel()
	w := hostileWorld(t, "steward")
	admin, ann := w.admin(), w.customer()
	call := func(v *visitor, service, method string, in any) (out map[string]any, problem string) {
		t.Helper()
		text, _ := json.Marshal(in)
		got := v.order("/steward/call/"+method, "service", service, "in", string(text))
		return got.Out, got.Error
	}
	must := func(v *visitor, service, method string, in any) map[string]any {
		t.Helper()
		out, problem := call(v, service, method, in)
		if problem != "" {
			t.Fatalf("%s.%s: %s", service, method, problem)
		}
		return out
	}
	page := must(admin, "host.people", "list", map[string]any{})
	text := fmt.Sprint(page)
	if !strings.Contains(text, w.Customer.Email) || strings.Contains(text, w.Admin.Email) {
		t.Errorf("the list of customers is %s", text)
	}
	carla := must(admin, "host.people", "invite", map[string]any{"name": "Carla", "email": "carla@example.com"})
	id := carla["id"]
	if carla["created"] != true || carla["invited"] != true {
		t.Errorf("invited: %v", carla)
	}
	for name, refused := range map[string]func() (map[string]any, string){
		"an administrator": func() (map[string]any, string) {
			return call(admin, "host.people", "find", map[string]any{"email": w.Admin.Email})
		},
		"somebody else's data": func() (map[string]any, string) {
			return call(ann, "host.privacy", "report", map[string]any{"user_id": id})
		},
	} {
		if out, problem := refused(); problem == "" {
			t.Errorf("%s: %v", name, out)
		}
	}
	open, err := w.visit().try(http.MethodGet, "/steward/open/list?service=host.people&in={}", http.Header{"Accept": {"application/json"}})
	if err != nil || !strings.Contains(open.body, "sign in") {
		t.Errorf("a page for everybody lists customers: %v, %v", open, err)
	}
	must(admin, "host.people", "block", map[string]any{"id": id})
	must(admin, "host.privacy", "erase", map[string]any{"user_id": id})
	heard := func() string {
		var got struct {
			Heard []struct {
				Name   string  `json:"name"`
				UserID float64 `json:"user_id"`
			} `json:"heard"`
		}
		ann.json(http.MethodGet, "/steward/heard", nil, &got)
		var names []string
		for _, h := range got.Heard {
			if h.UserID == id {
				names = append(names, h.Name)
			}
		}
		return strings.Join(names, " ")
	}
	want := "user.registered user.invited user.blocked user.erase_requested"
	eventually(t, 20*time.Second, "the facts about Carla", func() bool { return heard() == want })
	report := fmt.Sprint(must(admin, "host.privacy", "report", map[string]any{"user_id": id}))
	if !strings.Contains(report, "steward_heard") || !strings.Contains(report, "carla@example.com") || strings.Contains(report, "opensesame") {
		t.Errorf("the report is %s", report)
	}
	must(admin, "host.people", "delete", map[string]any{"id": id})
	eventually(t, 20*time.Second, "the last fact", func() bool { return strings.HasSuffix(heard(), "user.deleted") })

	// The module cannot take settings while it runs: it is restarted, but not under the request that changes them.
	must(admin, "host.settings", "save", map[string]any{"values": map[string]any{"client": "abc"}})
	eventually(t, 20*time.Second, "the new setting", func() bool {
		var got struct {
			Value string `json:"value"`
		}
		a, err := ann.try(http.MethodGet, "/steward/client", http.Header{"Accept": {"application/json"}})
		return err == nil && json.Unmarshal([]byte(a.body), &got) == nil && got.Value == "abc"
	})
}
