package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// demoVisitor fills a demonstration as a person does: it signs in and sends the forms of the pages. So the demo needs no way
// around the modules, and shows nothing that a maker could not do.
type demoVisitor struct {
	base  string
	http  *http.Client
	token string // against forged requests; every answer brings the one of the session
}

func newDemoVisitor(base string) *demoVisitor {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &demoVisitor{base: base, http: &http.Client{Jar: jar, Timeout: 2 * time.Minute}}
}

// demoLimit is how much of an answer is read.
const demoLimit = 4 << 20

func (v *demoVisitor) do(ctx context.Context, method, path string, form url.Values, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-CSRF-Token", v.token)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := v.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if token := response.Header.Get("X-CSRF-Token"); token != "" {
		v.token = token
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, demoLimit))
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s answered %d: %.500s", method, path, response.StatusCode, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s %s answered what cannot be read: %w", method, path, err)
	}
	return nil
}

// get reads a page's data into out, or just opens it when out is nil.
func (v *demoVisitor) get(ctx context.Context, path string, out any) error {
	return v.do(ctx, http.MethodGet, path, nil, out)
}

// send sends a form of name and value pairs and gives the path that it leads to.
func (v *demoVisitor) send(ctx context.Context, path string, pairs ...string) (string, error) {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	var answer struct {
		Redirect string `json:"redirect"`
	}
	err := v.do(ctx, http.MethodPost, path, form, &answer)
	return answer.Redirect, err
}

// signIn signs in and gets the token of the new session.
func (v *demoVisitor) signIn(ctx context.Context, email, password string) error {
	if err := v.get(ctx, "/login", nil); err != nil {
		return err
	}
	if _, err := v.send(ctx, "/login", "email", email, "password", password); err != nil {
		return err
	}
	return v.get(ctx, "/account", nil)
}
