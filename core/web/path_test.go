package web

import (
	"net/url"
	"strings"
	"testing"
)

func TestLocalPath_KeepsPathsOfThisSiteAndNothingElse(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/devices":                           "/devices",
		"/devices?page=2&q=a%20b":            "/devices?page=2&q=a%20b",
		"/devices/%61bc":                     "/devices/abc",
		"":                                   "/",
		"devices":                            "/",
		"//evil.example":                     "/",
		"///evil.example":                    "/",
		"/\\evil.example":                    "/",
		"/\t/evil.example":                   "/",
		"/%5cevil.example":                   "/",
		"/%2f%2fevil.example":                "/%2F%2Fevil.example",
		"https://evil.example":               "/",
		"javascript:alert(1)":                "/",
		"/login?next=/a":                     "/",
		"/logout":                            "/",
		"/a/../b":                            "/",
		"/a/%2e%2e/b":                        "/",
		"/a\r\nSet-Cookie: x=1":              "/",
		"/a#//evil":                          "/",
		"/" + strings.Repeat("a", nextLimit): "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/a", "//a", "/\\a", "/%09/a", "/a?b=//c", "http:/a", "/.//a", "/;/a", "/@a"} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://site.example/login")
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		target, err := base.Parse(got)
		if err != nil || target.Host != base.Host || target.Scheme != base.Scheme {
			t.Fatalf("localPath(%q) = %q leads to %v (%v)", next, got, target, err)
		}
		if strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t ") {
			t.Fatalf("localPath(%q) = %q", next, got)
		}
		if again := localPath(got); again != got {
			t.Fatalf("localPath is not stable: %q, then %q", got, again)
		}
	})
}

func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{"/a/b", "/%61", "/a%2Fb", "/a//b", "/../x", "/%2e%2e/x", "/a/.b", "/ä", "/%c3%a4", "/%ff", "/a;b", "/+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, ok := canonicalPath(raw)
		if !ok {
			return
		}
		if again, ok := canonicalPath(path); !ok || again != path {
			t.Fatalf("%q became %q and then %q (%v)", raw, path, again, ok)
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatalf("%q became %q, which does not parse: %v", raw, path, err)
		}
		for _, segment := range strings.Split(u.EscapedPath(), "/") {
			if decoded, err := url.PathUnescape(segment); err != nil || decoded == ".." || decoded == "." {
				t.Fatalf("%q became %q with segment %q", raw, path, segment)
			}
		}
		if u.EscapedPath() != path {
			t.Fatalf("net/url reads %q as %q", path, u.EscapedPath())
		}
	})
}
