package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// ledger is what the world outside has seen of the at-most-once tool: how often it acted, by request of a client.
type ledger struct {
	mu    sync.Mutex
	deeds map[string]int
}

func (l *ledger) act(_ context.Context, c agentkernel.ToolCall) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deeds[string(c.Args)]++
	return "done", nil
}

// happened is the tool's own word on a call in doubt. It refuses nothing, so that a call that comes late counts.
func (l *ledger) happened(_ context.Context, c agentkernel.ToolCall) (agentkernel.Finding, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deeds[string(c.Args)] > 0 {
		return agentkernel.Finding{Outcome: session.Happened, Result: "done"}, nil
	}
	return agentkernel.Finding{Outcome: session.DidNotHappen}, nil
}

// twice are the requests that acted more than once.
func (l *ledger) twice() (requests []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for request, n := range l.deeds {
		if n > 1 {
			requests = append(requests, request)
		}
	}
	return requests
}

func (l *ledger) all() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.deeds)
}

// unlike is a model that answers in other words each time, so that an answer that was lost and made anew shows. A prompt
// "charge x" has it call the tool first.
type unlike struct{ n atomic.Int64 }

func (u *unlike) Generate(_ context.Context, req *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	last := req.Messages[len(req.Messages)-1]
	a := &model.Answer{Message: model.Message{Role: model.Assistant}, Model: req.Model, Finish: model.FinishStop, Usage: model.Usage{Input: 1, Output: 1}}
	if what, ok := strings.CutPrefix(last.Text(), "charge "); ok && last.Role == model.User {
		args, err := json.Marshal(map[string]string{"request": what})
		a.Message.Parts = []model.Part{{Call: &model.Call{ID: "c", Name: "charge", Args: args}}}
		a.Finish = model.FinishCalls
		return a, err
	}
	a.Message.Parts = []model.Part{{Text: fmt.Sprint("answer ", u.n.Add(1))}}
	return a, nil
}

// member is one replica of the kernel, in this process, with a store handle of its own.
type member struct {
	*agentkernel.Kernel
	store session.Store
	gone  atomic.Bool // it is closed, or its clients have given it up
}

// crew is some members over one store, and the world around them.
type crew struct {
	t       *testing.T
	ledger  ledger
	model   unlike
	members []*member
	clients []*customer
}

func newCrew(t *testing.T) *crew {
	return &crew{t: t, ledger: ledger{deeds: map[string]int{}}}
}

// join adds a member over a store, which it closes in the end.
func (f *crew) join(store session.Store) *member {
	f.t.Helper()
	k, err := agentkernel.Open(f.t.Context(), store, agentkernel.Config{
		Models: map[string]model.Provider{"test": &f.model},
		Agents: []*agentkernel.Agent{{Name: "a", Model: "test/m", Tools: []*agentkernel.Tool{{
			Name: "charge", Timeout: time.Second, Call: f.ledger.act, Reconcile: f.ledger.happened,
			Parameters: json.RawMessage(`{"type":"object","properties":{"request":{"type":"string"}}}`),
		}}}},
		LeaseTTL: 2 * time.Second, SweepInterval: 200 * time.Millisecond, StoreTimeout: 2 * time.Second,
		AcceptLoss: true, // what it costs is what these tests measure
	})
	if err != nil {
		f.t.Fatal(err)
	}
	m := &member{Kernel: k, store: store}
	f.members = append(f.members, m)
	f.t.Cleanup(func() { m.Close(); _ = store.Close() })
	return m
}

// living are the members that serve.
func (f *crew) living() []*member {
	return slices.DeleteFunc(slices.Clone(f.members), func(m *member) bool { return m.gone.Load() })
}

// promise is what a client was told.
type promise struct {
	session, turn string
	reply         string // empty as long as it was told only that the turn is accepted
	answered      bool
	by            *member   // who told it
	began, ended  time.Time // when the request was first sent, and answered
}

// client sends requests into one session, one after the other, each under an idempotency key of its own and again until
// it is answered, and remembers what it was told.
type customer struct {
	f       *crew
	name    string
	session string // empty for one that begins a new session with each request
	at      *member

	mu       sync.Mutex
	promises []*promise
	told     []string // of losses: by lost_by_store, or by a turn that is parked
	odd      []string // what it cannot make sense of
}

// hire adds clients that talk to a member, each with a session of its own, and one that begins new ones.
func (f *crew) hire(m *member, name string, n int) {
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		f.clients = append(f.clients, &customer{f: f, name: id, session: "session-" + id, at: m})
	}
	f.clients = append(f.clients, &customer{f: f, name: name + "-new", at: m})
}

// pace is how often a client sends a request. They shall not use up the machine: it has to carry the servers too.
const pace = 50 * time.Millisecond

// work runs the clients until stop is called, which waits for the requests that are on their way.
func (f *crew) work() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	for _, c := range f.clients {
		wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				<-tick.C
				c.ask(n, tick.C)
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// ask sends one request until its turn has ended, or its loss was told.
func (c *customer) ask(n int, tick <-chan time.Time) {
	request := fmt.Sprintf("%s-%d", c.name, n)
	req := agentkernel.Request{Session: c.session, Key: request, Prompt: "say " + request}
	if n%3 == 0 {
		req.Prompt = "charge " + request
	}
	if c.session == "" {
		req.Session = "session-" + request
	}
	began := time.Now()
	for deadline := began.Add(40 * time.Second); ; <-tick {
		if c.try(req, began) {
			return
		}
		if time.Now().After(deadline) {
			c.note(&c.odd, "request %s was not answered within 40 s", request)
			return
		}
	}
}

// try sends a request once and reports whether that settles it.
func (c *customer) try(req agentkernel.Request, began time.Time) (settled bool) {
	m := c.member()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	h, err := m.Start(ctx, req)
	if err != nil {
		return c.passing(m, err)
	}
	p := c.promised(h, m, began)
	reply, err := h.Wait(ctx)
	switch fault.KindOf(err) {
	case "":
		c.mu.Lock()
		defer c.mu.Unlock()
		if p.answered && p.reply != reply.Text {
			c.odd = append(c.odd, fmt.Sprintf("turn %s was answered %q and then %q", p.turn, p.reply, reply.Text))
		}
		p.answered, p.reply, p.ended = true, reply.Text, time.Now()
		return true
	case fault.LostByStore:
		c.note(&c.told, "turn %s: %v", p.turn, err)
		return true
	case fault.Waiting: // parked, because records of it, or of a turn before it, are lost
		c.note(&c.told, "turn %s: %v", p.turn, err)
		return c.discard(m, h)
	}
	return c.passing(m, err)
}

// discard is a person's word about a turn that is parked: it shall not run again. It reports that there is nothing more to
// wait for: false when the client's own turn was only queued behind that one.
func (c *customer) discard(m *member, h *agentkernel.Handle) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	i, err := h.Info(ctx)
	if err != nil {
		return c.passing(m, err)
	}
	_, err = m.Discard(ctx, agentkernel.TurnRef{ID: cmp.Or(i.Behind, i.ID)})
	if err != nil && fault.KindOf(err) != fault.Conflict { // someone was faster
		return c.passing(m, err)
	}
	return i.Behind == ""
}

// passing judges an error that trying again may cure; false means that it may.
func (c *customer) passing(m *member, err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.OutcomeUnknown, fault.TimeoutTotal, fault.Limited, fault.Cancelled:
		return false
	}
	if m.gone.Load() {
		return false
	}
	c.note(&c.odd, "%v (kind %s)", err, fault.KindOf(err))
	return true
}

// member is whom the client talks to; one that is gone is replaced.
func (c *customer) member() *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.gone.Load() {
		living := c.f.living()
		c.at = living[len(c.name)%len(living)]
	}
	return c.at
}

func (c *customer) note(list *[]string, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

// promised remembers that a turn was accepted.
func (c *customer) promised(h *agentkernel.Handle, m *member, began time.Time) *promise {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.promises {
		if p.turn == h.ID() {
			return p
		}
	}
	p := &promise{session: h.Session(), turn: h.ID(), by: m, began: began}
	c.promises = append(c.promises, p)
	return p
}

// kept counts what all clients were promised so far.
func (f *crew) kept() (accepted, answered int) {
	for _, c := range f.clients {
		c.mu.Lock()
		accepted += len(c.promises)
		for _, p := range c.promises {
			if p.answered {
				answered++
			}
		}
		c.mu.Unlock()
	}
	return accepted, answered
}

// resumed is, for each of the sessions, how long after a moment a turn was answered that had been asked for after it;
// ok is false while one is missing.
func (f *crew) resumed(after time.Time, sessions map[string]bool) (first, last time.Duration, ok bool) {
	ok = true
	for _, c := range f.clients {
		if !sessions[c.session] {
			continue
		}
		c.mu.Lock()
		found := time.Duration(0)
		for _, p := range c.promises {
			if p.answered && p.began.After(after) && (found == 0 || p.ended.Sub(after) < found) {
				found = p.ended.Sub(after)
			}
		}
		c.mu.Unlock()
		if found == 0 {
			ok = false
			continue
		}
		if first == 0 || found < first {
			first = found
		}
		last = max(last, found)
	}
	return first, last, ok
}
