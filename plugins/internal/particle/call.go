package particle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// maxAnswer is the most that is read of one answer. A list of 1,000 devices is about 700 kB.
const maxAnswer = 4 << 20

// call is one request to the cloud.
type call struct {
	op      string // for errors: "call function"
	method  string
	url     string
	token   string      // Bearer; "" for none
	client  OAuthClient // Basic, when its ID is set
	user    [2]string   // Basic account name and password, for the historical token list only
	form    url.Values  // form body; nil for none
	file    *upload     // makes the form a multipart one
	json    any         // JSON body; nil for none
	timeout time.Duration
	plain   bool // the answer need not be JSON (a deletion)
}

// upload is a file in a multipart form.
type upload struct {
	field   string
	name    string
	content []byte
}

// secrets are the words that must not come back in an error.
func (r call) secrets() []string {
	s := []string{r.token, r.client.Secret, r.user[1]}
	for _, key := range []string{"code", "refresh_token", "password", "mfa_token", "otp", "client_secret"} {
		s = append(s, r.form.Get(key))
	}
	return s
}

// do sends the request and returns the body of a successful answer. Only a GET whose connection failed is sent twice.
func (c *Client) do(ctx context.Context, r call) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	started := time.Now()
	res, err := c.send(limited, r)
	if err != nil && r.method == http.MethodGet && isConnectionFailure(err) && limited.Err() == nil {
		res, err = c.send(limited, r)
	}
	if err != nil {
		return nil, c.transportError(ctx, r.op, err, time.Since(started))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	elapsed := time.Since(started)
	if err != nil {
		e := c.transportError(ctx, r.op, err, elapsed)
		e.Status = res.StatusCode
		return nil, e
	}
	if len(body) > maxAnswer {
		e := newError(NotParticle, r.op)
		e.Status, e.Elapsed, e.Cause = res.StatusCode, elapsed, errors.New("answer is larger than 4 MiB")
		return nil, e
	}
	if failed := c.judge(r, res, body, elapsed); failed != nil {
		return nil, failed
	}
	return body, nil
}

func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.calls.Do(req)
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch {
	case r.file != nil:
		raw, kind, err := encodeUpload(r)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(raw), kind
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	case r.json != nil:
		raw, err := json.Marshal(r.json)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body, contentType = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	switch {
	case r.token != "":
		req.Header.Set("Authorization", "Bearer "+r.token)
	case r.client.ID != "":
		// Not x/oauth2: it percent-encodes id and secret here, which the cloud does not undo, and hides the error body's fields.
		req.SetBasicAuth(r.client.ID, r.client.Secret)
	case r.user[0] != "":
		req.SetBasicAuth(r.user[0], r.user[1])
	}
	return req, nil
}

func encodeUpload(r call) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for key, values := range r.form {
		for _, value := range values {
			if err := w.WriteField(key, value); err != nil {
				return nil, "", fmt.Errorf("encode request: %w", err)
			}
		}
	}
	part, err := w.CreateFormFile(r.file.field, r.file.name)
	if err == nil {
		_, err = part.Write(r.file.content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, "", fmt.Errorf("encode request: %w", err)
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// isConnectionFailure tells that no answer began: refused, reset, or closed before a header arrived.
func isConnectionFailure(err error) bool {
	return isDialError(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// judge returns nil for a success. A 2xx whose JSON says "ok": false is a failure too.
func (c *Client) judge(r call, res *http.Response, body []byte, elapsed time.Duration) *Error {
	ok := res.StatusCode >= 200 && res.StatusCode < 300
	empty := len(bytes.TrimSpace(body)) == 0
	if ok && (r.plain && empty || res.StatusCode == http.StatusNoContent) {
		return nil
	}
	if ok && !empty && json.Valid(body) && !saysNotOK(body) {
		return nil
	}
	a := readError(body)
	if ok && !json.Valid(body) {
		a = answerError{}
	}
	kind := classify(res.StatusCode, a, elapsed, c.timeouts.KnownOffline)
	e := newError(kind, r.op)
	e.Status, e.Code, e.Elapsed = res.StatusCode, a.code, elapsed
	e.RetryAfter = retryAfter(res.Header)
	e.MFAToken = a.mfaToken
	e.Description = clean(a.text, append(r.secrets(), a.mfaToken))
	e.explainRefusal(r)
	if kind == NotParticle {
		e.Cause = fmt.Errorf("%s answered %s %s", c.base.Host, res.Status, mediaType(res.Header))
	}
	return e
}

func saysNotOK(body []byte) bool {
	var answer struct {
		OK flag `json:"ok"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.OK.present && !answer.OK.value
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return "without a content type"
	}
	return "as " + t
}

// unexpected is the error for a successful answer whose JSON lacks what it must have.
func unexpected(op, what string) *Error {
	e := newError(NotParticle, op)
	e.Status, e.Cause = http.StatusOK, errors.New(what)
	return e
}
