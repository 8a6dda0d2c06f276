package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestHealthHasExactlyTheDocumentedFields(t *testing.T) {
	x := newSite(t)
	fields := func(path string) (map[string]any, []string) {
		m := as[map[string]any](t, x.do("GET", path, ""), 200)
		var names []string
		for name := range m {
			names = append(names, name)
		}
		slices.Sort(names)
		return m, names
	}
	for _, path := range []string{"/health", "/health?verbose=false", "/health?probe=7"} {
		m, names := fields(path)
		if !slices.Equal(names, []string{"memory_backend", "runtime", "status", "timestamp"}) {
			t.Errorf("%s: %v", path, names)
		}
		at, err := time.Parse(time.RFC3339, m["timestamp"].(string))
		if err != nil || time.Since(at).Abs() > time.Minute || !strings.HasSuffix(m["timestamp"].(string), "Z") {
			t.Errorf("timestamp %v, %v", m["timestamp"], err)
		}
		if m["status"] != "healthy" || m["runtime"] != "operational" || m["memory_backend"] != "connected" {
			t.Errorf("%v", m)
		}
	}
	m, names := fields("/health?verbose")
	if !slices.Equal(names, []string{"lease_ok", "memory_backend", "replica", "running_turns", "runtime", "status", "store", "timestamp"}) || m["replica"] != x.k.ID() {
		t.Errorf("%v", m)
	}
}

// downStore is a store that cannot be reached.
type downStore struct{ session.Store }

var errDown = errors.New("connection refused")

func (downStore) Beat(context.Context, session.Replica) error         { return errDown }
func (downStore) Replicas(context.Context) ([]session.Replica, error) { return nil, errDown }
func (downStore) Due(context.Context, string, session.Millis, int) ([]session.Head, error) {
	return nil, errDown
}

func TestAStoreThatIsDownIsDegradedNotUnhealthy(t *testing.T) {
	x := newSite(t)
	k, err := agentkernel.Open(t.Context(), downStore{x.store}, agentkernel.Config{Agents: x.agents()[3:4]})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	x.s.k = k
	h := as[HealthReply](t, x.do("GET", "/health?verbose=1", ""), 200)
	if h.Status != "degraded" || h.MemoryBackend != "disconnected" || h.StoreErr != "connection refused" {
		t.Errorf("%+v", h)
	}
	if p := as[Probe](t, x.do("GET", "/readyz", ""), 200); !p.OK {
		t.Errorf("%+v", p)
	}
}

// mute is a store that does not say what became of an append.
type mute struct {
	session.Store
	silent chan struct{} // closed while it says nothing
}

func (m mute) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	select {
	case <-m.silent:
		<-ctx.Done()
		return ctx.Err()
	default:
		return m.Store.Append(ctx, key, at, rec, next)
	}
}

func TestAWriteWithoutAnAnswerIsUnknownNotFailed(t *testing.T) {
	x := newSite(t)
	silent := make(chan struct{})
	k, err := agentkernel.Open(t.Context(), mute{x.store, silent}, agentkernel.Config{Agents: x.agents()[3:4], StoreTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	h, err := k.Start(t.Context(), agentkernel.Request{Session: "s", Prompt: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	turn := h.ID()
	until(t, x.holding, "the turn to run")
	close(silent)
	server := httptest.NewServer(New(k, Config{AcceptTimeout: 10 * time.Millisecond}))
	defer server.Close()
	x.url = server.URL
	for _, r := range []reply{
		x.chat(`{"prompt":"hello","session_id":"s"}`, "Idempotency-Key", "k"),
		x.do("POST", "/api/v1/turns/"+turn+"/cancel", ""),
		x.do("DELETE", "/api/v1/sessions/s", ""),
	} {
		p := as[Problem](t, r, r.StatusCode)
		if p.Code != fault.OutcomeUnknown && p.Code != fault.Unavailable || p.SessionID != "s" || !p.Retryable || r.StatusCode != p.Code.Trait().Status {
			t.Errorf("%s", r.body)
		}
	}
}

func TestRequestsAreNamedAndLoggedWithoutTheirContent(t *testing.T) {
	x := newSite(t)
	const canary = "CANARY-7d1f"
	r := x.chat(`{"prompt":"my secret is `+canary+`"}`, "X-Request-Id", "req-1", "Authorization", "Bearer "+canary, "Idempotency-Key", canary)
	turn := as[ChatReply](t, r, 200)
	if r.Header.Get("X-Request-Id") != "req-1" {
		t.Errorf("%v", r.Header)
	}
	x.do("GET", "/api/v1/turns?state=x&"+canary+"="+canary, "", "X-Request-Id", "not sane: "+canary)
	x.do("GET", "/livez", "", "X-Request-Id", strings.Repeat("x", 129))
	log := x.log.String()
	if strings.Contains(log, canary) {
		t.Errorf("%s", log)
	}
	var found int
	for line := range strings.Lines(log) {
		var e struct {
			Level, Msg, Method, Route, Session, Turn string
			Status                                   int
			ID                                       string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Msg != "served" {
			continue
		}
		switch e.Route {
		case "/api/v1/chat":
			found++
			if e.ID != "req-1" || e.Turn != turn.Turn || e.Session != turn.Session || e.Status != 200 || e.Method != "POST" || e.Level != "INFO" {
				t.Errorf("%s", line)
			}
		case "/api/v1/turns":
			found++
			if e.Status != 400 || !strings.HasPrefix(e.ID, "q_") {
				t.Errorf("%s", line)
			}
		case "/livez":
			found++
			if e.Level != "DEBUG" || !strings.HasPrefix(e.ID, "q_") {
				t.Errorf("%s", line)
			}
		}
	}
	if found != 3 {
		t.Errorf("%d lines in\n%s", found, log)
	}
}

func TestAPanicEndsOnlyItsRequest(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("late") {
				_, _ = io.WriteString(w, "half an answer")
				_ = http.NewResponseController(w).Flush()
			}
			panic("CANARY in the cause")
		})
	})
	r := x.do("GET", "/metrics", "")
	p := problem(t, r, 500, fault.Internal)
	log := x.log.String()
	if strings.Contains(string(r.body)+log, "CANARY") || !strings.Contains(log, p.RequestID) || !strings.Contains(log, `"panic":"string"`) || !strings.Contains(log, "middleware.go") {
		t.Errorf("%s\n%s", r.body, log)
	}
	res, err := http.Get(x.url + "/metrics?late")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer came as a whole one: %s", b)
	}
	as[AgentList](t, x.do("GET", "/api/v1/agents", ""), 200)
}

// counted keeps what an observer is told.
type counted struct {
	served  chan string
	streams chan int
}

func (c counted) HTTPServed(route, method string, status int, took time.Duration) {
	if took <= 0 || took > time.Minute {
		c.served <- took.String()
	}
	c.served <- method + " " + route + " " + http.StatusText(status)
}

func (c counted) HTTPStreaming(change int) { c.streams <- change }

func TestTheObserverIsToldPatternsNotPaths(t *testing.T) {
	c := counted{make(chan string, 64), make(chan int, 64)}
	x := newSite(t, func(_ *agentkernel.Config, sc *Config) { sc.Observer = c })
	for _, r := range []struct{ method, path, want string }{
		{"POST", "/api/v1/chat", "POST /api/v1/chat Unsupported Media Type"},
		{"GET", "/api/v1/agents", "GET /api/v1/agents OK"},
		{"GET", "/api/v1/sessions/s", "GET /api/v1/sessions/{id} Not Found"},
		{"GET", "/api/v1/sessions/" + strings.Repeat("y", 200), "GET /api/v1/sessions/{id} Bad Request"},
		{"GET", "/made/up", "GET other Not Found"},
		{"PUT", "/api/v1/chat", "PUT other Method Not Allowed"},
	} {
		x.do(r.method, r.path, "")
		if got := until(t, c.served, r.want); got != r.want {
			t.Errorf("%q, not %q", got, r.want)
		}
	}
	x.open("POST", "/api/v1/chat", `{"prompt":"hello"}`).rest()
	if open, shut := until(t, c.streams, "a stream"), until(t, c.streams, "its end"); open != 1 || shut != -1 {
		t.Errorf("%d %d", open, shut)
	}
}

func TestServeEndsWithItsContextAndAnswersWhatIsOpen(t *testing.T) {
	x := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.url = "http://" + ln.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.s.Serve(ctx, ln) }()
	waiter := make(chan reply, 1)
	go func() { waiter <- x.chat(`{"prompt":"hello","agent":"held"}`) }()
	until(t, x.holding, "the turn to run")
	stream := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held"}`)
	until(t, x.holding, "the turn to run")
	stop()
	p := as[Pending](t, until(t, waiter, "the answer"), 202)
	stream.rest()
	if err := until(t, ended, "the server to end"); err != nil {
		t.Error(err)
	}
	x.hold <- struct{}{}
	x.hold <- struct{}{}
	x.settled(p.Turn)
	x.settled(stream.res.Header.Get("AK-Turn-Id"))
}

func TestServeSaysWhenItCannot(t *testing.T) {
	x := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := x.s.Serve(t.Context(), ln); err == nil {
		t.Error("it served a closed listener")
	}
}

func TestAnUnknownErrorIsNotShown(t *testing.T) {
	x := newSite(t)
	ctx := context.WithValue(t.Context(), traceKey{}, &trace{id: "q_1", session: "s"})
	p := x.s.problemOf(ctx, errors.New("CANARY"))
	if p.Status != 500 || p.Code != fault.Internal || strings.Contains(p.Detail, "CANARY") || p.RequestID != "q_1" || p.SessionID != "s" {
		t.Errorf("%+v", p)
	}
	if !strings.Contains(x.log.String(), "CANARY") {
		t.Error("it is not in the log either")
	}
	for _, c := range []struct {
		err    error
		status int
	}{{context.Canceled, fault.StatusCancelled}, {context.DeadlineExceeded, 504}, {p, 500}, {fault.New(fault.OutcomeUnknown, "journal.append", "no answer"), 504}} {
		got := x.s.problemOf(ctx, c.err)
		if got.Status != c.status || strings.Contains(got.Detail, "journal.append") || got.Detail == "" {
			t.Errorf("%v: %+v", c.err, got)
		}
	}
}

func TestEveryKindOfFailureHasAProblem(t *testing.T) {
	x := newSite(t)
	for _, kind := range fault.Kinds() {
		if kind == fault.Waiting {
			continue // it is an answer, not a problem
		}
		p := x.s.problemOf(t.Context(), fault.New(kind, "op", "it happened").WithTry("wait").WithAfter(10*time.Millisecond))
		if p.Status < 400 || p.Status != kind.Trait().Status || p.Code != kind || p.Title == "" || p.Try != "wait" || p.RetryAfterMS != 10 || p.GetHeaders().Get("Retry-After") != "1" {
			t.Errorf("%s: %+v", kind, p)
		}
	}
}
