package particle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Source says which events a stream delivers. The zero value is every event of every device that the token's owner has.
type Source struct {
	Device string // id or name of one device; "" for all
	Prefix string // only events whose name begins with it, upper and lower case counting; "" for all
}

// Stream is an open event stream. Next and Close may be called from different goroutines; Next from one at a time.
type Stream struct {
	client  *Client
	body    io.ReadCloser
	decoder *Decoder
	cancel  context.CancelCauseFunc
	ctx     context.Context
	idle    *time.Timer
}

var (
	errSilent = errors.New("the stream was silent for too long")
	errClosed = errors.New("the stream was closed")
)

// OpenStream opens an event stream of the devices that the token's owner has claimed or, with InProduct, of the product's.
// It lives until ctx ends, Close is called, the cloud ends it, or it is silent for Timeouts.StreamIdle.
//
// The cloud allows 100 streams at once and 100 openings in five minutes from one address: share streams, see Hub.
//
// Error kinds: DeadToken, Denied, UnknownDevice, RateLimited, Upstream, NoAnswer, Unreachable, NotParticle.
//
// Source: GET /v1/devices/events[/{prefix}] and its relatives.
func (c *Client) OpenStream(ctx context.Context, token string, from Source) (*Stream, error) {
	const op = "open event stream"
	streamCtx, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(c.timeouts.StreamOpen, func() { cancel(errSilent) })
	fail := func(err error) (*Stream, error) {
		idle.Stop()
		cancel(err)
		return nil, err
	}
	r := call{op: op, method: http.MethodGet, url: c.streamPath(from), token: token}
	req, err := c.request(streamCtx, r)
	if err != nil {
		return fail(c.transportError(ctx, op, err, 0))
	}
	req.Header.Set("Accept", "text/event-stream")
	started := time.Now()
	res, err := c.streams.Do(req)
	if err != nil {
		if errors.Is(context.Cause(streamCtx), errSilent) {
			err = fmt.Errorf("%w: %w", errSilent, context.DeadlineExceeded)
		}
		return fail(c.transportError(ctx, op, err, time.Since(started)))
	}
	if res.StatusCode != http.StatusOK || strings.HasPrefix(mediaType(res.Header), "as text/html") || strings.HasSuffix(mediaType(res.Header), "/json") {
		defer res.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what could be read is enough to explain the refusal
		if failed := c.judge(r, res, body, time.Since(started)); failed != nil {
			return fail(ofDevice(failed))
		}
		return fail(unexpected(op, "answer is not an event stream"))
	}
	idle.Reset(c.timeouts.StreamIdle)
	s := &Stream{client: c, body: res.Body, cancel: cancel, ctx: streamCtx, idle: idle}
	s.decoder = NewDecoder(s)
	return s, nil
}

func (c *Client) streamPath(from Source) string {
	segments := []string{"v1"}
	if c.product != "" {
		segments = append(segments, "products", c.product)
	}
	switch {
	case from.Device != "":
		segments = append(segments, "devices", NormalID(from.Device))
	case c.product == "":
		segments = append(segments, "devices")
	}
	segments = append(segments, "events")
	if from.Prefix != "" {
		segments = append(segments, from.Prefix)
	}
	return c.path(segments...)
}

// Read lets the decoder read the stream, so that every byte, also of a comment, proves that it lives.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if n > 0 {
		s.idle.Reset(s.client.timeouts.StreamIdle)
	}
	return n, err
}

// Next waits for the next event. After an error the stream is closed: NoAnswer for a silent one, Unreachable for a broken or
// ended one, Cancelled when ctx ended or Close was called, or what the cloud said.
func (s *Stream) Next() (*Event, error) {
	const op = "read event stream"
	for {
		frame, err := s.decoder.Next()
		if err == nil {
			event, bad := readEvent(frame)
			var refused errorFrame
			if errors.As(bad, &refused) {
				a := readError(refused.body)
				e := newError(classify(http.StatusInternalServerError, a, 0, 0), op)
				e.Code, e.Description = a.code, clean(a.text, nil)
				s.Close()
				return nil, e
			}
			if event != nil {
				return event, nil
			}
			continue
		}
		kind, cause := Unreachable, err
		switch why := context.Cause(s.ctx); {
		case errors.Is(why, errSilent):
			kind, cause = NoAnswer, errSilent
		case why != nil:
			kind, cause = Cancelled, why
		}
		s.Close()
		e := newError(kind, op)
		e.Cause = cause
		return nil, e
	}
}

// Close ends the stream; a Next that waits returns. It may be called more than once.
func (s *Stream) Close() {
	s.idle.Stop()
	s.cancel(errClosed)
	_ = s.body.Close()
}
