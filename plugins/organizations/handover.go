package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// taker is a module that takes over a client that was just made, by a service and without anybody seeing the secret.
type taker struct {
	purpose string // of the client
	service string
	button  string
	offer   string // beside the button, on the page that shows the secret
	title   string // of the operation
	done    string // with the client's id
	denied  string
	silent  string // after a crash, when it does not answer
	missing string // after a crash, when it does not have the client
}

var takers = []taker{
	{purpose: forLinking, service: linkingService, button: "Use for account linking", title: "Use an OAuth client for account linking",
		offer:  "Then linking gets client id and secret from here, and you need not copy anything. Possible for ten minutes.",
		done:   "Linking uses the client %s now. Its secret is erased here.",
		denied: "You may not set up linking: that needs the permission to do so in Linking. Somebody who has it can hand the client over within ten minutes of its creation.",
		silent: "Was cut short, and Linking does not answer.", missing: "Was cut short before Linking had the client. Hand it over again."},
	{purpose: forServer, service: customersService, button: "Use for shadow customers", title: "Use an OAuth client for shadow customers",
		offer: "Then Customers gets client id and secret from here, and makes a customer at Particle for each person who gets a device of this product. You need not copy anything. " +
			"Possible for ten minutes.",
		done:   "Customers makes shadow customers with the client %s now. Its secret is erased here.",
		denied: "You may not set up Customers: that needs the permission to do so there. Somebody who has it can hand the client over within ten minutes of its creation.",
		silent: "Was cut short, and Customers does not answer.", missing: "Was cut short before Customers had the client. Hand it over again."},
}

// customersService takes the clients with which shadow customers are made.
const customersService = "customers.client"

func takerOf(purpose string) (taker, bool) {
	i := slices.IndexFunc(takers, func(t taker) bool { return t.purpose == purpose })
	if i < 0 {
		return taker{}, false
	}
	return takers[i], true
}

// sealedClient is what is kept for handing over.
type sealedClient struct {
	ID      string `json:"id"`
	Secret  string `json:"secret"`
	BaseURL string `json:"base_url"`
}

// keepForHandOver seals the secret of a client that another module may take over. No other secret is kept at all.
func (m *Organizations) keepForHandOver(ctx context.Context, op *operation, f clientForm, s sealedClient) error {
	to, ok := takerOf(f.Purpose)
	if !ok || to.service == customersService && !m.takes(ctx) {
		return nil
	}
	until := m.now().Add(handOverTime)
	op.SecretUntil = &until
	if err := m.records.saveOperation(ctx, op); err != nil { // first, so that a stop leaves nothing that is not erased in time
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return m.host.Secrets().Set(ctx, "handover", keyOf(op.ID), string(text))
}

// takes tells whether there is anybody to take a client for shadow customers.
func (m *Organizations) takes(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return m.host.Call(limited, customersService, "get", struct{}{}, nil) == nil
}

// mayHandOver tells whether the secret of an operation is still kept.
func (m *Organizations) mayHandOver(op *operation) bool {
	return op.Kind == opClientCreate && op.State == opDone && op.SecretUntil != nil && m.now().Before(*op.SecretUntil)
}

// takerFor finds who takes the client that an operation made.
func takerFor(op *operation) taker {
	var in createInput
	if json.Unmarshal([]byte(op.Input), &in) == nil {
		if to, ok := takerOf(in.Purpose); ok {
			return to
		}
	}
	return takers[0]
}

// handOverInput is what the operation hand_over does.
type handOverInput struct {
	Source int64  `json:"source"`       // the operation that made the client
	To     string `json:"to,omitempty"` // its purpose; "" is linking
}

// takerIn finds who an operation hand_over gives a client to.
func takerIn(op *operation) (handOverInput, taker) {
	var in handOverInput
	if json.Unmarshal([]byte(op.Input), &in) == nil {
		if to, ok := takerOf(in.To); ok {
			return in, to
		}
	}
	return in, takers[0]
}

// handOver gives the new client to the module it was made for, on behalf of the person, who needs that module's permission for it.
func (m *Organizations) handOver(w http.ResponseWriter, r *http.Request) {
	source, ok := m.operationOf(w, r)
	if !ok {
		return
	}
	defer m.lock(source.WorkspaceID)()
	if source, ok = m.operationOf(w, r); !ok {
		return
	}
	back := "/admin/organizations/operations/" + keyOf(source.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), opLimit)
	defer cancel()
	kept, err := m.host.Secrets().Get(ctx, "handover", keyOf(source.ID))
	if fault.Is(err, fault.NotFound) || !m.mayHandOver(source) {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Warn, Text: "The secret is not kept any more: it was handed over already, or ten minutes have passed. Create a new client."})
		return
	}
	var s sealedClient
	if err == nil {
		err = json.Unmarshal([]byte(kept), &s)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	to := takerFor(source)
	op := &operation{Kind: opHandOver, WorkspaceID: source.WorkspaceID, Workspace: source.Workspace, ProductID: source.ProductID, Subject: s.ID, Name: source.Name}
	again, err := m.begin(ctx, r, op, handOverInput{Source: source.ID, To: to.purpose})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if again != nil {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Info, Text: again.Sentence})
		return
	}
	if err := m.give(ctx, to, op, s); err != nil {
		m.handOverFailed(ctx, w, r, to, op, err, back)
		return
	}
	if err := m.handedOver(ctx, op, source); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Good, Text: op.Sentence})
}

func (m *Organizations) give(ctx context.Context, to taker, op *operation, s sealedClient) error {
	in := map[string]any{"client_id": s.ID, "client_secret": s.Secret, "base_url": s.BaseURL}
	if to.service == customersService {
		in["workspace_id"], in["product_id"] = op.WorkspaceID, op.ProductID
	}
	return m.host.Call(ctx, to.service, "set", in, nil)
}

func (m *Organizations) handedOver(ctx context.Context, op, source *operation) error {
	if source != nil {
		if err := m.eraseSecret(ctx, source); err != nil {
			return err
		}
	}
	_, to := takerIn(op)
	return m.end(ctx, op, opDone, strings.ReplaceAll(to.done, "%s", op.Subject))
}

func (m *Organizations) handOverFailed(ctx context.Context, w http.ResponseWriter, r *http.Request, to taker, op *operation, cause error, back string) {
	if fault.Is(cause, fault.Timeout) { // it may have been taken all the same
		if err := m.leave(ctx, op, to.silent); err != nil {
			sdk.Fail(w, r, err)
			return
		}
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Warn, Text: "No answer came in time. Whether the client was taken over is looked at again in a minute."})
		return
	}
	message, visible := fault.Visible(cause)
	if !visible {
		message = "The client was not taken over."
	}
	if fault.Is(cause, fault.Denied) {
		message = to.denied
	}
	m.host.Log().Info("a client was not handed over", "operation", op.ID, "service", to.service, "reason", fault.KindOf(cause).String())
	if err := m.end(ctx, op, opFailed, message); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Bad, Text: message})
}

// resumeHandOver finds out whether the client had been taken before the crash. It cannot be repeated: it is done on behalf of a
// person, who is not here.
func (m *Organizations) resumeHandOver(ctx context.Context, op *operation) error {
	in, to := takerIn(op)
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	has, known := m.has(limited, to, op)
	if !known {
		return m.leave(ctx, op, to.silent)
	}
	if !has {
		return m.end(ctx, op, opFailed, to.missing)
	}
	source, err := m.records.operation(ctx, in.Source)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return m.handedOver(ctx, op, source)
}

// has asks a taker whether it has the client of an operation; known is false when it does not tell.
func (m *Organizations) has(ctx context.Context, to taker, op *operation) (has, known bool) {
	if to.service == linkingService {
		using, ok := m.linkingUses(ctx)
		return using.ClientID == op.Subject, ok
	}
	var using shadowClients
	if err := m.host.Call(ctx, to.service, "get", struct{}{}, &using); err != nil {
		return false, false
	}
	for _, c := range using.Clients {
		if c.ClientID == op.Subject && c.WorkspaceID == op.WorkspaceID && c.ProductID == op.ProductID {
			return true, true
		}
	}
	return false, true
}
