package particletest

import (
	"net/http"
	"strings"
	"testing"
)

func TestParseFault_ReadsMethodPrefixAndCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rule{
		"done500@POST /v1/products/10001/customers#2": {Prefix: "/v1/products/10001/customers", Method: "POST", Times: 2, Status: 500, After: true},
		"429@PUT /v1":    {Prefix: "/v1", Method: "PUT", Status: 429},
		"donedrop@":      {Drop: true, After: true},
		"donehang@/v1#1": {Prefix: "/v1", Hang: true, After: true, Times: 1},
		"529@/v1":        {Prefix: "/v1", Status: 529},
	} {
		change, err := ParseFault(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var f Faults
		change(&f)
		if len(f.Rules) != 1 || f.Rules[0] != want {
			t.Errorf("%q: got %+v, want %+v", text, f.Rules, want)
		}
	}
	for _, text := range []string{"500@/v1#0", "donedrop#1", "500@/v1#x", "500@post /v1", "done200@/v1", "done", "slow_pages=x", "stream_limit=0"} {
		if _, err := ParseFault(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestFaultSet_CountsARuleDown(t *testing.T) {
	t.Parallel()
	var set FaultSet
	set.Set(Faults{Rules: []Rule{{Prefix: "/a", Method: "POST", Times: 2, Status: 500}, {Prefix: "/", Status: 418}}})
	for i, c := range []struct {
		method, path string
		want         int
	}{{"GET", "/a", 418}, {"POST", "/a/b", 500}, {"POST", "/a", 500}, {"POST", "/a", 418}} {
		if r, ok := set.take(c.method, c.path); !ok || r.Status != c.want {
			t.Errorf("request %d: got %+v", i, r)
		}
	}
}

func TestRouteScopes_NameRoutesThatExist(t *testing.T) {
	t.Parallel()
	mux := (&Server{}).routes()
	for route, scope := range routeScopes {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		r, err := http.NewRequest(method, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			t.Errorf("%s leads nowhere", route)
		}
		if scope != "" && !knownScope(scope) {
			t.Errorf("%s wants the unknown scope %q", route, scope)
		}
	}
}

func TestHasScope_KnowsWildcards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want string
		ok         bool
	}{
		{"devices:list", "devices:list", true}, {"devices:*", "devices:list", true}, {"*:*", "teams.users:update", true},
		{"teams.users:*", "teams.users:update", true}, {"devices:*", "devices.function:call", false}, {"devices:list", "devices:get", false},
	} {
		if got := hasScope([]string{c.have}, c.want); got != c.ok {
			t.Errorf("%s for %s: got %v", c.have, c.want, got)
		}
	}
	for name, ok := range map[string]bool{"devices:list": true, "*:*": true, "teams.users:*": true, "devices:": false, "cake:eat": false, "devices:a b": false, "": false} {
		if knownScope(name) != ok {
			t.Errorf("%q: got %v", name, !ok)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{"500@POST /v1#1", "slow=3s@/v1", "done500", "offline", "rate_limit=9", "@", "#", "529@ #"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		change, err := ParseFault(text)
		if (change == nil) == (err == nil) {
			t.Fatalf("got %v with a change: %v", err, change != nil)
		}
		if err != nil {
			return
		}
		var faults Faults
		change(&faults)
		for _, r := range faults.Rules {
			if r.Times < 0 || r.Status != 0 && (r.Status < 400 || r.Status > 599) {
				t.Errorf("%q: got %+v", text, r)
			}
		}
	})
}

func FuzzReadLines(f *testing.F) {
	for _, seed := range []string{"\ufeffa\r\nb\n\n c ", "", "\n", strings.Repeat("x", 70000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, ok := readLines(strings.NewReader(text))
		if ok != (len(lines) > 0) && ok {
			t.Errorf("%q: got ok without lines", text)
		}
		for _, line := range lines {
			if line == "" || strings.TrimSpace(line) != line || strings.Contains(line, "\n") {
				t.Errorf("%q: got %q", text, line)
			}
		}
	})
}
