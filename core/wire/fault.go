package wire

import (
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mortise/core/fault"
	"mortise/core/wire/modulepb"
)

// Bounds on what an error carries over the wire, in bytes and in number of fields.
const (
	maxFaultText   = 4 << 10
	maxFaultFields = 200
)

// The gRPC codes of the kinds. They matter to tools alone: this package reads the Fault in the status.
var codeOfKind = map[fault.Kind]codes.Code{
	fault.Internal: codes.Internal, fault.Invalid: codes.InvalidArgument, fault.NotFound: codes.NotFound,
	fault.Denied: codes.PermissionDenied, fault.SignedOut: codes.Unauthenticated, fault.Conflict: codes.FailedPrecondition,
	fault.TooLarge: codes.OutOfRange, fault.TooMany: codes.ResourceExhausted, fault.Unavailable: codes.Unavailable,
	fault.Timeout: codes.DeadlineExceeded,
}

// toStatus is err as it travels; nil stays nil.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) && fault.KindOf(err) == fault.Internal:
		err = fault.Wrap(fault.Timeout, err, "There was no answer in time.")
	case errors.Is(err, context.Canceled) && fault.KindOf(err) == fault.Internal:
		return status.Error(codes.Canceled, cut(err.Error()))
	}
	detail := &modulepb.Fault{Kind: fault.KindOf(err).String(), Cause: cut(err.Error())}
	var f *fault.Error
	if errors.As(err, &f) {
		detail.Message = cut(f.Message)
		detail.Fields = cutFields(f.Fields)
	}
	st, detailErr := status.New(codeOfKind[fault.KindOf(err)], cut(err.Error())).WithDetails(detail)
	if detailErr != nil { // the detail always encodes; should it not, the code and the text still say enough
		return status.Error(codes.Internal, cut(err.Error()))
	}
	return st.Err()
}

func cutFields(fields map[string]string) map[string]string {
	if len(fields) == 0 {
		return nil
	}
	kept := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if len(kept) == maxFaultFields {
			break
		}
		kept[cut(k)] = cut(fields[k])
	}
	return kept
}

// cut bounds a text and keeps it valid UTF-8, which protobuf demands.
func cut(text string) string {
	if len(text) > maxFaultText {
		text = text[:maxFaultText]
	}
	return validUTF8(text)
}

// fromStatus is the error that the other side sent, as a fault; what the transport itself reports is classified here. who
// names the other side for the visitor, such as "The module devices".
func fromStatus(err error, who string) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return fault.Wrap(fault.Unavailable, err, "%s does not answer at the moment.", who)
	}
	for _, d := range st.Details() {
		if f, ok := d.(*modulepb.Fault); ok {
			return faultFrom(f)
		}
	}
	switch st.Code() {
	case codes.Canceled:
		return fault.Wrap(fault.Unavailable, errors.Join(context.Canceled, err), "%s was interrupted.", who)
	case codes.DeadlineExceeded:
		return fault.Wrap(fault.Timeout, errors.Join(context.DeadlineExceeded, err), "%s did not answer in time.", who)
	case codes.Unavailable:
		return fault.Wrap(fault.Unavailable, err, "%s does not answer at the moment.", who)
	case codes.ResourceExhausted:
		return fault.Wrap(fault.TooLarge, err, "%s sent or was sent more than is allowed.", who)
	case codes.Unimplemented:
		return fault.Wrap(fault.NotFound, err, "%s cannot do that.", who)
	}
	return err
}

func faultFrom(f *modulepb.Fault) error {
	kind := fault.ParseKind(f.GetKind())
	if kind == fault.Internal && f.GetMessage() == "" {
		return errors.New(f.GetCause())
	}
	e := &fault.Error{Kind: kind, Message: f.GetMessage(), Fields: f.GetFields()}
	if f.GetCause() != "" && f.GetCause() != f.GetMessage() {
		e.Cause = remoteError(f.GetCause())
	}
	return e
}

// remoteError is the text of the other side's error, for the log.
type remoteError string

func (e remoteError) Error() string { return string(e) }
