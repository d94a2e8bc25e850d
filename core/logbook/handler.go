package logbook

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"mortise/core/sdk"
)

// hostSource is the source of the host's own lines.
const hostSource = "host"

type requestKey struct{}

// WithRequestID has lines that are logged with the context carry the request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID gives the id of WithRequestID or of sdk.WithRequest; "" when there is none.
func RequestID(ctx context.Context) string {
	if id, ok := ctx.Value(requestKey{}).(string); ok {
		return id
	}
	return sdk.RequestFrom(ctx).ID
}

// Line is one line on its way into the log.
type Line struct {
	Time      time.Time
	Source    string // "host" or a module's id
	Severity  slog.Level
	Message   string
	Attrs     map[string]any
	RequestID string
}

// handler is a slog.Handler for one source. It never changes.
type handler struct {
	book   *Book
	source string
	groups []string
	bound  []boundAttr
}

type boundAttr struct {
	groups []string
	attr   slog.Attr
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.book.level.Level()
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.bound = slices.Clip(h.bound)
	for _, a := range attrs {
		next.bound = append(next.bound, boundAttr{h.groups, a})
	}
	return &next
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.groups = append(slices.Clip(h.groups), name)
	return &next
}

// Handle never fails and never waits for the store.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	attrs := make(map[string]any, r.NumAttrs()+len(h.bound))
	for _, b := range h.bound {
		put(attrs, b.groups, b.attr)
	}
	r.Attrs(func(a slog.Attr) bool {
		put(attrs, h.groups, a)
		return true
	})
	line := Line{Time: r.Time, Source: h.source, Severity: r.Level, Message: r.Message, Attrs: attrs, RequestID: RequestID(ctx)}
	h.book.take(line)
	return nil
}

// Logger logs as the host.
func (b *Book) Logger() *slog.Logger { return slog.New(&handler{book: b, source: hostSource}) }

// Module logs as a module.
func (b *Book) Module(id string) *slog.Logger { return slog.New(&handler{book: b, source: id}) }

// Write logs a line that a module's process wrote. Unlike lines of the host its attributes are not to be trusted; they are cleaned
// here as well.
func (b *Book) Write(line Line) {
	if line.Severity < b.level.Level() {
		return
	}
	attrs := make(map[string]any, len(line.Attrs))
	for key, value := range line.Attrs {
		put(attrs, nil, slog.Any(key, value))
	}
	line.Attrs = attrs
	b.take(line)
}
