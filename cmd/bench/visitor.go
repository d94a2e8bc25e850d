package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// visitor is one browser: it keeps cookies and the CSRF token of the last answer.
type visitor struct {
	base string
	http *http.Client
	csrf string
}

// answer is what came back.
type answer struct {
	status   int
	location string
	body     []byte
}

// newVisitor opens a fresh browser that comes from its own address of the loopback network and follows no redirect by itself.
func newVisitor(base string, n int) *visitor {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &visitor{base: base, http: &http.Client{
		Jar: jar, Timeout: 60 * time.Second, Transport: &http.Transport{DialContext: from(n).DialContext, MaxIdleConnsPerHost: 2},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (v *visitor) do(ctx context.Context, method, path, accept string, form url.Values) (answer, error) {
	if form == nil {
		return v.send(ctx, method, path, accept, "", nil)
	}
	return v.send(ctx, method, path, accept, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// send sends a body of some content type; "" and nil for none.
func (v *visitor) send(ctx context.Context, method, path, accept, contentType string, body io.Reader) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.base+path, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("X-CSRF-Token", v.csrf)
	}
	res, err := v.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if token := res.Header.Get("X-CSRF-Token"); token != "" {
		v.csrf = token
	}
	return answer{status: res.StatusCode, location: res.Header.Get("Location"), body: text}, nil
}

func (v *visitor) get(ctx context.Context, path string) (answer, error) {
	return v.do(ctx, http.MethodGet, path, "text/html", nil)
}

// json asks as a program does.
func (v *visitor) json(ctx context.Context, path string, out any) error {
	a, err := v.do(ctx, http.MethodGet, path, "application/json", nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("%w: GET %s: %d %.300s", errWrongAnswer, path, a.status, a.body)
	}
	return json.Unmarshal(a.body, out)
}

// post sends a form and expects to be sent on, as after every change.
func (v *visitor) post(ctx context.Context, path string, fields ...string) (answer, error) {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	a, err := v.do(ctx, http.MethodPost, path, "text/html", form)
	return a, sentOn(a, err, path)
}

// upload posts a form with a file in the field.
func (v *visitor) upload(ctx context.Context, path, field, name string, file []byte, fields ...string) (answer, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			return answer{}, err
		}
	}
	part, err := form.CreateFormFile(field, name)
	if err != nil {
		return answer{}, err
	}
	if _, err := part.Write(file); err != nil {
		return answer{}, err
	}
	if err := form.Close(); err != nil {
		return answer{}, err
	}
	a, err := v.send(ctx, http.MethodPost, path, "text/html", form.FormDataContentType(), &body)
	return a, sentOn(a, err, path)
}

// sentOn makes an error of an answer to a form that is not a redirect.
func sentOn(a answer, err error, path string) error {
	if err == nil && a.status != http.StatusSeeOther {
		err = fmt.Errorf("%w: POST %s: %d\n%.2000s", errWrongAnswer, path, a.status, mainOf(a.body))
	}
	return err
}

// mainOf cuts a page down to what it says.
func mainOf(page []byte) string {
	text := string(page)
	if _, inner, ok := strings.Cut(text, "<main"); ok {
		text, _, _ = strings.Cut(inner, "</main>")
	}
	return text
}

// signIn signs in with the form.
func (v *visitor) signIn(ctx context.Context, who person) error {
	if _, err := v.get(ctx, "/login"); err != nil {
		return err
	}
	if _, err := v.post(ctx, "/login", "email", who.email, "password", who.password); err != nil {
		return err
	}
	_, err := v.get(ctx, "/account") // the token of the new session
	return err
}

// cookie gives the Cookie header of the session, for clients that keep none.
func (v *visitor) cookie() string {
	u, err := url.Parse(v.base)
	if err != nil {
		return ""
	}
	var parts []string
	for _, c := range v.http.Jar.Cookies(u) {
		parts = append(parts, c.Name+"="+c.Value)
	}
	return strings.Join(parts, "; ")
}
