package particletest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object.
type object map[string]any

// reply writes v as JSON, bent by the faults that concern the shape of answers.
func (s *Server) reply(w http.ResponseWriter, status int, v any) {
	f := s.Faults.Get()
	if f.WrongShapes {
		v = bend(v)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encode answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if f.Truncated {
		raw = raw[:len(raw)/2]
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client may be gone
}

// bend gives an answer the shapes that older and self-hosted clouds send: numbers as text, "connected" without "online", a
// product in a list, null for functions.
func bend(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var plain any
	if json.Unmarshal(raw, &plain) != nil {
		return v
	}
	return bendValue(plain)
}

func bendValue(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = bendValue(v[i])
		}
	case map[string]any:
		for key, value := range v {
			v[key] = bendValue(value)
			switch key {
			case "product_id", "platform_id", "expires_in", "ttl", "total_pages", "return_value":
				v[key] = fmt.Sprint(value)
			case "product":
				v[key] = []any{value}
			case "online":
				delete(v, key)
				if _, ok := v["connected"]; !ok {
					v["connected"] = value
				}
			}
		}
	}
	return v
}

// stamp is the date format of the API.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// oauthError writes an error as npm @particle/oauth2-server does.
func (s *Server) oauthError(w http.ResponseWriter, code, description string) {
	status := map[string]int{
		"invalid_request": 400, "invalid_client": 400, "invalid_grant": 400, "invalid_scope": 400, "unauthorized": 400,
		"invalid_token": 401, "sso_user": 403, "mfa_required": 403, "rate_limit_exceeded": 429, "server_error": 503,
	}[code]
	if status == 0 {
		status = 500
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	if code == "invalid_client" {
		h.Set("WWW-Authenticate", `Basic realm="Service"`)
	}
	s.reply(w, status, object{"error": code, "error_description": description})
}

func (s *Server) fail(w http.ResponseWriter, status int, message string) {
	s.reply(w, status, object{"ok": false, "error": message})
}

func (s *Server) failList(w http.ResponseWriter, status int, errors ...any) {
	s.reply(w, status, object{"ok": false, "errors": errors})
}

// params are the fields of a form or JSON body, or of a multipart's text fields.
type params map[string]any

// readParams reads a body of either form; nil and false when it cannot be read.
func readParams(r *http.Request) (params, bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	p := params{}
	switch kind {
	case "application/json":
		raw, err := io.ReadAll(r.Body)
		if err != nil || len(raw) > 0 && json.Unmarshal(raw, &p) != nil {
			return nil, false
		}
		return p, true
	case "multipart/form-data":
		if r.ParseMultipartForm(1<<20) != nil {
			return nil, false
		}
	default:
		if r.ParseForm() != nil {
			return nil, false
		}
	}
	for key, values := range r.PostForm {
		p[key] = values[0]
	}
	return p, true
}

func (p params) has(key string) bool {
	v, ok := p[key]
	return ok && v != nil
}

// text gives a field as text: numbers and booleans too.
func (p params) text(key string) string {
	switch v := p[key].(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// list gives a field that is a list of texts, or one text with commas as a form has it.
func (p params) list(key string) (list []string, ok bool) {
	switch v := p[key].(type) {
	case []any:
		list = []string{}
		for _, one := range v {
			text, isText := one.(string)
			if !isText {
				return nil, false
			}
			list = append(list, text)
		}
		return list, true
	case string:
		list = []string{}
		for _, one := range strings.Split(v, ",") {
			if one = strings.TrimSpace(one); one != "" {
				list = append(list, one)
			}
		}
		return list, true
	}
	return nil, false
}

func (p params) truth(key string) bool {
	switch strings.ToLower(p.text(key)) {
	case "true", "1":
		return true
	}
	return false
}

// body reads the parameters or answers 400.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (params, bool) {
	p, ok := readParams(r)
	if !ok {
		s.oauthError(w, "invalid_request", "The request body could not be read")
	}
	return p, ok
}

var tokenInPath = regexp.MustCompile(`[0-9a-fA-F]{40,}`)

// maskPath hides what looks like a token, since the API has a path with one in it.
func maskPath(path string) string { return tokenInPath.ReplaceAllString(path, "…") }
