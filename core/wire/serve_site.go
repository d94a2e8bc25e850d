package wire

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

// How long a call of the host's services may take when the caller sets no deadline.
const (
	serviceTime = 15 * time.Second
	callTime    = 30 * time.Second
)

const theSite = "The site"

// site is sdk.Host inside the module's process.
type site struct {
	id       string
	client   modulepb.HostClient
	log      *slog.Logger
	about    sdk.Site
	store    driver.Connector
	settings atomic.Pointer[sdk.Settings]
	ctx      context.Context
	stop     context.CancelFunc
}

var _ sdk.Host = (*site)(nil)

func newSite(id string, client modulepb.HostClient, log *slog.Logger, about sdk.Site, store driver.Connector) *site {
	s := &site{id: id, client: client, log: log, about: about, store: store}
	s.settings.Store(&sdk.Settings{})
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

func (s *site) ModuleID() string         { return s.id }
func (s *site) Context() context.Context { return s.ctx }
func (s *site) Log() *slog.Logger        { return s.log }
func (s *site) Settings() sdk.Settings   { return *s.settings.Load() }
func (s *site) Site() sdk.Site           { return s.about }
func (s *site) Secrets() sdk.Secrets     { return secrets{s.client} }
func (s *site) Users() sdk.Users         { return users{s.client} }
func (s *site) Store() driver.Connector  { return s.store }

func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

func (s *site) Publish(ctx context.Context, name, subject string, payload any) error {
	text, err := json.Marshal(payload)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "encode the event %s", name)
	}
	if len(text) > MaxPayload {
		return fault.New(fault.TooLarge, "the event %s has %d bytes, at most %d are allowed", name, len(text), MaxPayload)
	}
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	_, err = s.client.Publish(ctx, &modulepb.PublishRequest{Name: name, Subject: validUTF8(subject), Payload: text})
	return fromStatus(err, theSite)
}

func (s *site) Call(ctx context.Context, service, method string, input, output any) error {
	text, err := json.Marshal(input)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "encode the input of %s.%s", service, method)
	}
	if len(text) > MaxCallData {
		return fault.New(fault.TooLarge, "the input of %s.%s has %d bytes, at most %d are allowed", service, method, len(text), MaxCallData)
	}
	ctx, cancel := within(ctx, callTime)
	defer cancel()
	request := sdk.RequestFrom(ctx)
	reply, err := s.client.Call(ctx, &modulepb.HostCallRequest{
		Service: service, Method: method, Input: text, Claim: request.Claim, RequestId: request.ID,
	})
	if err != nil {
		return fromStatus(err, "The service "+service)
	}
	if output == nil {
		return nil
	}
	if err := json.Unmarshal(reply.GetOutput(), output); err != nil {
		return fault.Wrap(fault.Internal, err, "decode the answer of %s.%s", service, method)
	}
	return nil
}

func (s *site) Mail(ctx context.Context, mail sdk.Mail) error {
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	_, err := s.client.SendMail(ctx, &modulepb.SendMailRequest{
		UserId: mail.UserID, To: validUTF8(mail.To), Subject: validUTF8(mail.Subject), Text: validUTF8(mail.Text),
	})
	return fromStatus(err, theSite)
}

type secrets struct{ client modulepb.HostClient }

func (s secrets) Get(ctx context.Context, name, key string) (string, error) {
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	reply, err := s.client.SecretGet(ctx, &modulepb.SecretGetRequest{Name: name, Key: key})
	if err != nil {
		return "", fromStatus(err, theSite)
	}
	return reply.GetValue(), nil
}

func (s secrets) Set(ctx context.Context, name, key, value string) error {
	if len(value) > MaxPayload {
		return fault.New(fault.TooLarge, "the secret %s has %d bytes, at most %d are allowed", name, len(value), MaxPayload)
	}
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	_, err := s.client.SecretSet(ctx, &modulepb.SecretSetRequest{Name: name, Key: key, Value: value})
	return fromStatus(err, theSite)
}

func (s secrets) Delete(ctx context.Context, name, key string) error {
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	_, err := s.client.SecretDelete(ctx, &modulepb.SecretDeleteRequest{Name: name, Key: key})
	return fromStatus(err, theSite)
}

type users struct{ client modulepb.HostClient }

func (u users) Get(ctx context.Context, id int64) (sdk.User, error) {
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	reply, err := u.client.UserGet(ctx, &modulepb.UserGetRequest{Id: id})
	if err != nil {
		return sdk.User{}, fromStatus(err, theSite)
	}
	return userFrom(reply.GetUser()), nil
}

func (u users) List(ctx context.Context, ids ...int64) ([]sdk.User, error) {
	if len(ids) > maxUsers {
		return nil, fault.New(fault.Invalid, "%d people were asked for, at most %d are allowed", len(ids), maxUsers)
	}
	ctx, cancel := within(ctx, serviceTime)
	defer cancel()
	reply, err := u.client.UserList(ctx, &modulepb.UserListRequest{Ids: ids})
	if err != nil {
		return nil, fromStatus(err, theSite)
	}
	list := make([]sdk.User, 0, len(reply.GetUsers()))
	for _, one := range reply.GetUsers() {
		list = append(list, userFrom(one))
	}
	return list, nil
}
