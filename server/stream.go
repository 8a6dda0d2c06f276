package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/agentkernel/agentkernel"
)

// reconnectMS is how long a client waits before it connects again, in milliseconds.
const reconnectMS = 1000

// stream answers with events. gone is called if the stream ends because of the client: it left, or takes nothing any
// more.
func (s *Server) stream(events func(context.Context) iter.Seq2[agentkernel.Event, error], gone func()) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return
		}
		s.cfg.Observer.HTTPStreaming(1)
		defer s.cfg.Observer.HTTPStreaming(-1)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		out := &eventWriter{w: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout, cancel: cancel}
		defer func() {
			if r.Context().Err() != nil || out.broken {
				gone()
			}
		}()
		defer context.AfterFunc(s.leaving, cancel)()
		out.write("retry: %d\n\n", reconnectMS)
		defer out.pings(ctx, s.cfg.PingInterval)()
		for e, err := range events(ctx) {
			if err != nil {
				s.endStream(r.Context(), out, err)
				return
			}
			if !out.write("id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, e.Data) {
				return
			}
		}
	}}
}

// endStream says why a stream cannot go on, unless there is nobody to tell.
func (s *Server) endStream(ctx context.Context, out *eventWriter, err error) {
	switch {
	case ctx.Err() != nil: // the client left
	case s.leaving.Err() != nil:
		out.write(": this replica is leaving, go on at another one with the last id\n\n")
	default:
		p := s.problemOf(ctx, err)
		if b, err := json.Marshal(p); err == nil {
			out.write("event: problem\ndata: %s\n\n", b)
		}
	}
}

// eventWriter writes pieces of a stream, each within a time-out. After the first failure it ends the stream.
type eventWriter struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	cancel  context.CancelFunc
	broken  bool
	since   time.Time // of the last piece
}

// write sends one piece; false when the client does not take it.
func (o *eventWriter) write(format string, args ...any) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return false
	}
	o.since = time.Now()
	_ = o.rc.SetWriteDeadline(o.since.Add(o.timeout)) // a writer without deadlines or flushes is a buffer
	_, err := fmt.Fprintf(o.w, format, args...)
	if err == nil {
		err = o.rc.Flush()
	}
	if err != nil && !isUnsupported(err) {
		o.broken = true
		o.cancel()
	}
	return !o.broken
}

// pings writes a comment whenever nothing was written for interval. The returned function ends that and waits for it.
func (o *eventWriter) pings(ctx context.Context, interval time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTimer(interval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			o.mu.Lock()
			left := interval - time.Since(o.since)
			o.mu.Unlock()
			if left <= 0 {
				o.write(": ping\n\n")
				left = interval
			}
			t.Reset(left)
		}
	}()
	return func() { cancel(); <-done }
}
