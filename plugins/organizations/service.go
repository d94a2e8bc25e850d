package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// patience is how long the service waits and keeps; tests make it shorter.
type patience struct {
	answer time.Duration // for the whole of a call: the host gives up after 30 s
	fresh  time.Duration // for which the states of devices are told without asking again
	listed time.Duration // how long a question for states waits for a listing
	linger time.Duration // for which an event stream stays open after the last poll
	dead   time.Duration // between two attempts with a credential that was refused
}

var defaultPatience = patience{answer: 27 * time.Second, fresh: 5 * time.Second, listed: 10 * time.Second, linger: time.Minute, dead: 2 * time.Minute}

// deviceWait bounds calls that reach a device. Particle itself waits for it for up to 30 s.
const deviceWait = 25 * time.Second

// Call answers particle.product. The caller has checked that the person may do what is asked; here it is made sure that the product is
// one of the workspace's, and that nothing but the answer gets out.
func (m *Organizations) Call(ctx context.Context, call sdk.Call) (any, error) {
	if call.Service != productapi.Service {
		return nil, fault.New(fault.NotFound, "There is no service %q here.", call.Service)
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience.answer)
	defer cancel()
	switch call.Method {
	case productapi.MethodProducts:
		return answer(ctx, call, m.serveProducts)
	case productapi.MethodDevices:
		return answer(ctx, call, m.serveDevices)
	case productapi.MethodDevice:
		return answer(ctx, call, m.serveDevice)
	case productapi.MethodStates:
		return answer(ctx, call, m.serveStates)
	case productapi.MethodVariable:
		return answer(ctx, call, m.serveVariable)
	case productapi.MethodCall:
		return answer(ctx, call, m.serveFunction)
	case productapi.MethodPublish:
		return answer(ctx, call, m.servePublish)
	case productapi.MethodRename:
		return answer(ctx, call, m.serveRename)
	case productapi.MethodSignal:
		return answer(ctx, call, m.serveSignal)
	case productapi.MethodPing:
		return answer(ctx, call, m.servePing)
	case productapi.MethodRelease:
		return answer(ctx, call, m.serveRelease)
	case productapi.MethodCustomers:
		return answer(ctx, call, m.serveCustomers)
	case productapi.MethodCustomerDelete:
		return answer(ctx, call, m.serveCustomerDelete)
	case productapi.MethodCustomerPassword:
		return answer(ctx, call, m.serveCustomerPassword)
	case productapi.MethodEvents:
		return answer(ctx, call, m.serveEvents)
	}
	return nil, fault.New(fault.NotFound, "The service has no method %q.", call.Method)
}

// answer reads the input of a method and carries it out.
func answer[In, Out any](ctx context.Context, call sdk.Call, serve func(context.Context, In) (Out, error)) (any, error) {
	var in In
	decoder := json.NewDecoder(bytes.NewReader(call.Input))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	if err == nil {
		_, err = decoder.Token()
	}
	if !errors.Is(err, io.EOF) { // the cause is left out: it could quote a password
		return nil, fault.New(fault.Invalid, "The input of %s does not have the fields that the service describes.", call.Method)
	}
	out, err := serve(ctx, in)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// productKey names a product of a workspace.
type productKey struct {
	workspace int64
	product   string
}

func keyOfProduct(p productapi.Product) (productKey, error) {
	if p.WorkspaceID <= 0 || p.ProductID == "" || len(p.ProductID) > 40 {
		return productKey{}, fault.New(fault.NotFound, "The workspace has no such product.")
	}
	return productKey{p.WorkspaceID, p.ProductID}, nil
}

// target is a product that can be worked with.
type target struct {
	*access
	key     productKey
	product *product
}

// fleet is the cloud as seen from the product.
func (t *target) fleet() *particle.Client { return t.cloud.InProduct(t.key.product) }

// productOf finds a product and its workspace. NotFound when the workspace is not there or does not have it.
func (m *Organizations) productOf(ctx context.Context, key productKey) (*workspace, *product, error) {
	w, err := m.records.workspace(ctx, key.workspace)
	if err != nil {
		return nil, nil, err
	}
	p, err := m.records.product(ctx, key.workspace, key.product)
	return w, p, err
}

// reach opens a product: NotFound, or a problem when there is no credential to work with.
func (m *Organizations) reach(ctx context.Context, key productKey) (*target, error) {
	w, p, err := m.productOf(ctx, key)
	if err != nil {
		return nil, err
	}
	a, t := m.access(ctx, w)
	switch {
	case t == nil:
		return &target{access: a, key: key, product: p}, nil
	case t.Kind == noCredential:
		return nil, &particle.Error{Kind: particle.DeadToken, Op: "read credential"}
	}
	return nil, t.err()
}

// with opens the product of an input.
func (m *Organizations) with(ctx context.Context, p productapi.Product) (*target, error) {
	key, err := keyOfProduct(p)
	if err != nil {
		return nil, err
	}
	return m.reach(ctx, key)
}

// tell makes an answer's outcome of an error: a problem when it is Particle's, and otherwise the error itself. t may be nil.
func (m *Organizations) tell(ctx context.Context, t *target, err error) (productapi.Outcome, error) {
	if err == nil {
		return productapi.Outcome{}, nil
	}
	if t != nil {
		m.troubleIn(ctx, t.workspace, err, "") // a dead credential is known everywhere at once
	}
	p, ok := problemOf(err)
	if !ok {
		return productapi.Outcome{}, err
	}
	return productapi.Outcome{Problem: p}, nil
}

// problemOf words a failure for whoever stands before the device: the credential is the site's, and not theirs to renew.
func problemOf(err error) (*productapi.Problem, bool) {
	p, ok := productapi.ProblemOf(err)
	if !ok {
		return nil, false
	}
	switch p.Kind {
	case particle.DeadToken:
		p.Message = "Particle does not accept the site's access to this product."
		p.Hint = "Whoever looks after the site has to renew the credential of the workspace."
	case particle.MissingScope, particle.Denied:
		if p.MissingScope != "" {
			p.Hint = "The workspace's credential needs the scope \"" + p.MissingScope + "\": whoever looks after the site can give it."
		}
	case particle.UnknownDevice:
		p.Message, p.Hint = "The product has no device with this id.", "Check the id, and whether the device was taken out of the product."
	}
	return p, true
}
