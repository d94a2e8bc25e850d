package wire

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"

	"mortise/core/fault"
)

// maxLogged bounds one text inside a log line, so that a whole line stays below what the host reads.
const maxLogged = 6 << 10

// newLogHandler writes the JSON lines that the host's runner reads.
func newLogHandler(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch v := a.Value.Any().(type) {
			case string:
				if len(v) > maxLogged {
					a.Value = slog.StringValue(clean(v, maxLogged))
				}
			case error:
				a.Value = slog.StringValue(clean(v.Error(), maxLogged))
			}
			return a
		},
	})
}

// recoverPanics answers an error for a call whose handler panicked, logs the stack, and keeps the process alive.
func recoverPanics(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
		defer func() {
			if p := recover(); p != nil {
				log.Error("panic in a handler", "method", info.FullMethod, "panic", clean(sprint(p), 1<<10), "stack", string(debug.Stack()))
				err = toStatus(fault.New(fault.Internal, "panic: %s", clean(sprint(p), 1<<10)))
			}
		}()
		return handler(ctx, request)
	}
}
