package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// lineSink hands the lines of one process on: rate limited, one after the other, whichever stream they came from.
type lineSink struct {
	mu      sync.Mutex
	log     func(Line)
	now     func() time.Time
	tokens  float64
	filled  time.Time
	dropped int
	panicUp bool // a Go panic began on stderr: everything that is not JSON belongs to it
}

func newLineSink(log func(Line), now func() time.Time) *lineSink {
	if log == nil {
		log = func(Line) {}
	}
	return &lineSink{log: log, now: now, tokens: lineBurst, filled: now()}
}

// take handles one line. text is only valid during the call.
func (s *lineSink) take(stream string, text []byte, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.tokens = min(lineBurst, s.tokens+now.Sub(s.filled).Seconds()*linesASecond)
	s.filled = now
	starts := stream == "stderr" && (bytes.HasPrefix(text, []byte("panic: ")) || bytes.HasPrefix(text, []byte("fatal error: ")))
	urgent := starts || s.panicUp && stream == "stderr"
	// The words of a panic are the most wanted lines of all: they have a budget of their own, down to -lineBurst.
	if s.tokens < 1 && (!urgent || s.tokens < 1-lineBurst) {
		s.dropped++
		return
	}
	s.tokens--
	s.report(now)
	line := parseLine(text, now)
	line.Stream, line.Cut = stream, cut
	if starts {
		s.panicUp = true
	}
	if line.Raw && urgent {
		line.Level = slog.LevelError
	}
	s.log(line)
}

// flush reports what was dropped since the last line.
func (s *lineSink) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(s.now())
}

func (s *lineSink) report(now time.Time) {
	if s.dropped == 0 {
		return
	}
	s.log(Line{
		Time: now, Level: slog.LevelWarn, Stream: "stderr", Dropped: s.dropped,
		Message: fmt.Sprintf("%d lines were left out: the module writes more than %d lines a second", s.dropped, linesASecond),
	})
	s.dropped = 0
}

// copyLines reads r to its end in bounded memory: of a line longer than maxLine the rest is read and thrown away.
func copyLines(r io.Reader, stream string, sink *lineSink) {
	eachLine(r, func(text []byte, cut bool) { sink.take(stream, text, cut) })
	sink.flush()
}

func eachLine(r io.Reader, f func(text []byte, cut bool)) {
	buf := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := buf.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if len(bytes.TrimSpace(text)) > 0 {
			f(text, cut)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = buf.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// The line by which go-plugin's server says where it listens: core protocol, protocol, network, address, "grpc", certificate.
var handshakeLine = regexp.MustCompile(`^1\|([0-9]{1,4})\|unix\|[^|]{1,108}\|grpc\|[A-Za-z0-9+/=]*(?:\|[a-z]{1,8})?\s*$`)

// copyStdout reads a module's stdout to its end. The first line that is a handshake goes to go-plugin; everything else is what
// somebody printed, before or after, and goes to the log. go-plugin itself would stop at the first line it does not know. note
// is told the protocol version that the program chose.
func copyStdout(r io.Reader, handshake io.WriteCloser, sink *lineSink, note func(version int)) {
	done := false
	eachLine(r, func(text []byte, cut bool) {
		match := handshakeLine.FindSubmatch(text)
		if !done && !cut && match != nil {
			done = true
			if version, err := strconv.Atoi(string(match[1])); err == nil {
				note(version)
			}
			_, _ = handshake.Write(append(bytes.TrimSpace(text), '\n')) // fails when go-plugin gave up, which it reports itself
			return
		}
		sink.take("stdout", text, cut)
	})
	_ = handshake.Close()
	sink.flush()
}
