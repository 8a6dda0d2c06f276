package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// trace is what is known about a request, for the log, the metrics and problems. Only the request's own goroutine
// touches it.
type trace struct {
	id      string // of the request
	route   string
	session string
	turn    string
	tenant  string
	subject string // who sent it
}

type traceKey struct{}

// traceOf is the request's trace; an empty one when ctx belongs to none.
func traceOf(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return &trace{}
}

// recorder remembers what was answered. Each piece has a time-out of its own, so that a client who takes nothing is
// disconnected, and one for the whole answer does not end streams.
type recorder struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	status  int
	bytes   int64
}

// hurry gives the next piece its time.
func (w *recorder) hurry() {
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout)) // a writer without deadlines is a buffer
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.hurry()
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.hurry()
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe is the outermost layer: it names the request, and tells log and metrics what became of it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		t := &trace{id: requestID(r), route: "other"}
		rec := &recorder{ResponseWriter: w, rc: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
		rec.hurry() // the last answer on this connection has left its own deadline
		w.Header().Set("X-Request-Id", t.id)
		defer func() {
			took := time.Since(began)
			status := rec.status
			if status == 0 {
				status = http.StatusOK
			}
			s.cfg.Observer.HTTPServed(t.route, r.Method, status, took)
			s.logAccess(r, t, status, rec.bytes, took)
		}()
		next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), traceKey{}, t)))
	})
}

// logAccess writes one line per request: who and what, never a body, a header or a query.
func (s *Server) logAccess(r *http.Request, t *trace, status int, bytes int64, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	case !strings.HasPrefix(t.route, "/api/") && t.route != "other":
		level = slog.LevelDebug // probes
	}
	attrs := []slog.Attr{
		slog.String("request_id", t.id), slog.String("method", r.Method), slog.String("route", t.route),
		slog.Int("status", status), slog.Int64("bytes", bytes), slog.Int64("took_ms", took.Milliseconds()),
		slog.String("remote", r.RemoteAddr),
	}
	if t.tenant != "" {
		attrs = append(attrs, slog.String("tenant", t.tenant))
	}
	if t.subject != "" {
		attrs = append(attrs, slog.String("subject", t.subject))
	}
	if t.session != "" {
		attrs = append(attrs, slog.String("session", t.session))
	}
	if t.turn != "" {
		attrs = append(attrs, slog.String("turn", t.turn))
	}
	s.cfg.Logger.LogAttrs(r.Context(), level, "served", attrs...)
}

// requestID is the client's own name for the request if it is one that can go into a log, else a new one.
func requestID(r *http.Request) string {
	const longest = 128
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= longest && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:@+=/") == "" {
		return id
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return "q_" + hex.EncodeToString(b[:])
}

// barrier keeps a panic from ending more than its request.
func (s *Server) barrier(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			t := traceOf(r.Context())
			s.cfg.Logger.ErrorContext(r.Context(), "a request panicked", "request_id", t.id, "route", t.route, "panic", panicText(v), "stack", string(debug.Stack()))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
			}
			p := newProblem(fault.Internal, http.StatusInternalServerError, "something went wrong here")
			p.Try = "look for the request_id in the server's log"
			s.refuse(w, r, p)
		}()
		next.ServeHTTP(w, r)
	})
}

// panicText is a panic's value for the log. The runtime's own words hold no values of ours; those of anybody else may hold
// a secret, so only their type is told.
func panicText(v any) string {
	if e, ok := v.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", v)
}

// limits refuses what is too large before it is read.
func (s *Server) limits(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, longest := len(r.RequestURI), s.bodyLimit(r.URL.Path)
		for name, values := range r.Header {
			for _, v := range values {
				size += len(name) + len(v) + len(": \r\n")
			}
		}
		switch {
		case size > s.cfg.MaxHeader:
			s.refuse(w, r, newProblem(fault.TooLarge, http.StatusRequestHeaderFieldsTooLarge, "the request's headers have %d bytes, %d are allowed", size, s.cfg.MaxHeader))
		case r.ContentLength > longest:
			s.refuse(w, r, newProblem(fault.TooLarge, http.StatusRequestEntityTooLarge, "the request's body has %d bytes, %d are allowed", r.ContentLength, longest))
		default:
			if hasBody(r) { // whoever reads the whole of it takes the deadline away
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout)) // no connection, no deadline
			}
			next.ServeHTTP(w, r)
			skipBody(w, r)
		}
	})
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// skipBody reads what a handler has left of a body, because it refused the request or its route takes none. net/http
// would do it, too, but a client who takes his time for that would have used up the time for the answer.
func skipBody(w http.ResponseWriter, r *http.Request) {
	const longest = 256 << 10 // with more net/http ends the connection
	if !hasBody(r) || r.ContentLength > longest || r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, longest) // what cannot be read ends the connection
	if rec, ok := w.(*recorder); ok {
		rec.hurry()
	}
}

// ownSite refuses what a browser sends on behalf of another site: a page must not be able to make a visitor's local
// kernel act.
func (s *Server) ownSite(next http.Handler) http.Handler {
	check := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check.Check(r); err != nil {
			s.refuse(w, r, newProblem(fault.BadRequest, http.StatusForbidden, "a browser sent this on behalf of another site"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request with a problem.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.RequestID = traceOf(r.Context()).id
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // if the client is gone there is nobody to tell
}
