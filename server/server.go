package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

// Server serves one kernel over HTTP. It is an http.Handler; [Server.Serve] also runs an http.Server for it.
type Server struct {
	k       *agentkernel.Kernel
	cfg     Config
	mux     *http.ServeMux
	api     huma.API
	handler http.Handler
	spec    []byte       // the OpenAPI description
	streams atomic.Int64 // that are open

	chatSchema *huma.Schema // of a chat request's body

	leaving context.Context // ends when the server is told to leave
	leave   context.CancelFunc
}

// New makes the handler of a kernel. It starts nothing.
func New(k *agentkernel.Kernel, cfg Config) *Server {
	s := &Server{k: k, cfg: cfg.complete(), mux: http.NewServeMux()}
	s.leaving, s.leave = context.WithCancel(context.Background())
	s.api = humago.New(s.mux, s.describe())
	s.api.UseMiddleware(s.strict)
	s.routes()
	s.spec = s.document()
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(s.spec)
	})
	if s.cfg.Metrics != nil {
		s.mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	s.handler = s.observe(s.barrier(s.limits(s.ownSite(http.HandlerFunc(s.route)))))
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// OpenAPI is the OpenAPI 3.1 description of what is served, as JSON.
func (s *Server) OpenAPI() []byte { return s.spec }

// Leave ends what would keep a connection open: requests that wait for a turn are answered 202 with its Location, and
// streams are told to reconnect. Nothing is lost by it; clients go on at another replica.
func (s *Server) Leave() { s.leave() }

// Serve answers connections of ln until ctx ends; then it leaves, lets open requests finish for ShutdownTimeout, and
// returns nil. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: s.cfg.HeaderTimeout, IdleTimeout: s.cfg.IdleTimeout,
		MaxHeaderBytes: 2 * s.cfg.MaxHeader, // the handler refuses at half of it, with a problem
		ErrorLog:       slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		// No WriteTimeout: it would end streams. Each piece of a stream has its own.
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.Leave()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		s.cfg.Logger.Warn("open requests did not finish in time and were cut", "error", err)
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// route hands a request to its handler, and answers with a problem where there is none.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	handler, pattern := s.mux.Handler(r)
	if pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
		_, route, _ := strings.Cut(pattern, " ")
		traceOf(r.Context()).route = route
		w.Header().Set("X-Content-Type-Options", "nosniff")
		s.admit(w, r, pattern)
		return
	}
	none := newProblem(fault.NotFound, http.StatusNotFound, "there is no route %.200s", r.URL.Path)
	if pattern == "" {
		probe := probeWriter{header: http.Header{}}
		handler.ServeHTTP(&probe, r)
		if allow := probe.header.Get("Allow"); probe.status == http.StatusMethodNotAllowed && allow != "" {
			w.Header().Set("Allow", allow)
			none = newProblem(fault.Unsupported, http.StatusMethodNotAllowed, "%.40s is not served at %.200s, only %s", r.Method, r.URL.Path, allow)
		}
	}
	none.Try = "GET /openapi.json lists the routes"
	s.refuse(w, r, none)
}

// probeWriter finds out what the mux would answer to a request that no route takes.
type probeWriter struct {
	header http.Header
	status int
}

func (p *probeWriter) Header() http.Header         { return p.header }
func (p *probeWriter) Write(b []byte) (int, error) { return len(b), nil }
func (p *probeWriter) WriteHeader(status int)      { p.status = status }

// document writes the OpenAPI description.
func (s *Server) document() []byte {
	b, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		panic(err) // it is made of this package's own types
	}
	return append(b, '\n')
}
