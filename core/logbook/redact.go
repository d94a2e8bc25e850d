package logbook

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// redacted stands for a value that must not be in a log.
const redacted = "[redacted]"

// Bounds of one line, in bytes.
const (
	maxMessage = 2 << 10
	maxText    = 4 << 10
	maxAttrs   = 16 << 10
	maxDepth   = 6
	maxItems   = 100
)

// What a key must not contain, compared in lower case without "_", "-" and ".".
var secretParts = []string{
	"password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "credential", "apikey", "privatekey", "bearer",
	"email", "mailaddress", "clientassertion", "setcookie",
}

// What a key must not be as a whole: "code" is an OAuth code, while "exit_code" is not.
var secretWords = map[string]bool{"code": true, "pass": true, "pin": true, "otp": true, "csrf": true, "nonce": true, "jwt": true, "session": true, "body": true, "oauthstate": true, "pkce": true, "codeverifier": true, "verifier": true}

// Keys that contain such a part and tell nothing.
var harmless = map[string]bool{"tokens": true, "tokencount": true, "keyid": true, "statuscode": true, "tokenexpiresat": true}

var squash = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

func isSecret(key string) bool {
	k := squash.Replace(strings.ToLower(key))
	if harmless[k] {
		return false
	}
	if secretWords[k] {
		return true
	}
	for _, part := range secretParts {
		if strings.Contains(k, part) {
			return true
		}
	}
	return false
}

// What gives a secret away within a text, such as an error that quotes a URL.
var (
	pairs  = regexp.MustCompile(`(?i)\b([a-z_]*(?:token|secret|password|passwd|code|api_?key|state|signature))(=|":\s*"|%3D)[^\s&"'<>]+`)
	schema = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}`)
	user   = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@"']+@`)
)

func scrub(text string) string {
	if strings.ContainsRune(text, '=') || strings.Contains(text, `":`) || strings.Contains(text, "%3D") {
		text = pairs.ReplaceAllString(text, "${1}${2}"+redacted)
	}
	if lower := strings.ToLower(text); strings.Contains(lower, "bearer") || strings.Contains(lower, "basic") {
		text = schema.ReplaceAllString(text, "${1} "+redacted)
	}
	if strings.Contains(text, "://") {
		text = user.ReplaceAllString(text, "${1}"+redacted+"@")
	}
	return text
}

// clean gives text without control, format and line-separating characters, at most limit bytes long.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
	}
	if strings.ContainsAny(text, "=: ") {
		text = scrub(text)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// put adds an attribute to a map of what can be stored, under its groups.
func put(into map[string]any, groups []string, a slog.Attr) {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) || len(into) >= maxItems {
		return
	}
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			groups = append(groups[:len(groups):len(groups)], a.Key)
		}
		for _, member := range a.Value.Group() {
			put(into, groups, member)
		}
		return
	}
	key := a.Key
	if len(groups) > 0 {
		key = strings.Join(groups, ".") + "." + key
	}
	if isSecret(a.Key) {
		into[clean(key, 200)] = redacted
		return
	}
	into[clean(key, 200)] = plain(a.Value.Any(), maxDepth)
}

// plain gives a value of JSON's own types, without secrets in it.
func plain(v any, depth int) any {
	if depth == 0 {
		return "…"
	}
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64, json.Number:
		return v
	case string:
		return clean(v, maxText)
	case time.Duration:
		return v.String()
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case error:
		return clean(v.Error(), maxText)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			if len(out) >= maxItems {
				break
			}
			if isSecret(key) {
				out[clean(key, 200)] = redacted
			} else {
				out[clean(key, 200)] = plain(value, depth-1)
			}
		}
		return out
	case []any:
		out := make([]any, 0, min(len(v), maxItems))
		for _, value := range v[:min(len(v), maxItems)] {
			out = append(out, plain(value, depth-1))
		}
		return out
	case fmt.Stringer:
		return clean(safeString(v), maxText)
	}
	return throughJSON(v, depth)
}

// throughJSON turns any other value into JSON's types, so that the keys in it can be looked at.
func throughJSON(v any, depth int) (out any) {
	defer func() {
		if p := recover(); p != nil { // somebody's MarshalJSON; a line must not end the request
			out = "[unprintable]"
		}
	}()
	text, err := json.Marshal(v)
	if err != nil || len(text) > maxAttrs {
		return clean(fmt.Sprintf("%T", v), maxText)
	}
	var decoded any
	if err := json.Unmarshal(text, &decoded); err != nil {
		return "[unprintable]"
	}
	return plain(decoded, depth-1)
}

func safeString(v fmt.Stringer) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = "[unprintable]"
		}
	}()
	return v.String()
}
