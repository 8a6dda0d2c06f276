package modeltest

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// ServerConfig of a Server. The zero value answers every request from the built-in reply script, without faults.
type ServerConfig struct {
	Script Script
	Models []string // the models it has; empty: it has every model that is asked for
	Keep   int      // how many requests it remembers, the latest; 0: 256
}

// Server is a fake of a provider's server. It is safe for concurrent use.
type Server struct {
	mux    *http.ServeMux
	models []string
	keep   int
	closed chan struct{}
	once   sync.Once

	// stalled, if set before the first request, is called whenever a request begins to wait.
	stalled func()

	mu     sync.Mutex
	player *scripted.Player
	steps  []Step
	used   []int // how often each step matched
	count  int
	active int
	seen   []Recorded
}

// Recorded is a request as it came in.
type Recorded struct {
	Call    int            // its number, counted from 1
	Format  Format         // the format that it spoke
	Header  http.Header    // as sent, the credential included
	Body    []byte         // as sent, at most 64 KiB of it
	Text    string         // the last user message
	Request *model.Request // what the request says; nil if it was refused as no valid request
	Stream  bool           // it asked for a stream
	Step    int            // the index of the step that acted on it; -1: none
}

const (
	maxBody     = 32 << 20
	maxRecorded = 64 << 10
)

// NewServer checks cfg; the error is of kind fault.Config.
func NewServer(cfg ServerConfig) (*Server, error) {
	s := &Server{mux: http.NewServeMux(), models: cfg.Models, keep: cfg.Keep, closed: make(chan struct{})}
	if s.keep <= 0 {
		s.keep = 256
	}
	if err := s.SetScript(cfg.Script); err != nil {
		return nil, err
	}
	for _, f := range wires {
		for _, pattern := range f.routes() {
			s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(f, w, r) })
		}
	}
	s.mux.HandleFunc("GET /v1/models", s.listModels)
	s.mux.HandleFunc("GET /v1/models/{model...}", s.getModel)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(openaiWire{}, w, http.StatusNotFound, &WireError{
			Type: "invalid_request_error", Code: "unknown_url", Message: "unknown request URL: " + r.Method + " " + r.URL.Path,
		})
	})
	return s, nil
}

// SetScript replaces the script from the next request on. Requests keep their numbers, the Times of steps start anew.
func (s *Server) SetScript(script Script) error {
	if err := script.Validate(); err != nil {
		return err
	}
	player := scripted.DefaultPlayer()
	if script.Replies != nil {
		var err error
		if player, err = scripted.NewPlayer(*script.Replies); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.player, s.steps, s.used = player, slices.Clone(script.Steps), make([]int, len(script.Steps))
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends every wait. Requests that are waiting lose their connection; later ones are answered without waits.
func (s *Server) Close() { s.once.Do(func() { close(s.closed) }) }

// Count is how many completions were asked for since the server began.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Active is how many completions are being answered now.
func (s *Server) Active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// Requests are the latest completions that were asked for, oldest first, at most ServerConfig.Keep.
func (s *Server) Requests() []Recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// answer serves a request for an answer, in any format.
func (s *Server) answer(f wire, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.count++
	s.active++
	call := s.count
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.active--
		s.mu.Unlock()
	}()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		_, e := f.invalid(err.Error())
		writeError(f, w, http.StatusRequestEntityTooLarge, e)
		return
	}
	rec := Recorded{
		Call: call, Format: f.format(), Header: r.Header.Clone(), Body: body[:min(len(body), maxRecorded)], Step: -1,
	}
	in, bad := f.parse(r, body)
	name := ""
	if bad == nil {
		rec.Request, rec.Text, rec.Stream, name = in.req, lastText(in.req), in.stream, in.req.Model
	}
	step, player := s.record(rec, name)
	out := &responder{ctx: r.Context(), server: s, wire: f, w: w, step: step}
	switch {
	case out.refuse():
	case bad != nil:
		status, e := f.invalid(bad.Error())
		writeError(f, w, status, e)
	case len(s.models) > 0 && !slices.Contains(s.models, name):
		status, e := f.noModel(name)
		writeError(f, w, status, e)
	default:
		answer := newReply(call, player.Answer(in.req), step)
		if in.stream {
			out.stream(f.frames(in, answer))
		} else {
			out.whole(f.whole(answer))
		}
	}
}

// record remembers rec and finds the step that acts on it.
func (s *Server) record(rec Recorded, name string) (*Step, *scripted.Player) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := &Step{}
	for i := range s.steps {
		if c := &s.steps[i]; c.matches(rec.Call, name, rec.Text) && (c.Times == 0 || s.used[i] < c.Times) {
			s.used[i]++
			rec.Step, step = i, c
			break
		}
	}
	if len(s.seen) == s.keep {
		s.seen = slices.Delete(s.seen, 0, 1)
	}
	s.seen = append(s.seen, rec)
	return step, s.player
}

func lastText(req *model.Request) string {
	for _, m := range slices.Backward(req.Messages) {
		if m.Role == model.User {
			return m.Text()
		}
	}
	return ""
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	names := s.models
	if len(names) == 0 {
		names = []string{"scripted"}
	}
	list := make([]any, 0, len(names))
	for _, name := range names {
		list = append(list, modelObject(name))
	}
	writeJSON(w, http.StatusOK, encode(map[string]any{"object": "list", "data": list}))
}

func (s *Server) getModel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("model")
	if len(s.models) > 0 && !slices.Contains(s.models, name) {
		status, e := openaiWire{}.noModel(name)
		writeError(openaiWire{}, w, status, e)
		return
	}
	writeJSON(w, http.StatusOK, encode(modelObject(name)))
}

func modelObject(name string) map[string]any {
	return map[string]any{"id": name, "object": "model", "created": created, "owned_by": "modeltest"}
}

func writeError(f wire, w http.ResponseWriter, status int, e *WireError) {
	writeJSON(w, status, f.refusal(w.Header(), status, e))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone away needs no answer
}

// wait lasts d, or without end if d is negative, and reports whether the request is still wanted.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	var timer <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	if s.stalled != nil {
		s.stalled()
	}
	select {
	case <-timer:
		return true
	case <-ctx.Done():
		return false
	case <-s.closed:
		return false
	}
}

// reset ends a connection so that the client's kernel sees a reset, not an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // not a connection of its own, as in HTTP/2; the server ends the stream with an error
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
