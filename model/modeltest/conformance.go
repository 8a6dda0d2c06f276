package modeltest

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// Harness is what Run needs to know about a provider.
type Harness struct {
	// New makes a provider that talks to the server at baseURL, which serves only for one case. It is what the
	// format's clients usually have as a base: for OpenAI it ends in /v1, for the others it is the server's address
	// without a path. If the provider is an io.Closer it is closed at the end of its case. Required.
	New func(baseURL string) (model.Provider, error)

	// Format is what the provider speaks; empty: OpenAI.
	Format Format

	// Secret is the credential that New gives to the provider. The server repeats it in its errors, as real ones do,
	// and no error's text may contain it. Required, at least 8 bytes.
	Secret string
}

// Run holds a provider against the contract of package model. Every violation is an error of the test; a suite that
// checked nothing fails.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil || len(h.Secret) < 8 {
		t.Fatal("modeltest: the harness needs New and a Secret of at least 8 bytes")
	}
	wire, err := wireOf(h.Format)
	if err != nil {
		t.Fatalf("modeltest: %v", err)
	}
	var checked atomic.Int64
	for _, c := range allCases(wire) {
		t.Run(c.name, func(t *testing.T) {
			p := &probe{h: h, wire: wire, report: t.Errorf}
			p.run(c)
			checked.Add(p.checked.Load())
			if p.checked.Load() == 0 {
				t.Error("the case checked nothing")
			}
		})
	}
	// With a filter on the command line some cases are skipped, but then they are not all of them.
	if checked.Load() == 0 && !t.Failed() {
		t.Error("modeltest: nothing was checked")
	}
}

// testCase is one situation. Unless check is set, the provider is called once and the outcome compared with want.
type testCase struct {
	name    string
	replies *scripted.Script
	step    Step           // acts on every request of the case
	req     *model.Request // nil: a plain question
	kind    fault.Kind     // the wanted kind of failure; empty: an answer
	after   [2]time.Duration
	verify  func(p *probe, o *outcome)
	check   func(p *probe)
}

// probe runs one case.
type probe struct {
	h       Harness
	wire    wire
	report  func(format string, args ...any)
	checked atomic.Int64

	ctx      context.Context // ends when the suite has lost its patience
	server   *Server
	provider model.Provider
	stalled  chan struct{} // receives when the server begins to wait
}

// patience is how long anything that shall be prompt is waited for before that is a violation.
const patience = 5 * time.Second

// expect is one check; a failing one is reported and the case goes on.
func (p *probe) expect(ok bool, format string, args ...any) bool {
	p.checked.Add(1)
	if !ok {
		p.report(format, args...)
	}
	return ok
}

func (p *probe) run(c *testCase) {
	defer watchGoroutines(p, c.name)()
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	server, err := NewServer(ServerConfig{Script: Script{Replies: c.replies, Steps: []Step{c.step}}})
	if err != nil && strings.Contains(err.Error(), "has no effect") {
		server, err = NewServer(ServerConfig{Script: Script{Replies: c.replies}})
	}
	if err != nil {
		p.report("the case itself is wrong: %v", err)
		return
	}
	p.server, p.stalled = server, make(chan struct{}, 1)
	server.stalled = func() {
		select {
		case p.stalled <- struct{}{}:
		default:
		}
	}
	web := httptest.NewServer(server)
	defer web.Close()
	defer server.Close()
	if p.provider, err = p.h.New(web.URL + p.wire.base()); err != nil {
		p.report("New failed: %v", err)
		return
	}
	if closer, ok := p.provider.(io.Closer); ok {
		defer func() { _ = closer.Close() }()
	}
	if c.check != nil {
		c.check(p)
		return
	}
	req := c.req
	if req == nil {
		req = question("What is it?")
	}
	o := p.generate(p.ctx, req)
	p.judge(c, o)
}

// judge compares an outcome with what its case wants.
func (p *probe) judge(c *testCase, o *outcome) {
	if o == nil {
		return
	}
	p.expect(p.server.Count() == 1, "the server got %d requests for one call of Generate", p.server.Count())
	if c.kind == "" {
		if !p.expect(o.err == nil, "Generate failed: %v", o.err) || o.answer == nil {
			return
		}
	} else {
		p.expectKind(o, c.kind)
		after := fault.After(o.err)
		p.expect(after >= c.after[0] && after <= c.after[1],
			"the hint in Error.After is %s, want it between %s and %s", after, c.after[0], c.after[1])
	}
	if c.verify != nil {
		c.verify(p, o)
	}
}

func (p *probe) expectKind(o *outcome, kind fault.Kind) {
	p.expect(o.err != nil, "Generate answered %q, want a failure of kind %s", o.text(), kind)
	if o.err != nil {
		p.expect(fault.KindOf(o.err) == kind, "the failure is of kind %s, want %s: %v", fault.KindOf(o.err), kind, o.err)
	}
}

// outcome is what a call of Generate led to.
type outcome struct {
	answer *model.Answer
	err    error
	pieces []string
}

func (o *outcome) text() string {
	if o.answer == nil {
		return ""
	}
	return o.answer.Message.Text()
}

// generate calls Generate and checks what holds for every call. It returns nil if the call did not end.
func (p *probe) generate(ctx context.Context, req *model.Request) *outcome {
	call := p.start(ctx, req)
	select {
	case <-call.done:
	case <-time.After(2 * patience):
		p.expect(false, "Generate did not return within %s", 2*patience)
		return nil
	}
	return p.finish(call)
}

// running is a call of Generate that may not have ended yet.
type running struct {
	done chan struct{}

	inside   atomic.Int64 // calls of emit at this moment
	mu       sync.Mutex
	out      outcome
	returned bool
	faults   []string
}

// start calls Generate in a goroutine of its own.
func (p *probe) start(ctx context.Context, req *model.Request) *running {
	r := &running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer func() {
			if v := recover(); v != nil {
				r.mu.Lock()
				r.faults = append(r.faults, fmt.Sprintf("Generate panicked: %v", v))
				r.mu.Unlock()
			}
		}()
		answer, err := p.provider.Generate(ctx, req, r.emit)
		r.mu.Lock()
		r.out.answer, r.out.err, r.returned = answer, err, true
		r.mu.Unlock()
	}()
	return r
}

func (r *running) emit(c model.Chunk) {
	defer r.inside.Add(-1)
	at := r.inside.Add(1)
	runtime.Gosched() // gives a second caller the chance to come in
	r.mu.Lock()
	defer r.mu.Unlock()
	if at > 1 {
		r.faults = append(r.faults, "emit was called by two goroutines at once")
	}
	if r.returned {
		r.faults = append(r.faults, fmt.Sprintf("emit was called with %q after Generate had returned", c.Text))
	}
	if c.Text == "" {
		r.faults = append(r.faults, "emit was called with an empty text")
	}
	r.out.pieces = append(r.out.pieces, c.Text)
}

// finish checks a call that has returned.
func (p *probe) finish(r *running) *outcome {
	r.mu.Lock()
	o := &outcome{answer: r.out.answer, err: r.out.err, pieces: append([]string(nil), r.out.pieces...)}
	faults := append([]string(nil), r.faults...)
	r.mu.Unlock()
	p.expect(len(faults) == 0, "%s", strings.Join(faults, "; "))
	p.expect((o.answer == nil) != (o.err == nil), "Generate returned the answer %v and the error %v, want exactly one",
		o.answer, o.err)
	if o.err != nil {
		p.checkError(o.err)
	}
	if o.answer != nil {
		p.checkAnswer(o)
	}
	return o
}

func (p *probe) checkError(err error) {
	_, ok := err.(*fault.Error)
	p.expect(ok, "the failure is a %T, want a *fault.Error", err)
	p.expect(err.Error() != "", "the failure has no text")
	for _, text := range errorTexts(err) {
		p.expect(!strings.Contains(text, p.h.Secret), "the failure's text contains the credential")
	}
}

// errorTexts are the texts of err and of all its causes.
func errorTexts(err error) []string {
	texts := []string{err.Error(), fmt.Sprintf("%+v", err), fault.Try(err)}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			texts = append(texts, errorTexts(cause)...)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			texts = append(texts, errorTexts(cause)...)
		}
	}
	return texts
}

func (p *probe) checkAnswer(o *outcome) {
	a := o.answer
	p.expect(a.Message.Role == model.Assistant, "the answer's role is %q", a.Message.Role)
	p.expect(strings.Join(o.pieces, "") == a.Message.Text(), "the emitted pieces are %q, the answer's text is %q",
		strings.Join(o.pieces, ""), a.Message.Text())
	p.expect(a.Message.Text() != "" || len(a.Message.Calls()) > 0, "the answer has neither text nor calls")
	p.expect(a.Model != "", "the answer does not name its model")
	calls := a.Message.Calls()
	p.expect(a.Finish == model.FinishStop || a.Finish == model.FinishCalls || a.Finish == model.FinishLength,
		"the answer's finish is %q", a.Finish)
	p.expect(len(calls) == 0 || a.Finish != model.FinishStop, "the answer has calls, but its finish is %q", a.Finish)
	p.expect(len(calls) > 0 || a.Finish != model.FinishCalls, "the answer has no calls, but its finish is %q", a.Finish)
	for _, c := range calls {
		p.expect(c.Name != "", "a call has no name")
		p.expect(isObject(string(c.Args)), "the arguments of a call are %q, want a JSON object", c.Args)
	}
}
