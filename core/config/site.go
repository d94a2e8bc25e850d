package config

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
	"mortise/core/store"
)

// The site's settings.
const (
	SiteName         = "site.name"
	SiteLogo         = "site.logo"         // a path of this site, or ""
	RegistrationOpen = "registration.open" // "true": visitors may make an account
	MailSender       = "mail.from"         // sender of the site's mails; "" leaves it to the configuration
	ThemeSite        = "theme.site"        // id of the theme for visitors
	ThemeAdmin       = "theme.admin"       // id of the theme of the admin pages
)

// defaults name every setting that exists. Settings of a theme are kept besides them, under "theme.settings.<theme>".
var defaults = map[string]string{
	SiteName: "Mortise", SiteLogo: "", RegistrationOpen: "true", MailSender: "", ThemeSite: "customer", ThemeAdmin: "admin",
}

const themeSettings = "theme.settings."

// Limits in bytes.
const (
	maxSetting = 64 << 10 // theme settings are JSON
	maxLine    = 300
)

// Site is the site's own settings. Reading costs no query; it is safe for concurrent use.
type Site struct {
	store   *store.Store
	values  atomic.Pointer[map[string]string]
	writing sync.Mutex
	heard   sync.Mutex
	hear    []func(changed []string)
}

type settingRow struct {
	Key       string `gorm:"primaryKey"`
	Value     string
	UpdatedAt time.Time
}

func (settingRow) TableName() string { return "core_site_settings" }

// OpenSite reads the settings.
func OpenSite(ctx context.Context, st *store.Store) (*Site, error) {
	var rows []settingRow
	if err := st.Read(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the site's settings: %w", err)
	}
	values := maps.Clone(defaults)
	for _, r := range rows {
		values[r.Key] = r.Value
	}
	s := &Site{store: st}
	s.values.Store(&values)
	return s, nil
}

// Get gives a value, or its default.
func (s *Site) Get(key string) string { return (*s.values.Load())[key] }

// Bool gives a value that is on or off.
func (s *Site) Bool(key string) bool { return s.Get(key) == "true" }

// All gives a copy of everything.
func (s *Site) All() map[string]string { return maps.Clone(*s.values.Load()) }

// OnChange has fn called after each change with the keys that changed. fn must be quick.
func (s *Site) OnChange(fn func(changed []string)) {
	s.heard.Lock()
	defer s.heard.Unlock()
	s.hear = append(s.hear, fn)
}

// Set writes some settings, all or none. fault.Invalid with a field for each that cannot be accepted.
func (s *Site) Set(ctx context.Context, change map[string]string) error {
	wrong := make(map[string]string)
	clean := make(map[string]string, len(change))
	for key, value := range change {
		v, message := check(key, value)
		if message != "" {
			wrong[key] = message
		}
		clean[key] = v
	}
	if len(wrong) > 0 {
		return fault.InvalidFields("Please correct what is marked.", wrong)
	}
	changed, err := s.write(ctx, clean)
	if err != nil || len(changed) == 0 {
		return err
	}
	s.heard.Lock()
	hear := slices.Clone(s.hear)
	s.heard.Unlock()
	for _, fn := range hear {
		fn(changed)
	}
	return nil
}

func (s *Site) write(ctx context.Context, clean map[string]string) (changed []string, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	values := s.All()
	for key, value := range clean {
		if values[key] != value {
			values[key] = value
			changed = append(changed, key)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	slices.Sort(changed)
	err = s.store.Write(ctx, func(tx *gorm.DB) error {
		for _, key := range changed {
			row := settingRow{Key: key, Value: values[key], UpdatedAt: time.Now().UTC()}
			if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
				return fmt.Errorf("write the site's settings: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.values.Store(&values)
	return changed, nil
}

// check gives the clean value, or what is wrong with it.
func check(key, value string) (clean, message string) {
	if strings.HasPrefix(key, themeSettings) && len(key) <= 100 {
		if len(value) > maxSetting || !utf8.ValidString(value) {
			return "", "This is too long."
		}
		return value, ""
	}
	if _, known := defaults[key]; !known {
		return "", "There is no such setting."
	}
	value = strings.TrimSpace(value)
	for _, r := range value {
		if !unicode.IsPrint(r) {
			return "", "This must be one line of text."
		}
	}
	switch {
	case len(value) > maxLine || !utf8.ValidString(value):
		return "", "This is too long."
	case key == RegistrationOpen && value != "true" && value != "false":
		return "", "This must be true or false."
	case key == SiteLogo && value != "" && (!strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") || strings.Contains(value, `\`)):
		return "", "The logo must be a path of this site, such as /files/logo.svg."
	case key == MailSender && value != "" && !isAddress(value):
		return "", "This must be an e-mail address, such as hello@example.com."
	case value == "" && key != SiteLogo && key != MailSender:
		return "", "This must not be empty."
	}
	return value, ""
}

func isAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}

// Theme gives what the maker of the site changed of a theme: its settings by key.
func (s *Site) Theme(id string) map[string]string {
	values := map[string]string{}
	if text := s.Get(themeSettings + id); text != "" {
		if err := json.Unmarshal([]byte(text), &values); err != nil {
			return map[string]string{} // SetTheme wrote it; whatever else did, the theme's own values are the better answer
		}
	}
	return values
}

// SetTheme keeps what the maker of the site changed of a theme. The theme has checked the values.
func (s *Site) SetTheme(ctx context.Context, id string, values map[string]string) error {
	text, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode the settings of the theme %s: %w", id, err)
	}
	return s.Set(ctx, map[string]string{themeSettings + id: string(text)})
}
