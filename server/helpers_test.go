package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is never waited out when the code is right.
const patience = 20 * time.Second

// site is a kernel with agents that do as they are told, served over a real connection.
type site struct {
	t     *testing.T
	k     *agentkernel.Kernel
	s     *Server
	url   string
	store session.Store
	log   *lockedBuffer

	hold    chan struct{} // an agent named "held" says a word, then waits for this
	holding chan struct{} // gets one element each time it begins to wait
	stopped chan error    // gets the cause with which a held agent was stopped
	model   *fakeModel
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// fakeModel streams the pieces that a test sends it, and ends when the channel is closed.
type fakeModel struct {
	pieces chan string
	fail   error
}

func (m *fakeModel) Generate(ctx context.Context, _ *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	var text strings.Builder
	for {
		select {
		case <-ctx.Done():
			return nil, fault.New(fault.Cancelled, "", "stopped")
		case p, more := <-m.pieces:
			if !more {
				if m.fail != nil {
					return nil, m.fail
				}
				return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Text: text.String()}}}, Finish: model.FinishStop}, nil
			}
			text.WriteString(p)
			emit(model.Chunk{Text: p})
		}
	}
}

// newSite serves a kernel. change may alter both configurations.
func newSite(t *testing.T, change ...func(*agentkernel.Config, *Config)) *site {
	t.Helper()
	x := &site{
		t: t, store: memory.New(), log: &lockedBuffer{}, hold: make(chan struct{}), holding: make(chan struct{}, 64),
		stopped: make(chan error, 64), model: &fakeModel{pieces: make(chan string)},
	}
	script, err := scripted.New(scripted.Config{})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	kc := agentkernel.Config{
		Agents: x.agents(), Models: map[string]model.Provider{"scripted": script, "fake": x.model},
		AcceptLoss: true, SweepInterval: 20 * time.Millisecond, Logger: logger,
	}
	sc := Config{Logger: logger}
	for _, f := range change {
		f(&kc, &sc)
	}
	if x.k, err = agentkernel.Open(t.Context(), x.store, kc); err != nil {
		t.Fatal(err)
	}
	x.s = New(x.k, sc)
	server := httptest.NewServer(x.s)
	x.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		x.s.Leave()
		server.Close()
		_ = x.k.Close()
		_ = x.store.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return x
}

func (x *site) agents() []*agentkernel.Agent {
	run := func(name string, f agentkernel.RunnerFunc) *agentkernel.Agent {
		return &agentkernel.Agent{Name: name, Runner: f}
	}
	small := run("small", x.wait)
	small.Limits.Queue = 1
	doubtful := &agentkernel.Tool{
		Name: "charge_card", Parameters: json.RawMessage(`{"type":"object","properties":{"order":{"type":"string"},"amount":{"type":"number"}}}`),
		Call: func(context.Context, agentkernel.ToolCall) (string, error) {
			return "", agentkernel.Unclear(fault.New(fault.Transient, "", "the line went dead"))
		},
	}
	return []*agentkernel.Agent{
		{Name: "scripted", Description: "answers from a script", Model: "scripted/one"},
		{Name: "streaming", Model: "fake/one"},
		{Name: "paying", Model: "scripted/one", Tools: []*agentkernel.Tool{doubtful}},
		run("held", x.wait), small,
		run("broken", func(context.Context, *agentkernel.Turn) (agentkernel.Reply, error) {
			return agentkernel.Reply{}, fault.New(fault.Throttled, "", "come back later").WithAfter(1500 * time.Millisecond)
		}),
		run("refusing", func(context.Context, *agentkernel.Turn) (agentkernel.Reply, error) {
			return agentkernel.Reply{}, fault.New(fault.Refused, "", "not that")
		}),
	}
}

func (x *site) wait(ctx context.Context, _ *agentkernel.Turn) (agentkernel.Reply, error) {
	x.holding <- struct{}{}
	select {
	case <-x.hold:
		return agentkernel.Reply{Text: "released"}, nil
	case <-ctx.Done():
		x.stopped <- context.Cause(ctx)
		return agentkernel.Reply{}, ctx.Err()
	}
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body []byte
}

func (x *site) request(ctx context.Context, method, path, body string, header ...string) *http.Request {
	x.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, x.url+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
			continue
		}
		req.Header.Add(header[i], header[i+1])
		if header[i] == "Content-Type" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	return req
}

// do makes a request and reads the answer.
func (x *site) do(method, path, body string, header ...string) reply {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	res, err := http.DefaultClient.Do(x.request(ctx, method, path, body, header...))
	if err != nil {
		x.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		x.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{res, b}
}

func (x *site) chat(body string, header ...string) reply {
	x.t.Helper()
	return x.do("POST", "/api/v1/chat", body, header...)
}

// as decodes an answer after checking its status.
func as[T any](t *testing.T, r reply, status int) (v T) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: %d, not %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return v
}

// problem checks that an answer is a whole problem of that kind.
func problem(t *testing.T, r reply, status int, code fault.Kind) Problem {
	t.Helper()
	p := as[Problem](t, r, status)
	switch {
	case r.Header.Get("Content-Type") != "application/problem+json":
		t.Errorf("content type %q", r.Header.Get("Content-Type"))
	case p.Code != code, p.Status != status, p.Type != "urn:agentkernel:problem:"+string(code), p.Title == "":
		t.Errorf("not a problem of kind %s: %s", code, r.body)
	case p.Detail == "" || p.Text != p.Detail:
		t.Errorf("detail %q, error %q", p.Detail, p.Text)
	case p.Retryable != code.Trait().Retryable:
		t.Errorf("retryable is %v", p.Retryable)
	case p.RequestID == "" || p.RequestID != r.Header.Get("X-Request-Id"):
		t.Errorf("request id %q, header %q", p.RequestID, r.Header.Get("X-Request-Id"))
	}
	return p
}

// until receives, or fails the test.
func until[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain for " + what)
	}
	return v
}

// settled waits until a turn is settled.
func (x *site) settled(id string) *agentkernel.TurnInfo {
	x.t.Helper()
	h, err := x.k.Turn("", id)
	if err != nil {
		x.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	i, err := h.Settle(ctx)
	if err != nil {
		x.t.Fatal(err)
	}
	return i
}

// sse is an open stream.
type sse struct {
	t    *testing.T
	res  *http.Response
	r    *bufio.Reader
	stop context.CancelFunc
}

type sseEvent struct {
	id, event, data string
	comment         string
}

// open starts reading a stream.
func (x *site) open(method, path, body string, header ...string) *sse {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	x.t.Cleanup(cancel)
	res, err := http.DefaultClient.Do(x.request(ctx, method, path, body, append(header, "Accept", "text/event-stream")...))
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { res.Body.Close() })
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" || res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		x.t.Fatalf("%s %s: %d %s %s", method, path, res.StatusCode, got, b)
	}
	return &sse{t: x.t, res: res, r: bufio.NewReader(res.Body), stop: cancel}
}

// next is the next event or comment; false at the end.
func (s *sse) next() (e sseEvent, ok bool) {
	s.t.Helper()
	for {
		line, err := s.r.ReadString('\n')
		if err == io.EOF {
			return e, false
		}
		if err != nil {
			s.t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && e == (sseEvent{}):
		case line == "":
			return e, true
		case name == "":
			e.comment = value
		case name == "id":
			e.id = value
		case name == "event":
			e.event = value
		case name == "data":
			e.data += value
		case name == "retry":
		default:
			s.t.Fatalf("line %q", line)
		}
	}
}

// rest reads to the end.
func (s *sse) rest() (events []sseEvent) {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			return events
		}
		events = append(events, e)
	}
}
