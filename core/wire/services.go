package wire

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

// HostServices answers what modules ask of the host. module is the id of the module whose process asks; the connection vouches
// for it. Everything else in the arguments is the module's word. Errors should be faults: their kind, message and fields reach
// the module.
type HostServices interface {
	Publish(ctx context.Context, module, name, subject string, payload []byte) error
	Call(ctx context.Context, module, claim, service, method string, in []byte) ([]byte, error)
	SecretGet(ctx context.Context, module, name, key string) (string, error)
	SecretSet(ctx context.Context, module, name, key, value string) error
	SecretDelete(ctx context.Context, module, name, key string) error
	UserGet(ctx context.Context, module string, id int64) (sdk.User, error)
	UserList(ctx context.Context, module string, ids []int64) ([]sdk.User, error)
	SendMail(ctx context.Context, module string, mail sdk.Mail) error
}

type requestIDKey struct{}

// WithRequestID keeps the id of the visitor's request for the log, through a call of a service.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id of the visitor's request that led to a service call, as the calling module says; "" when there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// callsAtOnce bounds the service calls of one module that run at the same time.
const callsAtOnce = 256

// hostServer is the host's end of modulepb.Host for one module.
type hostServer struct {
	modulepb.UnimplementedHostServer
	module   string
	services HostServices
}

func newHostServer(module string, services HostServices, log *slog.Logger, options []grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(callsAtOnce),
		grpc.UnaryInterceptor(recoverPanics(log)))...)
	modulepb.RegisterHostServer(s, &hostServer{module: module, services: services})
	return s
}

func (h *hostServer) Publish(ctx context.Context, r *modulepb.PublishRequest) (*modulepb.PublishReply, error) {
	if len(r.GetPayload()) > MaxPayload {
		return nil, toStatus(fault.New(fault.TooLarge, "the event has %d bytes, at most %d are allowed", len(r.GetPayload()), MaxPayload))
	}
	err := h.services.Publish(ctx, h.module, r.GetName(), r.GetSubject(), r.GetPayload())
	return &modulepb.PublishReply{}, toStatus(err)
}

func (h *hostServer) Call(ctx context.Context, r *modulepb.HostCallRequest) (*modulepb.HostCallReply, error) {
	if len(r.GetInput()) > MaxCallData {
		return nil, toStatus(fault.New(fault.TooLarge, "the input has %d bytes, at most %d are allowed", len(r.GetInput()), MaxCallData))
	}
	ctx = WithRequestID(ctx, clean(r.GetRequestId(), 64))
	output, err := h.services.Call(ctx, h.module, r.GetClaim(), r.GetService(), r.GetMethod(), r.GetInput())
	return &modulepb.HostCallReply{Output: output}, toStatus(err)
}

func (h *hostServer) SecretGet(ctx context.Context, r *modulepb.SecretGetRequest) (*modulepb.SecretGetReply, error) {
	value, err := h.services.SecretGet(ctx, h.module, r.GetName(), r.GetKey())
	return &modulepb.SecretGetReply{Value: value}, toStatus(err)
}

func (h *hostServer) SecretSet(ctx context.Context, r *modulepb.SecretSetRequest) (*modulepb.SecretSetReply, error) {
	if len(r.GetValue()) > MaxPayload {
		return nil, toStatus(fault.New(fault.TooLarge, "the secret has %d bytes, at most %d are allowed", len(r.GetValue()), MaxPayload))
	}
	return &modulepb.SecretSetReply{}, toStatus(h.services.SecretSet(ctx, h.module, r.GetName(), r.GetKey(), r.GetValue()))
}

func (h *hostServer) SecretDelete(ctx context.Context, r *modulepb.SecretDeleteRequest) (*modulepb.SecretDeleteReply, error) {
	return &modulepb.SecretDeleteReply{}, toStatus(h.services.SecretDelete(ctx, h.module, r.GetName(), r.GetKey()))
}

func (h *hostServer) UserGet(ctx context.Context, r *modulepb.UserGetRequest) (*modulepb.UserGetReply, error) {
	user, err := h.services.UserGet(ctx, h.module, r.GetId())
	return &modulepb.UserGetReply{User: userTo(user)}, toStatus(err)
}

func (h *hostServer) UserList(ctx context.Context, r *modulepb.UserListRequest) (*modulepb.UserListReply, error) {
	if len(r.GetIds()) > maxUsers {
		return nil, toStatus(fault.New(fault.Invalid, "%d people were asked for, at most %d are allowed", len(r.GetIds()), maxUsers))
	}
	list, err := h.services.UserList(ctx, h.module, r.GetIds())
	reply := &modulepb.UserListReply{}
	for _, user := range list {
		reply.Users = append(reply.Users, userTo(user))
	}
	return reply, toStatus(err)
}

func (h *hostServer) SendMail(ctx context.Context, r *modulepb.SendMailRequest) (*modulepb.SendMailReply, error) {
	err := h.services.SendMail(ctx, h.module, sdk.Mail{UserID: r.GetUserId(), To: r.GetTo(), Subject: r.GetSubject(), Text: r.GetText()})
	return &modulepb.SendMailReply{}, toStatus(err)
}
