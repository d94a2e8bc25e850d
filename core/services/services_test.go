package services_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/services"
)

// world is a host around the services: "devices" uses particle.token, which "linking" provides.
type world struct {
	*services.Services
	claims  *services.Claims
	enabled map[string]*manifest.Manifest
	down    sync.Map
	holds   atomic.Bool
	answer  func(ctx context.Context, call sdk.Call, claim, request string) ([]byte, error)
	blocked atomic.Bool
	mails   []string
	kept    map[string]string
}

func (w *world) User(_ context.Context, id int64) (sdk.User, error) {
	if id != 7 {
		return sdk.User{}, fault.New(fault.NotFound, "no user %d", id)
	}
	return sdk.User{ID: 7, Name: "Ann", Email: "ann@example.com", Blocked: w.blocked.Load()}, nil
}

func (w *world) Users(ctx context.Context, ids []int64) ([]sdk.User, error) {
	var list []sdk.User
	for _, id := range ids {
		if u, err := w.User(ctx, id); err == nil {
			list = append(list, u)
		}
	}
	return list, nil
}

func (w *world) Identity(_ context.Context, id int64, session, module string) (sdk.Identity, error) {
	if w.blocked.Load() {
		return sdk.Identity{}, fault.New(fault.Denied, "blocked")
	}
	if session != "s1" {
		return sdk.Identity{}, fault.New(fault.SignedOut, "the session is over")
	}
	return sdk.Identity{UserID: id, Name: "Ann", Permissions: []string{module + ".use"}}, nil
}

func (w *world) Get(_ context.Context, module, name, key string) (string, error) {
	v, ok := w.kept[module+name+key]
	if !ok {
		return "", fault.New(fault.NotFound, "none")
	}
	return v, nil
}

func (w *world) Set(_ context.Context, module, name, key, value string) error {
	w.kept[module+name+key] = value
	return nil
}

func (w *world) Delete(_ context.Context, module, name, key string) error {
	delete(w.kept, module+name+key)
	return nil
}

func newWorld(t *testing.T, change func(*services.Options)) *world {
	t.Helper()
	w := &world{claims: services.NewClaims(), kept: map[string]string{}}
	w.enabled = map[string]*manifest.Manifest{
		"linking": {ID: "linking", Name: "Account linking",
			Secrets: []manifest.Secret{{Name: "tokens"}},
			Uses:    []manifest.Use{{Name: "devices.list", Version: "^1.0"}},
			Provides: []manifest.Service{{Name: "particle.token", Version: "1.2.0", Methods: map[string]manifest.Method{
				"get": {
					Input:  map[string]any{"type": "object", "required": []any{"account"}, "properties": map[string]any{"account": map[string]any{"type": "integer"}}, "additionalProperties": false},
					Output: map[string]any{"type": "object", "required": []any{"token"}},
				},
				"any": {},
			}}}},
		"devices": {ID: "devices", Name: "Devices",
			Provides: []manifest.Service{{Name: "devices.list", Version: "1.0.0", Methods: map[string]manifest.Method{"all": {}}}},
			Uses:     []manifest.Use{{Name: "particle.token", Version: "^1.1"}, {Name: "weather", Version: "*"}}},
		"old": {ID: "old", Uses: []manifest.Use{{Name: "particle.token", Version: "^2.0"}}},
	}
	w.answer = func(context.Context, sdk.Call, string, string) ([]byte, error) { return []byte(`{"token":"t"}`), nil }
	o := services.Options{
		Manifest: func(id string) (*manifest.Manifest, bool) { m, ok := w.enabled[id]; return m, ok },
		Enabled: func() (list []*manifest.Manifest) {
			for _, m := range w.enabled {
				list = append(list, m)
			}
			return list
		},
		Running: func(id string) bool { _, down := w.down.Load(id); return !down },
		CallModule: func(ctx context.Context, module string, call sdk.Call, claim, request string) ([]byte, error) {
			return w.answer(ctx, call, claim, request)
		},
		PublishFact: func(context.Context, string, string, string, []byte) error { return nil },
		QueueMail: func(_ context.Context, to, name, subject, _ string) error {
			w.mails = append(w.mails, to+" "+name+" "+subject)
			return nil
		},
		HoldsWriter: func(string) bool { return w.holds.Load() },
		Secrets:     w, People: w, Claims: w.claims,
	}
	if change != nil {
		change(&o)
	}
	w.Services = services.New(o)
	return w
}

func (w *world) claim(module string) string {
	return w.claims.Mint(services.Claim{UserID: 7, Session: "s1", Module: module, RequestID: "r1", ExpiresAt: time.Now().Add(services.PageTTL)})
}

func TestCall_CarriesThePersonWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.answer = func(_ context.Context, call sdk.Call, claim, request string) ([]byte, error) {
		if call.Caller != "devices" || call.Method != "get" || call.User.UserID != 7 || !call.User.Can("linking.use") || request != "r1" {
			t.Errorf("call = %+v, request %q", call, request)
		}
		if c, err := w.claims.Verify(claim, "linking"); err != nil || c.UserID != 7 || c.Depth != 1 {
			t.Errorf("the provider's claim = %+v, %v", c, err)
		}
		if _, err := w.claims.Verify(claim, "devices"); !fault.Is(err, fault.Denied) {
			t.Errorf("the provider's claim serves the caller: %v", err)
		}
		return []byte(`{"token":"t"}`), nil
	}
	out, err := w.Call(t.Context(), "devices", w.claim("devices"), "particle.token", "get", []byte(`{"account":12}`))
	if err != nil || string(out) != `{"token":"t"}` {
		t.Fatalf("%s, %v", out, err)
	}
}

func TestCall_RefusesWhatNobodyGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	good := []byte(`{"account":1}`)
	foreign := services.NewClaims().Mint(services.Claim{UserID: 1, Module: "devices", ExpiresAt: time.Now().Add(time.Hour)})
	old := w.claims.Mint(services.Claim{UserID: 7, Session: "s1", Module: "devices", ExpiresAt: time.Now().Add(-time.Minute)})
	signedOut := w.claims.Mint(services.Claim{UserID: 7, Session: "s2", Module: "devices", ExpiresAt: time.Now().Add(time.Minute)})
	for _, tc := range []struct {
		name, module, claim, service, method string
		in                                   []byte
		want                                 fault.Kind
	}{
		{"stranger", "stranger", "", "particle.token", "get", good, fault.Denied},
		{"not asked for", "linking", "", "particle.token", "get", good, fault.Denied},
		{"nobody provides it", "devices", "", "weather", "get", good, fault.Unavailable},
		{"wrong version", "old", "", "particle.token", "get", good, fault.Unavailable},
		{"no such method", "devices", "", "particle.token", "steal", good, fault.NotFound},
		{"made up claim", "devices", "AAAA", "particle.token", "get", good, fault.Denied},
		{"another host's claim", "devices", foreign, "particle.token", "get", good, fault.Denied},
		{"another module's claim", "devices", w.claim("linking"), "particle.token", "get", good, fault.Denied},
		{"expired claim", "devices", old, "particle.token", "get", good, fault.Timeout},
		{"signed out", "devices", signedOut, "particle.token", "get", good, fault.SignedOut},
		{"wrong input", "devices", "", "particle.token", "get", []byte(`{"account":"x"}`), fault.Invalid},
		{"more input", "devices", "", "particle.token", "get", []byte(`{"account":1,"x":1}`), fault.Invalid},
		{"not JSON", "devices", "", "particle.token", "any", []byte(`{`), fault.Invalid},
		{"huge", "devices", "", "particle.token", "any", []byte(`"` + strings.Repeat("x", services.MaxMessage) + `"`), fault.TooLarge},
	} {
		if _, err := w.Call(t.Context(), tc.module, tc.claim, tc.service, tc.method, tc.in); !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	w.blocked.Store(true)
	if _, err := w.Call(t.Context(), "devices", w.claim("devices"), "particle.token", "get", good); !fault.Is(err, fault.Denied) {
		t.Errorf("a blocked person: %v", err)
	}
}

func TestCall_SaysWhenTheProviderFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *services.Options) { o.CallTimeout = 20 * time.Millisecond })
	call := func() error {
		_, err := w.Call(t.Context(), "devices", "", "particle.token", "get", []byte(`{"account":1}`))
		return err
	}
	for _, tc := range []struct {
		name   string
		answer func(context.Context) ([]byte, error)
		want   fault.Kind
	}{
		{"hangs", func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }, fault.Timeout},
		{"breaks its contract", func(context.Context) ([]byte, error) { return []byte(`{}`), nil }, fault.Internal},
		{"answers with a fault", func(context.Context) ([]byte, error) { return nil, fault.New(fault.NotFound, "no account") }, fault.NotFound},
	} {
		w.answer = func(ctx context.Context, _ sdk.Call, _, _ string) ([]byte, error) { return tc.answer(ctx) }
		if err := call(); !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	w.down.Store("linking", true)
	if err := call(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a provider that does not run: %v", err)
	}
}

func TestCall_EndsChainsThatAreTooDeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	deepest := 0
	w.answer = func(ctx context.Context, call sdk.Call, claim, _ string) ([]byte, error) {
		deepest++
		if call.Service == "particle.token" { // linking asks devices, which asks linking …
			return w.Call(ctx, "linking", claim, "devices.list", "all", []byte(`1`))
		}
		return w.Call(ctx, "devices", claim, "particle.token", "any", []byte(`1`))
	}
	_, err := w.Call(t.Context(), "devices", w.claim("devices"), "particle.token", "any", []byte(`1`))
	if !fault.Is(err, fault.Conflict) || deepest != services.MaxDepth {
		t.Errorf("%v after %d calls", err, deepest)
	}
	w.answer = func(ctx context.Context, _ sdk.Call, _, _ string) ([]byte, error) { // a module that throws its claims away
		return w.Call(ctx, "devices", "", "particle.token", "any", []byte(`1`))
	}
	if _, err := w.Call(t.Context(), "devices", "", "particle.token", "any", []byte(`1`)); !fault.Is(err, fault.TooMany) {
		t.Errorf("a circle without claims: %v", err)
	}
}

func TestCall_DoesNotWaitForATransactionThatWaitsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.holds.Store(true)
	if err := w.SecretSet(t.Context(), "linking", "tokens", "1", "x"); !fault.Is(err, fault.Conflict) {
		t.Errorf("secret: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { w.holds.Store(false) })
	if _, err := w.Call(t.Context(), "devices", "", "particle.token", "any", []byte(`1`)); err != nil {
		t.Errorf("another request's transaction was over in a moment, but: %v", err)
	}
}

func TestSecrets_AreTheModulesOwnAndListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if err := w.SecretSet(t.Context(), "linking", "tokens", "7", "abc"); err != nil {
		t.Fatal(err)
	}
	if v, err := w.SecretGet(t.Context(), "linking", "tokens", "7"); err != nil || v != "abc" {
		t.Errorf("%q, %v", v, err)
	}
	for _, err := range []error{
		w.SecretSet(t.Context(), "devices", "tokens", "7", "x"),
		w.SecretSet(t.Context(), "linking", "other", "7", "x"),
		w.SecretDelete(t.Context(), "stranger", "tokens", "7"),
	} {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%v, want denied", err)
		}
	}
	if err := w.SecretSet(t.Context(), "linking", "tokens", "7", strings.Repeat("x", 70<<10)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("huge: %v", err)
	}
	if err := w.SecretDelete(t.Context(), "linking", "tokens", "7"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SecretGet(t.Context(), "linking", "tokens", "7"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

func TestMail_IsBoundedAndNeverGoesToTheBlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *services.Options) { o.MailBurst = 2; o.MailEvery = time.Hour })
	send := func(m sdk.Mail) error { return w.SendMail(t.Context(), "devices", m) }
	for _, bad := range []sdk.Mail{
		{Subject: "x"}, {UserID: 7, To: "a@b.c", Subject: "x"}, {UserID: 7}, {UserID: 7, Subject: "a\r\nBcc: b"},
	} {
		if err := send(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	w.blocked.Store(true)
	if err := send(sdk.Mail{UserID: 7, Subject: "x"}); !fault.Is(err, fault.Denied) {
		t.Errorf("blocked: %v", err)
	}
	w.blocked.Store(false)
	for i, want := range []error{nil, nil, errors.New("too many")} {
		if err := send(sdk.Mail{UserID: 7, Subject: fmt.Sprint(i)}); (err == nil) != (want == nil) || want != nil && !fault.Is(err, fault.TooMany) {
			t.Errorf("mail %d: %v", i, err)
		}
	}
	if len(w.mails) != 2 || w.mails[0] != "ann@example.com Ann 0" {
		t.Errorf("mails = %q", w.mails)
	}
}

func TestUsers_AreAtMostFiveHundred(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if list, err := w.UserList(t.Context(), "devices", []int64{1, 7}); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := w.UserList(t.Context(), "devices", make([]int64, 501)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
	if _, err := w.UserGet(t.Context(), "stranger", 7); !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
}

func TestCheckContracts_RefusesASchemaThatReadsFiles(t *testing.T) {
	t.Parallel()
	with := func(schema map[string]any) *manifest.Manifest {
		return &manifest.Manifest{ID: "x", Provides: []manifest.Service{{Name: "a.b", Methods: map[string]manifest.Method{"m": {Input: schema}}}}}
	}
	for _, bad := range []map[string]any{
		{"$ref": "file:///etc/passwd"}, {"$ref": "https://example.com/s.json"}, {"type": "nonsense"}, {"pattern": "("},
	} {
		if err := services.CheckContracts(with(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := services.CheckContracts(with(map[string]any{"type": "object", "maxProperties": 3})); err != nil {
		t.Error(err)
	}
}

func FuzzClaims_Verify(f *testing.F) {
	claims := services.NewClaims()
	good := claims.Mint(services.Claim{UserID: 7, Session: "s", Module: "devices", RequestID: "r", Depth: 2, ExpiresAt: time.Now().Add(time.Hour)})
	f.Add(good)
	f.Add("")
	f.Add(good[:len(good)-1] + "A")
	f.Add(strings.Repeat("A", 2000))
	f.Fuzz(func(t *testing.T, token string) {
		claim, err := claims.Verify(token, "devices")
		if err == nil && token != good {
			t.Fatalf("accepted %q as %+v", token, claim)
		}
		if token == good && (err != nil || claim.UserID != 7 || claim.Session != "s" || claim.RequestID != "r" || claim.Depth != 2) {
			t.Fatalf("%+v, %v", claim, err)
		}
	})
}

func BenchmarkClaims_MintAndVerify(b *testing.B) {
	claims := services.NewClaims()
	c := services.Claim{UserID: 7, Session: strings.Repeat("a", 64), Module: "devices", RequestID: "0123456789abcdef", ExpiresAt: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := claims.Verify(claims.Mint(c), "devices"); err != nil {
			b.Fatal(err)
		}
	}
}
