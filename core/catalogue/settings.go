package catalogue

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
)

// sealName is the name under which secret settings are sealed, beside the module's id and the setting's key.
const sealName = "setting"

// settingRow is the table.
type settingRow struct {
	Module    string `gorm:"primaryKey"`
	Key       string `gorm:"primaryKey"`
	Value     string
	Sealed    bool
	ChangedAt time.Time
	ChangedBy string
}

// TableName is for GORM.
func (settingRow) TableName() string { return "core_module_settings" }

func (c *Catalogue) settingRows(ctx context.Context, id string) (map[string]settingRow, error) {
	var list []settingRow
	if err := c.o.Store.Read(ctx).Where("module = ?", id).Find(&list).Error; err != nil {
		return nil, fmt.Errorf("read the settings of %s: %w", id, err)
	}
	rows := make(map[string]settingRow, len(list))
	for _, r := range list {
		rows[r.Key] = r
	}
	return rows, nil
}

// Settings gives the module's settings as its program gets them: typed, defaults filled in, secrets in clear. Never show or log them.
func (c *Catalogue) Settings(ctx context.Context, id string) (sdk.Settings, error) {
	m, err := c.Get(id)
	if err != nil {
		return nil, err
	}
	return c.settingsOf(ctx, m, m.Manifest)
}

func (c *Catalogue) settingsOf(ctx context.Context, m *Module, of *manifest.Manifest) (sdk.Settings, error) {
	rows, err := c.settingRows(ctx, of.ID)
	if err != nil {
		return nil, err
	}
	values := sdk.Settings(of.Defaults())
	for _, s := range of.Settings {
		row, ok := rows[s.Key]
		if !ok {
			continue
		}
		value, ok, err := c.stored(s, row)
		if err != nil {
			return nil, err
		}
		if ok {
			values[s.Key] = value
		}
	}
	return values, nil
}

// stored reads one row. ok is false when the setting's type has changed since and the value does not fit any more.
func (c *Catalogue) stored(s manifest.Setting, row settingRow) (value any, ok bool, err error) {
	if row.Sealed != s.Secret() {
		return nil, false, nil
	}
	if row.Sealed {
		if c.o.Sealer == nil {
			return nil, false, fault.New(fault.Unavailable, "the site has no key to open sealed settings")
		}
		text, err := c.o.Sealer.Unseal(row.Module, sealName, row.Key, row.Value)
		if err != nil {
			return nil, false, fmt.Errorf("open the setting %s of %s: %w", row.Key, row.Module, err)
		}
		return text, true, nil
	}
	dec := json.NewDecoder(strings.NewReader(row.Value))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return nil, false, fmt.Errorf("read the setting %s of %s: %w", row.Key, row.Module, err)
	}
	value, err = s.Coerce(value)
	return value, err == nil, nil
}

// Field is one field of the settings form.
type Field struct {
	manifest.Setting
	Value any  `json:"value,omitempty"` // nil for secrets, which are never shown
	Set   bool `json:"set"`             // somebody has set it, or it has a default
}

// SettingsForm gives the fields of the settings form with the current values. Secrets only tell whether they are set.
func (c *Catalogue) SettingsForm(ctx context.Context, id string) ([]Field, error) {
	m, err := c.Get(id)
	if err != nil {
		return nil, err
	}
	rows, err := c.settingRows(ctx, id)
	if err != nil {
		return nil, err
	}
	defaults := m.Manifest.Defaults()
	fields := make([]Field, 0, len(m.Manifest.Settings))
	for _, s := range m.Manifest.Settings {
		f := Field{Setting: s, Value: defaults[s.Key]}
		row, ok := rows[s.Key]
		switch {
		case ok && s.Secret():
			f.Set = row.Sealed
		case ok:
			value, fits, err := c.stored(s, row)
			if err != nil {
				return nil, err
			}
			if fits {
				f.Value = value
			}
		}
		f.Set = f.Set || !empty(f.Value)
		fields = append(fields, f)
	}
	return fields, nil
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	}
	return false
}

// SettingsMissing gives the required settings that nobody has set: the module needs attention.
func (c *Catalogue) SettingsMissing(ctx context.Context, id string) ([]manifest.Setting, error) {
	fields, err := c.SettingsForm(ctx, id)
	if err != nil {
		return nil, err
	}
	var missing []manifest.Setting
	for _, f := range fields {
		if f.Required && !f.Set {
			missing = append(missing, f.Setting)
		}
	}
	return missing, nil
}

// HTMLForm is the name of a form field that tells that a browser sent the form: a bool or multiselect that is not in it was switched
// off. Without it (a program sent JSON) what is not in it stays as it is. Names that start with "_" are not settings.
const HTMLForm = "_form"

// ClearSuffix after a secret's key names the field that erases it ("1", "on", true): an empty value keeps it.
const ClearSuffix = "_clear"

// ParseSettings gives the settings as they would be if form was saved, with secrets in clear, for the Test button. The values of form are
// string, []string or what JSON gives. A fault of kind Invalid names every wrong field.
func (c *Catalogue) ParseSettings(ctx context.Context, id string, form map[string]any) (sdk.Settings, error) {
	m, err := c.Get(id)
	if err != nil {
		return nil, err
	}
	current, err := c.settingsOf(ctx, m, m.Manifest)
	if err != nil {
		return nil, err
	}
	changes, err := parseForm(m.Manifest, current, form)
	if err != nil {
		return nil, err
	}
	for key, value := range changes {
		if value == nil {
			delete(current, key)
			if d, ok := m.Manifest.Defaults()[key]; ok {
				current[key] = d
			}
			continue
		}
		current[key] = value
	}
	return current, nil
}

// SaveSettings checks and saves a form, all of it or nothing, and gives the keys whose value changed. See ParseSettings for form and errors.
func (c *Catalogue) SaveSettings(ctx context.Context, id string, form map[string]any, by string) (changed []string, err error) {
	m, err := c.Get(id)
	if err != nil {
		return nil, err
	}
	current, err := c.settingsOf(ctx, m, m.Manifest)
	if err != nil {
		return nil, err
	}
	changes, err := parseForm(m.Manifest, current, form)
	if err != nil {
		return nil, err
	}
	changed = slices.Sorted(maps.Keys(changes))
	if len(changed) == 0 {
		return nil, nil
	}
	err = c.o.Store.Write(ctx, func(tx *gorm.DB) error {
		// Sealed within the transaction: before it, a rotation could retire the key.
		rows, err := c.encodeSettings(m.Manifest, changes, by)
		if err != nil {
			return err
		}
		if err := tx.Where("module = ? AND key IN ?", id, changed).Delete(&settingRow{}).Error; err != nil {
			return fmt.Errorf("clear the settings of %s: %w", id, err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&rows).Error; err != nil {
			return fmt.Errorf("save the settings of %s: %w", id, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

func (c *Catalogue) encodeSettings(m *manifest.Manifest, changes map[string]any, by string) (rows []settingRow, err error) {
	now := c.o.Now().UTC()
	for key, value := range changes {
		if value == nil {
			continue
		}
		s, _ := m.Setting(key)
		row := settingRow{Module: m.ID, Key: key, ChangedAt: now, ChangedBy: by, Sealed: s.Secret()}
		if s.Secret() {
			if c.o.Sealer == nil {
				return nil, fault.New(fault.Unavailable, "the site has no key to seal secrets with")
			}
			if row.Value, err = c.o.Sealer.Seal(m.ID, sealName, key, value.(string)); err != nil {
				return nil, fmt.Errorf("seal the setting %s of %s: %w", key, m.ID, err)
			}
		} else {
			text, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("encode the setting %s of %s: %w", key, m.ID, err)
			}
			row.Value = string(text)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// parseForm gives the values that differ from the current ones; nil takes a value away.
func parseForm(m *manifest.Manifest, current sdk.Settings, form map[string]any) (map[string]any, error) {
	wrong := map[string]string{}
	changes := map[string]any{}
	_, browser := form[HTMLForm]
	for _, s := range m.Settings {
		raw, given := form[s.Key]
		if !given && browser && (s.Type == "bool" || s.Type == "multiselect") {
			raw, given = []string(nil), true
		}
		value, touched, err := parseField(s, current[s.Key], raw, given, truthy(form[s.Key+ClearSuffix]))
		if err != nil {
			wrong[s.Key] = err.Error()
			continue
		}
		now := current[s.Key]
		if touched && !(empty(value) && empty(now)) && !reflect.DeepEqual(value, now) {
			changes[s.Key] = value
		}
	}
	for key := range form {
		_, isSetting := m.Setting(key)
		s, isClear := m.Setting(strings.TrimSuffix(key, ClearSuffix))
		if !strings.HasPrefix(key, "_") && !isSetting && !(isClear && s.Secret()) {
			wrong[key] = "there is no such setting"
		}
	}
	if len(wrong) > 0 {
		return nil, fault.InvalidFields("Some values cannot be accepted.", wrong)
	}
	return changes, nil
}

// parseField reads one field. touched is false when the form leaves it as it is; a nil value takes it away.
func parseField(s manifest.Setting, current, raw any, given, clear bool) (value any, touched bool, err error) {
	if list, ok := raw.([]string); ok && s.Type != "multiselect" {
		switch len(list) {
		case 0:
			raw = ""
		case 1:
			raw = list[0]
		default:
			return nil, false, fmt.Errorf("expected one value, got %d", len(list))
		}
	}
	text, isText := raw.(string)
	blank := raw == nil || isText && strings.TrimSpace(text) == ""
	switch {
	case s.Secret() && clear && blank:
		if s.Required {
			return nil, false, fmt.Errorf("this is needed")
		}
		return nil, current != nil, nil
	case s.Secret() && blank:
		if s.Required && current == nil && given {
			return nil, false, fmt.Errorf("this is needed")
		}
		return nil, false, nil
	case !given:
		return nil, false, nil
	case blank && (s.Type == "number" || raw == nil):
		if s.Required {
			return nil, false, fmt.Errorf("this is needed")
		}
		return nil, current != nil, nil
	}
	if value, err = s.Coerce(raw); err != nil {
		return nil, false, err
	}
	if list, ok := value.([]string); ok && len(list) == 0 {
		if s.Required {
			return nil, false, fmt.Errorf("choose at least one")
		}
		value = []string{}
	}
	return value, true, nil
}

func truthy(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case string:
		return v == "1" || v == "on" || v == "true" || v == "yes"
	case []string:
		return len(v) == 1 && truthy(v[0])
	}
	return false
}

// Egress gives the origins that the module may reach at present, such as "https://api.example.com".
func (c *Catalogue) Egress(ctx context.Context, id string) ([]string, error) {
	m, err := c.Get(id)
	if err != nil {
		return nil, err
	}
	resolved, err := c.egressOf(ctx, m, m.InForce())
	if err != nil {
		return nil, err
	}
	origins := slices.Sorted(maps.Values(resolved))
	return slices.Compact(origins), nil
}

// egressOf gives the origin of each entry of egress; an entry whose setting is empty has none.
func (c *Catalogue) egressOf(ctx context.Context, m *Module, of *manifest.Manifest) (map[string]string, error) {
	resolved := make(map[string]string, len(of.Egress))
	var plain manifest.Manifest // url settings alone: nothing has to be unsealed
	plain.ID = of.ID
	for _, s := range of.Settings {
		if s.Type == "url" {
			plain.Settings = append(plain.Settings, s)
		}
	}
	values, err := c.settingsOf(ctx, m, &plain)
	if err != nil {
		return nil, err
	}
	for _, e := range of.Egress {
		key, isSetting := strings.CutPrefix(e, "setting:")
		if !isSetting {
			resolved[e] = "https://" + e
			continue
		}
		if u, err := url.Parse(values.String(key)); err == nil && u.Host != "" {
			resolved[e] = u.Scheme + "://" + strings.ToLower(u.Host)
		}
	}
	return resolved, nil
}
