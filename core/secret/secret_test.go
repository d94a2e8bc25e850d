package secret_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/secret"
	"mortise/core/store"
)

type place struct {
	t     *testing.T
	store *store.Store
	file  string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "site.db"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return &place{t: t, store: st, file: filepath.Join(dir, "keys", "key")}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (p *place) try(change ...func(*secret.Options)) (*secret.Vault, error) {
	o := secret.Options{File: p.file, Log: quiet()}
	for _, c := range change {
		c(&o)
	}
	return secret.Open(p.t.Context(), p.store, o)
}

func (p *place) open(change ...func(*secret.Options)) *secret.Vault {
	p.t.Helper()
	v, err := p.try(change...)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

func want(t *testing.T, v *secret.Vault, module, name, key, value string) {
	t.Helper()
	if got, err := v.Get(t.Context(), module, name, key); err != nil || got != value {
		t.Fatalf("%s/%s/%s: got %q, %v", module, name, key, got, err)
	}
}

func TestVault_KeepsValuesSealedInTheStore(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	v := p.open()
	info, err := os.Stat(p.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if err := v.Set(t.Context(), "linking", "refresh", "7", "first"); err != nil {
		t.Fatal(err)
	}
	if err := v.Set(t.Context(), "linking", "refresh", "7", "a very secret thing"); err != nil {
		t.Fatal(err)
	}
	want(t, v, "linking", "refresh", "7", "a very secret thing")
	var sealed string
	if err := p.store.Read(t.Context()).Raw("SELECT sealed FROM core_secrets WHERE owner = 'linking'").Scan(&sealed).Error; err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(sealed, "sealed:1:") || strings.Contains(sealed, "secret thing") || strings.Contains(sealed, base64.RawStdEncoding.EncodeToString([]byte("a very"))) {
		t.Fatalf("stored as %q", sealed)
	}
	_, err = v.Get(t.Context(), "devices", "refresh", "7")
	if !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if n, err := v.Count(t.Context(), "linking"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := v.Delete(t.Context(), "linking", "refresh", "7"); err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), "linking", "refresh", "7"); err != nil {
		t.Fatal("deleting what is not there:", err)
	}
	if err := v.Set(t.Context(), "linking", "x", "", strings.Repeat("x", secret.MaxValue+1)); !fault.Is(err, fault.TooLarge) {
		t.Fatal(err)
	}
	if err := v.Set(t.Context(), "linking", "", "", "x"); !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
}

func TestVault_OpensAValueAtItsPlaceOnlyAndUnchanged(t *testing.T) {
	t.Parallel()
	v := newPlace(t).open()
	sealed, err := v.Seal("linking", "setting", "client_secret", "s3cr3t")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Unseal("linking", "setting", "client_secret", sealed); got != "s3cr3t" || err != nil {
		t.Fatal(got, err)
	}
	for _, at := range [][3]string{{"devices", "setting", "client_secret"}, {"linking", "settin", "gclient_secret"}, {"linking", "setting", ""}} {
		if _, err := v.Unseal(at[0], at[1], at[2], sealed); !errors.Is(err, secret.ErrOpen) {
			t.Fatalf("at %v: %v", at, err)
		}
	}
	for i := len("sealed:1:") + 17; i < len(sealed); i += 5 {
		changed := []byte(sealed)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		if got, err := v.Unseal("linking", "setting", "client_secret", string(changed)); err == nil {
			t.Fatalf("changed at %d, it still opens as %q", i, got)
		}
	}
	if again, _ := v.Seal("linking", "setting", "client_secret", "s3cr3t"); again == sealed {
		t.Fatal("the same value seals to the same text")
	}
}

func TestOpen_NeverReplacesAKeyThatIsNeeded(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	if err := os.Remove(p.file); err != nil {
		t.Fatal(err)
	}
	p.open() // nothing was sealed, so that a new key costs nothing, but the check value has to follow it
	v := p.open()
	if err := v.Set(t.Context(), "linking", "refresh", "", "x"); err != nil {
		t.Fatal(err)
	}
	kept := p.file + ".kept"
	if err := os.Rename(p.file, kept); err != nil {
		t.Fatal(err)
	}
	_, err := p.try()
	if err == nil || !strings.Contains(err.Error(), "put the file back") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(p.file); err == nil {
		t.Fatal("a new key file was made all the same")
	}
	if err := os.WriteFile(p.file, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = p.try(); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Fatalf("a foreign key: %v", err)
	}
	if err := os.Rename(kept, p.file); err != nil {
		t.Fatal(err)
	}
	want(t, p.open(), "linking", "refresh", "", "x")
}

func TestOpen_AsksOthersBeforeItMakesANewKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	if err := os.Remove(p.file); err != nil {
		t.Fatal(err)
	}
	_, err := p.try(func(o *secret.Options) {
		o.OtherSealed = func(context.Context) (bool, error) { return true, nil }
	})
	if err == nil {
		t.Fatal("a new key was made though settings are sealed")
	}
}

func TestOpen_SaysWhatIsWrongWithAKeyFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# only a comment\n", "c2hvcnQ=\n", "not base64 at all!\n"} {
		p := newPlace(t)
		if err := os.MkdirAll(filepath.Dir(p.file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := p.try(); err == nil || text != "" && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRotate_SealsEverythingWithANewKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	v := p.open()
	before := v.Status()
	for _, key := range []string{"a", "b", "c"} {
		if err := v.Set(t.Context(), "linking", "refresh", key, "value "+key); err != nil {
			t.Fatal(err)
		}
	}
	setting, err := v.Seal("linking", "setting", "client_secret", "s3cr3t")
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Rotate(t.Context(), func(_ *gorm.DB, again func(module, name, key, sealed string) (string, error)) (err error) {
		setting, err = again("linking", "setting", "client_secret", setting)
		return err
	})
	if err != nil || r.Values != 5 || r.Key == before.KeyID || v.Status().Previous != 0 {
		t.Fatalf("got %+v, %+v, %v", r, v.Status(), err)
	}
	want(t, v, "linking", "refresh", "b", "value b")
	fresh := p.open() // from the file alone
	want(t, fresh, "linking", "refresh", "c", "value c")
	if got, err := fresh.Unseal("linking", "setting", "client_secret", setting); got != "s3cr3t" || err != nil {
		t.Fatal(got, err)
	}
	if now, _ := os.ReadFile(p.file); strings.Contains(string(now), strings.Split(string(old), "\n")[1]) {
		t.Fatal("the retired key is still in the file")
	}
}

func TestRotate_ChangesNothingWhenItFails(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	v := p.open()
	if err := v.Set(t.Context(), "linking", "refresh", "", "x"); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("cannot read the settings")
	_, err := v.Rotate(t.Context(), func(*gorm.DB, func(string, string, string, string) (string, error)) error { return failed })
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	want(t, v, "linking", "refresh", "", "x")
	if err := v.Set(t.Context(), "linking", "refresh", "", "y"); err != nil {
		t.Fatal(err)
	}
	want(t, p.open(), "linking", "refresh", "", "y") // the key file, with both keys, opens all
	if _, err := v.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, p.open(), "linking", "refresh", "", "y")
}

func TestKey_FromTheEnvironmentIsRotatedByNamingTheOldOne(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	one, two := strings.Repeat("01", 32), base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	v := p.open(func(o *secret.Options) { o.Key = one })
	if err := v.Set(t.Context(), "linking", "refresh", "", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.file); err == nil {
		t.Fatal("a key file was made beside the environment")
	}
	if _, err := v.Rotate(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
	if _, err := p.try(func(o *secret.Options) { o.Key = two }); err == nil {
		t.Fatal("another key is accepted without the old one")
	}
	v = p.open(func(o *secret.Options) { o.Key, o.PreviousKeys = two, []string{one} })
	want(t, v, "linking", "refresh", "", "x")
	if _, err := v.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, p.open(func(o *secret.Options) { o.Key = two }), "linking", "refresh", "", "x")
}

func FuzzUnseal(f *testing.F) {
	dir := f.TempDir()
	st, err := store.Open(f.Context(), store.Options{Path: filepath.Join(dir, "site.db"), Log: quiet()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = st.Close() })
	v, err := secret.Open(f.Context(), st, secret.Options{File: filepath.Join(dir, "key"), Log: quiet()})
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := v.Seal("a", "b", "c", "value")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("sealed:1::")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := v.Unseal("a", "b", "c", s); err == nil && (s != sealed || got != "value") {
			t.Fatalf("%q opens as %q", s, got)
		}
	})
}
