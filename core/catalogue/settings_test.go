package catalogue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mortise/core/catalogue"
	"mortise/core/fault"
)

func (s *site) save(form map[string]any) []string {
	s.t.Helper()
	changed, err := s.SaveSettings(s.t.Context(), "linking", form, "ann")
	if err != nil {
		s.t.Fatal(err, fault.FieldsOf(err))
	}
	return changed
}

func TestSettings_AreTypedWithDefaults(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	if missing, err := s.SettingsMissing(t.Context(), "linking"); err != nil || len(missing) != 2 || missing[0].Key != "client_id" || missing[1].Key != "client_secret" {
		t.Errorf("missing = %v, %v", missing, err)
	}
	changed := s.save(map[string]any{
		catalogue.HTMLForm: "1", "_csrf": "x", "base_url": "http://127.0.0.1:9/", "client_id": "abc", "client_secret": "shh", "webhook": "",
		"attempts": []string{"3"}, "scopes": []string{"a", "b"},
	})
	if !slices.Equal(changed, []string{"attempts", "base_url", "client_id", "client_secret", "scopes", "strict"}) {
		t.Errorf("changed = %v", changed)
	}
	v, err := s.Settings(t.Context(), "linking")
	if err != nil {
		t.Fatal(err)
	}
	if v.String("base_url") != "http://127.0.0.1:9" || v.Int("attempts") != 3 || v.Bool("strict") || !slices.Equal(v.Strings("scopes"), []string{"a", "b"}) || v.String("client_secret") != "shh" {
		t.Errorf("settings = %v", v)
	}
	if missing, err := s.SettingsMissing(t.Context(), "linking"); err != nil || len(missing) != 0 {
		t.Errorf("missing = %v, %v", missing, err)
	}
	if e, err := s.Egress(t.Context(), "linking"); err != nil || !slices.Equal(e, []string{"http://127.0.0.1:9", "https://events.example.com"}) {
		t.Errorf("egress = %v, %v", e, err)
	}
}

func TestSettings_NeverShowASecretAndKeepItWhenTheFieldIsEmpty(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	s.save(map[string]any{"client_secret": "shh", "webhook": "hook"})
	form, err := s.SettingsForm(t.Context(), "linking")
	if err != nil || strings.Contains(fmt.Sprint(form), "shh") || !form[2].Set || form[2].Value != nil {
		t.Errorf("form = %+v, %v", form, err)
	}
	if changed := s.save(map[string]any{catalogue.HTMLForm: "1", "client_secret": "", "webhook": " ", "base_url": "https://api.example.com", "client_id": "x", "strict": "on"}); !slices.Equal(changed, []string{"client_id"}) {
		t.Errorf("changed = %v, want the secrets kept", changed)
	}
	if changed := s.save(map[string]any{"webhook": "", "webhook_clear": "1"}); !slices.Equal(changed, []string{"webhook"}) {
		t.Errorf("changed = %v", changed)
	}
	if v, err := s.Settings(t.Context(), "linking"); err != nil || v.String("client_secret") != "shh" || v.String("webhook") != "" {
		t.Errorf("settings = %v, %v", v, err)
	}
	var raw []string
	if err := s.store.Read(t.Context()).Table("core_module_settings").Where("key = 'client_secret'").Pluck("value", &raw).Error; err != nil || raw[0] == "shh" {
		t.Errorf("the store holds %v, %v", raw, err)
	}
}

func TestSettings_SaveAllOrNothingAndNameEachWrongField(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	_, err := s.SaveSettings(t.Context(), "linking", map[string]any{
		"base_url": "ftp://x", "client_id": "Not good", "attempts": "99", "scopes": []string{"z"}, "strict": "perhaps", "nonsense": "1",
		"client_secret": "", "client_secret_clear": "1",
	}, "ann")
	fields := fault.FieldsOf(err)
	for _, key := range []string{"base_url", "client_id", "attempts", "scopes", "strict", "nonsense", "client_secret"} {
		if fields[key] == "" {
			t.Errorf("%s is not named: %v", key, fields)
		}
	}
	_, err = s.SaveSettings(t.Context(), "linking", map[string]any{"client_id": "good", "attempts": "99"}, "ann")
	if !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	if v, err := s.Settings(t.Context(), "linking"); err != nil || v.String("client_id") != "" {
		t.Errorf("half a form was saved: %v, %v", v, err)
	}
}

func TestSettings_GoBackToTheDefault(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	s.save(map[string]any{"attempts": 5, "strict": false})
	if changed := s.save(map[string]any{"attempts": ""}); !slices.Equal(changed, []string{"attempts"}) {
		t.Errorf("changed = %v", changed)
	}
	v, err := s.Settings(t.Context(), "linking")
	if _, there := v["attempts"]; err != nil || there || v.Bool("strict") {
		t.Errorf("settings = %v, %v", v, err)
	}
	if changed := s.save(map[string]any{"strict": false}); len(changed) != 0 {
		t.Errorf("changed = %v, want nothing: it was so", changed)
	}
}

func TestParseSettings_TriesAFormWithoutSavingIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	s.save(map[string]any{"client_secret": "shh"})
	v, err := s.ParseSettings(t.Context(), "linking", map[string]any{"client_id": "try", "client_secret": ""})
	if err != nil || v.String("client_id") != "try" || v.String("client_secret") != "shh" || v.String("base_url") != "https://api.example.com" {
		t.Errorf("settings = %v, %v", v, err)
	}
	if saved, err := s.Settings(t.Context(), "linking"); err != nil || saved.String("client_id") != "" {
		t.Errorf("saved = %v, %v", saved, err)
	}
}
