package main

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// values are the settings as the flow needs them.
type values struct {
	baseURL string
	client  particle.OAuthClient
	scope   string
}

func readSettings(s sdk.Settings) values {
	v := values{
		baseURL: strings.TrimRight(strings.TrimSpace(s.String("base_url")), "/"),
		client:  particle.OAuthClient{ID: strings.TrimSpace(s.String("client_id")), Secret: strings.TrimSpace(s.String("client_secret"))},
		scope:   strings.TrimSpace(s.String("scope")),
	}
	if v.baseURL == "" {
		v.baseURL = particle.DefaultBaseURL
	}
	return v
}

func (v values) complete() bool { return v.client.ID != "" && v.client.Secret != "" }

// redirectURI is what must be registered with the OAuth client, character for character.
func (m *Linking) redirectURI() string {
	return strings.TrimRight(m.host.Site().PublicURL, "/") + "/linking/particle/callback"
}

// Configure takes new settings while the module runs: pages read them anew each time.
func (m *Linking) Configure(context.Context, sdk.Settings) error {
	m.configured.Store(m.now().Unix())
	return nil
}

// TestSettings tries the values at Particle without a person.
func (m *Linking) TestSettings(ctx context.Context, s sdk.Settings) ([]sdk.Problem, error) {
	v := readSettings(s)
	if problems := shapeProblems(v); len(problems) > 0 {
		return problems, nil
	}
	if p, wrong := m.publicURLProblem(v.baseURL); wrong {
		return []sdk.Problem{p}, nil
	}
	cloud, err := particle.New(particle.Options{BaseURL: v.baseURL, Timeouts: m.limits})
	if err != nil {
		return []sdk.Problem{problemOf("base_url", err)}, nil
	}
	defer cloud.Close()
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	if err := cloud.CheckClient(ctx, v.client, m.redirectURI()); err != nil {
		return []sdk.Problem{m.explainCheck(err)}, nil
	}
	return nil, nil
}

func (m *Linking) explainCheck(err error) sdk.Problem {
	var e *particle.Error
	if !errors.As(err, &e) {
		return sdk.Problem{Message: "The test could not be made: " + err.Error()}
	}
	if e.Field == "redirect_uri" || e.Kind == particle.BadRedirectURI {
		return sdk.Problem{Message: "The client id is known, but another redirect URI is registered with it. Register exactly " +
			m.redirectURI() + " with a new OAuth client; the URI of a client cannot be changed."}
	}
	return problemOf(e.Field, err)
}

func problemOf(key string, err error) sdk.Problem {
	var e *particle.Error
	if errors.As(err, &e) {
		return sdk.Problem{Key: key, Message: strings.TrimSpace(e.Message + " " + e.Hint)}
	}
	return sdk.Problem{Key: key, Message: err.Error()}
}

var tokenShape = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)

// shapeProblems finds what people have pasted instead of a client id and a secret: an e-mail address, an access token, the
// brackets of a forum post.
func shapeProblems(v values) []sdk.Problem {
	var list []sdk.Problem
	add := func(key, message string) { list = append(list, sdk.Problem{Key: key, Message: message}) }
	switch id := v.client.ID; {
	case id == "":
		add("client_id", "The client id is missing. Create an OAuth client of type \"web\" at Particle; it has one, such as my-site-1234.")
	case strings.Contains(id, "@"):
		add("client_id", "This is an e-mail address. The client id is the name of an OAuth client, such as my-site-1234.")
	case tokenShape.MatchString(id):
		add("client_id", "This looks like a secret or an access token. The client id is the name of an OAuth client, such as my-site-1234.")
	case !isPrintable(id, 100) || strings.ContainsAny(id, "[]<>\"'"):
		add("client_id", "The client id may only hold letters, digits, \"-\" and \"_\": without brackets, quotes or blanks.")
	}
	switch secret := v.client.Secret; {
	case secret == "":
		add("client_secret", "The client secret is missing. Particle shows it once, when the client is created.")
	case !isPrintable(secret, 200) || strings.ContainsAny(secret, "[]<>\"'"):
		add("client_secret", "The client secret holds a character that Particle never uses: copy it again, without brackets, quotes or blanks.")
	case secret == v.client.ID:
		add("client_secret", "Client id and client secret are the same; the secret is a text of its own.")
	}
	return list
}

// publicURLProblem knows that the hosted cloud sends people back to encrypted addresses only.
func (m *Linking) publicURLProblem(baseURL string) (sdk.Problem, bool) {
	base, err := url.Parse(baseURL)
	if err != nil || (base.Hostname() != "particle.io" && !strings.HasSuffix(base.Hostname(), ".particle.io")) {
		return sdk.Problem{}, false
	}
	if strings.HasPrefix(m.redirectURI(), "https://") {
		return sdk.Problem{}, false
	}
	return sdk.Problem{Message: "Particle sends people back to https addresses only, and this site's public address is " +
		m.host.Site().PublicURL + ". Set a public address that starts with https:// (TLS here, or a proxy before it)."}, true
}
