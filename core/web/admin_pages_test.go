package web_test

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"mortise/core/identity"
	"mortise/core/logbook"
)

func TestSettings_NeverSendASecretBack(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada := o.boss("ada@example.com")
	const path, secret = "/admin/modules/lamp/settings", "hunter2-hunter2"
	ada.get(path)
	if a := ada.post(path, url.Values{"_form": {"1"}, "base_url": {"https://lamps.example"}, "api_key": {secret}, "hook": {secret}}); a.status != 303 {
		t.Fatalf("saving answered %d: %s", a.status, a.body)
	}
	wrong := url.Values{"_form": {"1"}, "base_url": {"ftp://lamps.example"}, "api_key": {secret}}
	answers := map[string]answer{"a form that comes back": ada.post(path, wrong), "a problem": ada.post(path, wrong, asJSON)}
	if a := answers["a form that comes back"]; a.status != 422 || !strings.Contains(a.body, "ftp://lamps.example") || !strings.Contains(a.body, `id="field-base_url-error"`) {
		t.Errorf("a wrong address answered %d, without it or without what is wrong", a.status)
	}
	for _, page := range []string{"", "/asks", "/settings", "/log", "/remove"} {
		answers["HTML "+page], answers["JSON "+page] = ada.get("/admin/modules/lamp"+page), ada.get("/admin/modules/lamp"+page, asJSON)
	}
	for what, a := range answers {
		if strings.Contains(a.body, secret) || a.status >= 500 {
			t.Errorf("%s (%d) has the secret", what, a.status)
		}
	}
	page := ada.get(path).body
	if !strings.Contains(page, ">Set</span>") || !regexp.MustCompile(`name="hook_clear" value="1"`).MatchString(page) || strings.Contains(page, "api_key_clear") {
		t.Error("the form does not say that the secrets are set, or does not offer to remove the optional one alone")
	}
	if a := ada.post(path, url.Values{"_form": {"1"}, "base_url": {"https://lamps.example"}, "api_key": {""}, "hook": {""}, "hook_clear": {"1"}}); a.status != 303 {
		t.Fatalf("removing the hook answered %d", a.status)
	}
	_, form := ada.json("GET", path, nil)
	set := map[string]any{}
	for _, f := range form["fields"].([]any) {
		field := f.(map[string]any)
		set[field["setting"].(map[string]any)["key"].(string)] = field["set"]
	}
	if set["api_key"] != true || set["hook"] != false {
		t.Errorf("after removing the hook: %v", set)
	}
}

func TestPeople_AreFoundAddedChangedBlockedAndDeleted(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada := o.boss("ada@example.com")
	for i := range 30 {
		_, err := o.people.CreateUser(context.Background(), identity.System, identity.NewUser{Name: fmt.Sprintf("Person %02d", i), Email: fmt.Sprintf("p%02d@example.com", i), Roles: []string{"customer"}})
		must(t, err)
	}
	if page := ada.get("/admin/people?q=p&sort=-email&role=customer&page=2").body; !strings.Contains(page, "26–30 of 30") || !strings.Contains(page, "p00@example.com") || strings.Contains(page, "p29@example.com") {
		t.Error("the second page in falling order is not what it should be")
	}
	if page := ada.get("/admin/people?q=nobody").body; !strings.Contains(page, "Nobody fits") {
		t.Error("a search without hits does not say so")
	}
	a := ada.post("/admin/people", url.Values{"name": {"Zoë"}, "email": {"ada@example.com"}, "roles": {"customer"}})
	if a.status != 422 && a.status != 409 || !strings.Contains(a.body, `value="Zoë"`) {
		t.Errorf("a taken address answered %d, or lost what was typed", a.status)
	}
	status, made := ada.json("POST", "/admin/people", map[string]any{"name": "Zoë", "email": "zoe@example.com", "roles": []string{"customer"}})
	if status != 200 || made["id"] == nil {
		t.Fatalf("adding answered %d %v", status, made)
	}
	path := fmt.Sprint("/admin/people/", made["id"])
	if a := ada.post(path, url.Values{"_roles": {"1"}, "name": {"Zoë Müller"}, "email": {"nonsense"}}); a.status != 422 || !strings.Contains(a.body, `value="nonsense"`) || !strings.Contains(a.body, `value="Zoë Müller"`) {
		t.Errorf("a wrong address answered %d, or lost what was typed", a.status)
	}
	if a := ada.post(path, url.Values{"_roles": {"1"}, "name": {"Zoë Müller"}, "email": {"zoe@example.com"}}); a.status != 303 {
		t.Errorf("saving answered %d", a.status)
	}
	if zoe, err := o.people.UserByEmail(t.Context(), "zoe@example.com"); err != nil || zoe.Name != "Zoë Müller" || len(zoe.Roles) != 0 {
		t.Errorf("got %+v, %v, want the new name and no role", zoe, err)
	}
	for i, changed := range []bool{true, false} {
		if _, got := ada.json("POST", path+"/block", nil); got["changed"] != changed {
			t.Errorf("blocking, try %d: %v", i, got)
		}
	}
	if a := ada.post(path+"/delete", url.Values{"confirm": {"zoe"}}); a.status != 422 {
		t.Errorf("deleting without the address answered %d", a.status)
	}
	if a := ada.post(path+"/delete", url.Values{"confirm": {"zoe@example.com"}}); a.status != 303 {
		t.Errorf("deleting answered %d", a.status)
	}
	if a := ada.get(path); a.status != 404 {
		t.Errorf("a deleted person answers %d", a.status)
	}
}

func TestLog_FindsTheReferenceOfAnErrorPageAndShowsWhatALineIsAbout(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.book.Write(logbook.Line{Source: "lamp", Message: "the lamp fell", RequestID: "7f3a91c2d4e5f607", Attrs: map[string]any{"floor": 2, "stack": strings.Repeat("long ", 200)}})
	o.book.Write(logbook.Line{Source: "lamp", Message: "another story"})
	must(t, o.book.Flush(t.Context()))
	ada := o.boss("ada@example.com")
	page := ada.get("/admin/log?reference=7F3A-91").body
	for _, want := range []string{"the lamp fell", "<b>floor</b> 2", "All of it", "7F3A-91"} {
		if !strings.Contains(page, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Contains(page, "another story") {
		t.Error("the reference does not filter")
	}
	if page := ada.get("/admin/modules/lamp/log?q=nothing").body; !strings.Contains(page, "No line fits") {
		t.Error("a search without hits does not say so")
	}
}

func TestAppearance_RefusesWhatCannotBeReadAndDerivesWhatIsNotChosen(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada := o.boss("ada@example.com")
	const path = "/admin/appearance/customer"
	shown := regexp.MustCompile(`name="accent_dark" type="color" value="(#[0-9a-f]{6})"`)
	form := func(accent string) url.Values {
		found := shown.FindStringSubmatch(ada.get(path).body)
		if found == nil {
			t.Fatal("the form has no dark accent")
		}
		return url.Values{"accent": {accent}, "accent_dark": {found[1]}, "radius": {"10"}, "density": {"1"}}
	}
	if a := ada.post(path, form("#ffee00")); a.status != 422 || !strings.Contains(a.body, "hard to read") {
		t.Errorf("a yellow accent answered %d", a.status)
	}
	if a := ada.post(path, form("#8a3b12")); a.status != 303 {
		t.Errorf("a brown accent answered %d", a.status)
	}
	values := o.conf.Theme("customer")
	if _, chosen := values["accent_dark"]; chosen || values["accent"] != "#8a3b12" {
		t.Errorf("saved %v: the dark accent was not chosen and follows the other", values)
	}
	if a := ada.post(path, url.Values{"reset": {"1"}}); a.status != 303 || len(o.conf.Theme("customer")) != 0 {
		t.Errorf("going back answered %d and left %v", a.status, o.conf.Theme("customer"))
	}
}

func TestEnabling_ThatFailsSaysWhichStepAndThatNothingChanged(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada := o.boss("ada@example.com")
	if page := ada.get("/admin/modules?q=zzz").body; !strings.Contains(page, "No module fits") {
		t.Error("a search without hits does not say so")
	}
	page := ada.get("/admin/modules/lamp/asks").body
	for _, want := range []string{"GET /lamp", "Switch lamps", "API key", "Enable Lamp"} {
		if !strings.Contains(page, want) {
			t.Errorf("the plan lacks %q", want)
		}
	}
	a := ada.post("/admin/modules/lamp/enable", url.Values{})
	for _, want := range []string{"was not enabled", "Nothing has changed", "What to do"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the report lacks %q (%d)", want, a.status)
		}
	}
	if status, problem := ada.json("POST", "/admin/modules/lamp/enable", nil); status < 400 || problem["title"] == "" {
		t.Errorf("a program got %d %v", status, problem)
	}
	if a := ada.get("/admin/modules/lamp"); a.status != 200 || !strings.Contains(a.body, "Not enabled") {
		t.Errorf("the module page answers %d", a.status)
	}
}
