package web

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// pathLimit bounds a request's path in bytes, escaped.
const pathLimit = 2048

// canonicalPath gives the one spelling of a request path: each segment decoded and encoded again, without "." and ".."
// segments. Host and module must read a path alike; were "%61dmin" one thing to the route table of the host and another to the
// module's own, the permission of one page would open another. ok is false for a path that has no honest spelling; it matches
// nothing.
func canonicalPath(raw string) (path string, ok bool) {
	if len(raw) == 0 || raw[0] != '/' || len(raw) > pathLimit {
		return "", false
	}
	if plainPath(raw) {
		return raw, true
	}
	segments := strings.Split(raw[1:], "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil || !utf8.ValidString(decoded) || decoded == "." || decoded == ".." {
			return "", false
		}
		if decoded == "" && i != len(segments)-1 {
			return "", false
		}
		if strings.IndexFunc(decoded, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }) >= 0 {
			return "", false
		}
		segments[i] = url.PathEscape(decoded)
	}
	return "/" + strings.Join(segments, "/"), true
}

// plainPath tells, without allocating, whether a path is canonical because nothing in it needs a second look.
func plainPath(raw string) bool {
	for i := 1; i < len(raw); i++ {
		switch b := raw[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '~':
		case b == '/', b == '.':
			if raw[i-1] == '/' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// nextLimit bounds the path to return to after signing in, in bytes.
const nextLimit = 1024

// localPath gives next when it is a path of this site to go to after signing in, and "/" otherwise. Browsers read "//host",
// "/\host" and "/<tab>/host" as other sites.
func localPath(next string) string {
	if len(next) == 0 || len(next) > nextLimit || next[0] != '/' || strings.HasPrefix(next, "//") {
		return "/"
	}
	for _, b := range []byte(next) {
		if b <= 0x20 || b >= 0x7f || b == '\\' || b == '<' || b == '>' || b == '"' || b == '#' {
			return "/"
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	path, ok := canonicalPath(u.EscapedPath())
	if !ok {
		return "/"
	}
	switch path {
	case "/login", "/logout", "/register":
		return "/"
	}
	if u.RawQuery == "" {
		return path
	}
	return path + "?" + u.RawQuery
}
