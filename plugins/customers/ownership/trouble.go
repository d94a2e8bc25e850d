package ownership

import (
	"errors"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

// trouble is why something cannot be done or shown, for people and programs. nil: all is well.
type trouble struct {
	Kind     string `json:"kind"` // a kind of package particle or fault
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy"`
	Link     string `json:"link,omitempty"` // where the remedy is; a path of this site
	fault    fault.Kind
}

// explain puts an error of a call through particle.product, or to Particle itself, into words.
func explain(err error) *trouble {
	var e *particle.Error
	if !errors.As(err, &e) {
		return explainFault(err)
	}
	t := &trouble{Kind: string(e.Kind), Sentence: e.Message, Remedy: e.Hint, fault: fault.KindOf(err)}
	switch e.Kind {
	case particle.DeadToken:
		t.Sentence, t.Remedy, t.Link = "Particle refuses the credential of the workspace (401).", "Enter a new token for the workspace.", "/admin/organizations"
	case particle.MissingScope, particle.Denied:
		t.Link = "/admin/organizations"
		t.Sentence, t.Remedy = "The credential of the workspace may not do this (403).", "Give the API user the right to it at Particle and enter its new token."
		if e.Scope != "" {
			t.Sentence = "The credential of the workspace may not do this (403): it lacks the scope " + e.Scope + "."
		}
	case particle.RateLimited:
		t.Sentence, t.Remedy = "Particle asks this site to slow down (429).", "Wait a minute and try again."
		if e.RetryAfter > 0 {
			t.Remedy = "Wait " + e.RetryAfter.Round(time.Second).String() + " and try again."
		}
	}
	return t
}

func explainFault(err error) *trouble {
	kind := fault.KindOf(err)
	t := &trouble{Kind: kind.String(), fault: kind}
	switch kind {
	case fault.Unavailable, fault.Timeout, fault.TooMany:
		t.Sentence, t.Remedy, t.Link = "Organizations does not answer: it is paused, not installed, or busy.", "It keeps the products and the credentials for them. See that it runs, then try again.", "/admin/modules"
	case fault.NotFound:
		t.Sentence, t.Remedy, t.Link = "Organizations does not know this product any more.", "The workspace or the product was removed. Look at Organizations.", "/admin/organizations"
	case fault.Denied:
		t.Sentence, t.Remedy, t.Link = "This module may not ask Organizations for products.", "Organizations is not installed, or the module was enabled before it. Look at the modules.", "/admin/modules"
	default:
		message, visible := fault.Visible(err)
		if !visible {
			message = "Something went wrong here."
		}
		t.Sentence, t.Remedy = message, "Try again; the log of the site tells more."
	}
	return t
}

// err gives the trouble as a fault, for answers that are an error page.
func (t *trouble) err() error { return fault.New(t.fault, "%s %s", t.Sentence, t.Remedy) }
