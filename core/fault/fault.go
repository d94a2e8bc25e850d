// Package fault gives an error its kind, once, where it is first understood. Everything above decides on kinds, never on
// text: the web layer turns a kind into a status and a page, the process boundary carries it, a module matches it.
//
// The message of a fault is written for the visitor; its cause is for the log alone.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of thing went wrong. The zero value is Internal: what nobody classified is our mistake.
type Kind uint8

// The kinds, with the HTTP status that a page answers.
const (
	Internal    Kind = iota // 500: our mistake; the visitor sees a reference, the log everything
	Invalid                 // 422: the input cannot be accepted; the message says what was expected
	NotFound                // 404
	Denied                  // 403
	SignedOut               // 401: nobody is signed in
	Conflict                // 409: the state of things does not allow it
	TooLarge                // 413
	TooMany                 // 429
	Unavailable             // 503: may work later
	Timeout                 // 504: no answer in time
)

var names = [...]string{"internal", "invalid", "not_found", "denied", "signed_out", "conflict", "too_large", "too_many", "unavailable", "timeout"}

// String is the kind's name on the wire and in the log, such as "not_found".
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[Internal]
}

// ParseKind reads what String wrote; an unknown name is Internal.
func ParseKind(name string) Kind {
	for i, n := range names {
		if n == name {
			return Kind(i)
		}
	}
	return Internal
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int {
	statuses := [...]int{500, 422, 404, 403, 401, 409, 413, 429, 503, 504}
	if int(k) < len(statuses) {
		return statuses[k]
	}
	return 500
}

// Error is an error with a kind and a message that a visitor may read.
type Error struct {
	Kind    Kind
	Message string            // one sentence, without internals
	Fields  map[string]string // for Invalid: form field name to what is wrong with it; may be nil
	Cause   error             // for the log; may be nil
}

// Error gives the message and the cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a fault of a kind without a cause; the format is fmt.Sprintf's. To keep a cause, use Wrap.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives cause a kind and a message for the visitor.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// InvalidFields is an Invalid fault about single form fields.
func InvalidFields(message string, fields map[string]string) *Error {
	return &Error{Kind: Invalid, Message: message, Fields: fields}
}

// KindOf is the kind of the first fault in err's chain; Internal when there is none.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}

// Is tells whether err carries the kind. It is false for nil.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Visible is what a visitor may read of err, and whether there is anything: a fault that is not Internal.
func Visible(err error) (message string, ok bool) {
	var f *Error
	if errors.As(err, &f) && f.Kind != Internal {
		return f.Message, true
	}
	return "", false
}

// FieldsOf gives the field messages of err, or nil.
func FieldsOf(err error) map[string]string {
	var f *Error
	if errors.As(err, &f) {
		return f.Fields
	}
	return nil
}
