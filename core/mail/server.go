package mail

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// server is a parsed SMTP URL.
type server struct {
	host, user, password string
	port                 int
	implicit             bool // TLS from the first byte (smtps)
	policy               gomail.TLSPolicy
}

var errURL = errors.New("expected smtp://user:password@host:587 or smtps://user:password@host:465")

// parseURL reads smtp:// and smtps:// URLs. Without a port they mean 587 and 465. smtp upgrades to TLS and refuses a server that
// cannot; ?tls=opportunistic or none weaken that, and on this machine itself opportunistic is the default. Errors never quote the
// URL, which holds a password.
func parseURL(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return server{}, errURL
	}
	s := server{host: u.Hostname(), user: u.User.Username(), policy: gomail.TLSMandatory}
	s.password, _ = u.User.Password()
	switch u.Scheme {
	case "smtp":
		s.port = 587
	case "smtps":
		s.port, s.implicit = 465, true
	default:
		return server{}, errURL
	}
	if p := u.Port(); p != "" {
		if s.port, err = strconv.Atoi(p); err != nil || s.port < 1 || s.port > 65535 {
			return server{}, errURL
		}
	}
	if ip := net.ParseIP(s.host); s.host == "localhost" || ip != nil && ip.IsLoopback() {
		s.policy = gomail.TLSOpportunistic
	}
	for key, values := range u.Query() {
		if key != "tls" || len(values) != 1 {
			return server{}, fmt.Errorf("the mail server's URL knows no setting %q", key)
		}
		switch values[0] {
		case "mandatory":
			s.policy = gomail.TLSMandatory
		case "opportunistic":
			s.policy = gomail.TLSOpportunistic
		case "none":
			s.policy = gomail.NoTLS
		default:
			return server{}, errors.New("tls in the mail server's URL must be mandatory, opportunistic or none")
		}
	}
	return s, nil
}

// sendLimit bounds the delivery of one mail.
const sendLimit = 30 * time.Second

func (s server) client(trust *tls.Config) (*gomail.Client, error) {
	options := []gomail.Option{gomail.WithPort(s.port), gomail.WithTimeout(sendLimit), gomail.WithTLSPolicy(s.policy)}
	if s.implicit {
		options = append(options, gomail.WithSSL())
	}
	if s.user != "" {
		// Picks the best that the server offers, and none that shows the password on a plain connection.
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.user), gomail.WithPassword(s.password))
	}
	if trust != nil {
		config := trust.Clone()
		config.ServerName = s.host
		options = append(options, gomail.WithTLSConfig(config))
	}
	c, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare the mail client: %w", err)
	}
	return c, nil
}

// name is the server for people, without the password.
func (s server) name() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }
