package moduletest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"mortise/core/sdk"
)

// Answer is what the module answered.
type Answer struct {
	Status   int
	Header   http.Header
	Location string
	Flash    string   // the message for the next page, "" for none
	View     sdk.View // Data is json.RawMessage; zero when it is no view
	Problem  Problem  // zero when it is none
	Body     string
}

// Problem is the answer of sdk.Fail.
type Problem struct {
	Title  string            `json:"title"`
	Kind   string            `json:"kind"`
	Fields map[string]string `json:"fields"`
}

// Decode reads the view's data.
func (a Answer) Decode(into any) error {
	raw, _ := a.View.Data.(json.RawMessage)
	return json.Unmarshal(raw, into)
}

// Get opens a page as a browser.
func (s *Site) Get(person sdk.Identity, path string) Answer {
	s.t.Helper()
	return s.Do(person, http.MethodGet, path, nil, "text/html")
}

// GetJSON opens a page as a program.
func (s *Site) GetJSON(person sdk.Identity, path string) Answer {
	s.t.Helper()
	return s.Do(person, http.MethodGet, path, nil, "application/json")
}

// Post sends a form as a browser.
func (s *Site) Post(person sdk.Identity, path string, form url.Values) Answer {
	s.t.Helper()
	return s.Do(person, http.MethodPost, path, form, "text/html")
}

// Request makes a request of a person, for what Do does not do, such as streams.
func (s *Site) Request(person sdk.Identity, method, path string, form url.Values, accept string) *http.Request {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", accept)
	if person.SignedIn() {
		req.Header.Set(personHeader, people.add(person))
	}
	return req
}

// Do makes a request and reads the whole answer.
func (s *Site) Do(person sdk.Identity, method, path string, form url.Values, accept string) Answer {
	s.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(s.Request(person, method, path, form, accept))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := Answer{Status: res.StatusCode, Header: res.Header, Location: res.Header.Get("Location"), Body: string(body)}
	if tone, text, ok := strings.Cut(res.Header.Get(sdk.FlashHeader), " "); ok {
		words, _ := url.QueryUnescape(text)
		a.Flash = tone + " " + words
	}
	switch res.Header.Get("Content-Type") {
	case sdk.ViewType:
		a.View.Data = json.RawMessage(nil)
		view := struct {
			*sdk.View
			Data json.RawMessage `json:"data"`
		}{View: &a.View}
		if err := json.Unmarshal(body, &view); err != nil {
			s.t.Fatal(err)
		}
		a.View.Data = view.Data
	case sdk.ProblemType:
		if err := json.Unmarshal(body, &a.Problem); err != nil {
			s.t.Fatal(err)
		}
	}
	return a
}
