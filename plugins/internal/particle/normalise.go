package particle

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// answerError is what the many error bodies of the API have in common.
type answerError struct {
	code     string // "error" when it is a machine word
	info     string // "info", which tells an unknown device from another refusal
	text     string // the best text for a person
	mfaToken string
	isJSON   bool
}

// maxDescription is how much of the cloud's text is kept, in runes.
const maxDescription = 300

// readError takes the error out of a body, in the order that Particle's own command line and Android SDK use:
// error_description, errors[], error, info, description, message, the raw text.
func readError(body []byte) answerError {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		var text string // a bare JSON string, as early self-hosted servers send
		if json.Unmarshal(body, &text) == nil {
			return answerError{text: text, isJSON: true}
		}
		if t := bytes.TrimSpace(body); len(t) > 0 && t[0] != '<' { // HTML says nothing to a person
			return answerError{text: string(t)}
		}
		return answerError{}
	}
	a := answerError{isJSON: true, mfaToken: rawText(fields["mfa_token"]), info: rawText(fields["info"])}
	single := entryText(fields["error"])
	if isMachineWord(single) {
		a.code = single
	}
	texts := []string{rawText(fields["error_description"]), listText(fields["errors"]), single,
		rawText(fields["info"]), rawText(fields["description"]), rawText(fields["message"]), rawText(fields["status"])}
	for i, t := range texts {
		// A lone machine word gives way to a sentence beside it: {"error":"bad_request","description":"…"}.
		if t == "" || (i == 2 && a.code != "" && strings.Join(texts[3:6], "") != "") {
			continue
		}
		a.text = t
		break
	}
	return a
}

var machineWord = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func isMachineWord(s string) bool {
	return strings.Contains(s, "_") && machineWord.MatchString(s) || s == "unauthorized"
}

// listText joins the texts of an "errors" list.
func listText(raw json.RawMessage) string {
	var entries []json.RawMessage
	if json.Unmarshal(raw, &entries) != nil {
		return entryText(raw)
	}
	var texts []string
	for _, e := range entries {
		if t := entryText(e); t != "" {
			texts = append(texts, t)
		}
	}
	return strings.Join(texts, "; ")
}

// entryText reads one error in any of its shapes: a string, ["text", 404], {"error":"…"}, {"error":{"status":…}}, {"message":"…"}.
func entryText(raw json.RawMessage) string {
	if t := rawText(raw); t != "" {
		return t
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
		return rawText(list[0])
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return ""
	}
	if t := rawText(object["error"]); t != "" {
		return t
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(object["error"], &inner) == nil {
		for _, key := range []string{"status", "message", "error"} {
			if t := rawText(inner[key]); t != "" {
				return t
			}
		}
	}
	return rawText(object["message"])
}

// rawText reads a JSON string or number as text; anything else is "".
func rawText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// classify gives the kind of an answer that is not a success. known is how fast an answer must be to mean that the cloud
// knew that the device is gone, instead of having waited for it.
func classify(status int, a answerError, elapsed, known time.Duration) Kind {
	text := strings.ToLower(a.text)
	switch a.code {
	case "invalid_client":
		if strings.Contains(text, "grant type is unauthori") {
			return BadClientType
		}
		return BadClient
	case "invalid_grant":
		return classifyGrant(text)
	case "invalid_token", "expired_token":
		return DeadToken
	case "invalid_scope":
		return BadScope
	case "mfa_required":
		return MFARequired
	case "sso_user":
		return SSORequired
	case "access_denied":
		return Refused
	case "rate_limit_exceeded":
		return RateLimited
	case "server_error":
		return Upstream
	case "unauthorized":
		return Denied
	}
	if strings.Contains(text, "redirect_uri") {
		return BadRedirectURI
	}
	if status == http.StatusBadRequest && strings.Contains(text, "client_id parameter") {
		return BadClient
	}
	if strings.Contains(text, "access token") && status != http.StatusForbidden && status < 500 {
		return DeadToken
	}
	if status >= 400 && status < 500 && (strings.Contains(text, "already exists") || strings.Contains(text, "already in use") ||
		strings.Contains(text, "already a member") || strings.Contains(text, "already been invited")) {
		return Duplicate
	}
	if k := classifyDevice(status, text+" "+strings.ToLower(a.info), elapsed, known); k != "" {
		return k
	}
	return classifyStatus(status, a)
}

func classifyGrant(text string) Kind {
	switch {
	case strings.Contains(text, "code has expired"):
		return ExpiredCode
	case strings.Contains(text, "code"):
		return BadCode
	case strings.Contains(text, "refresh token"):
		return BadRefresh
	}
	return BadCredentials
}

// classifyDevice knows the texts by which the cloud, its old versions and the self-hosted servers speak of a device.
func classifyDevice(status int, text string, elapsed, known time.Duration) Kind {
	text = strings.TrimSpace(text)
	timedOut := DeviceTimeout
	if elapsed < known {
		timedOut = Offline
	}
	switch {
	case strings.Contains(text, "belongs to someone else"):
		return OwnedByOther
	case strings.Contains(text, "isn't online"), strings.Contains(text, "could not get device for id"):
		return Offline
	case strings.Contains(text, "didn't hear back"), strings.Contains(text, "request timed out"):
		return timedOut
	case status == http.StatusRequestTimeout, strings.HasPrefix(text, "timed out"), text == "timeout", strings.HasPrefix(text, "response timeout"):
		return timedOut
	case strings.Contains(text, "didn't recognize that device"), strings.Contains(text, "couldn't find that core"),
		strings.Contains(text, "no device found"), strings.Contains(text, "device does not exist"), strings.HasPrefix(text, "device not found"), strings.Contains(text, "doesn't have access"):
		return UnknownDevice
	case strings.HasSuffix(text, "not found"), strings.HasSuffix(text, "not found."), strings.HasPrefix(text, "unknown variable"):
		return NotFound
	}
	return ""
}

func classifyStatus(status int, a answerError) Kind {
	switch {
	case status == http.StatusUnauthorized:
		return DeadToken
	case status == http.StatusForbidden:
		return Denied
	case status == http.StatusNotFound && !a.isJSON:
		return NotParticle
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusTooManyRequests || status == 529:
		return RateLimited
	case status >= 500:
		return Upstream
	case status >= 300 && status < 400:
		return NotParticle
	case !a.isJSON && status < 300:
		return NotParticle
	}
	return Invalid
}

var longHex = regexp.MustCompile(`[0-9a-fA-F]{32,}`)

// clean makes the cloud's text fit for a log: one line, short, without the secrets of the request, without anything that
// looks like a token, and without the useless link that the "Permission Denied" answer carries.
func clean(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "…")
		}
	}
	text = longHex.ReplaceAllString(text, "…")
	if i := strings.Index(text, ", try opening http"); i >= 0 {
		text = text[:i]
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if r := []rune(text); len(r) > maxDescription {
		text = string(r[:maxDescription]) + "…"
	}
	return text
}

// retryAfter reads the header in its seconds form; at most an hour.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, time.Hour)
}
