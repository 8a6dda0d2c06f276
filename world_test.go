package agentkernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything outside the kernels: the store, the model, the tools and what they did.
type world struct {
	t     testing.TB
	store session.Store
	truth session.Store // the same, for looking at without being counted
	began time.Time

	mu       sync.Mutex
	effects  map[string]int // by idempotency key, what a tool did
	refused  int            // second calls that a tool refused by their key
	calls    map[string]int // dispatches by idempotency key
	models   int            // model calls
	violated []string
}

func newWorld(t testing.TB, store session.Store) *world {
	return &world{t: t, store: store, truth: store, began: time.Now().Add(-time.Hour), effects: map[string]int{}, calls: map[string]int{}}
}

func (w *world) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violated = append(w.violated, fmt.Sprintf(format, args...))
}

// replica is a kernel that can be frozen at any place, for ever (a crash, as others see it) or for a while.
type replica struct {
	*Kernel
	w    *world
	mu   sync.Mutex
	hits []failpoint.Name
	// the place to act at
	name failpoint.Name
	nth  int
	mode string // crash, stall, lost, drain or cancel
	seen int

	frozen  bool
	dead    bool
	struck  chan struct{} // closed when the place was reached
	release chan struct{}
	drained sync.WaitGroup
}

var errLost = errors.New("the answer was lost")

func (w *world) replica(cfg Config, place failpoint.Name, nth int, mode string) *replica {
	r := &replica{w: w, name: place, nth: nth, mode: mode, struck: make(chan struct{}), release: make(chan struct{})}
	cfg.Failpoints = &failpoint.Set{On: r.on}
	cfg.boot = func() time.Duration { return time.Since(w.began) }
	wrapped := map[*Tool]bool{}
	for _, a := range cfg.Agents {
		for _, t := range a.Tools {
			if !wrapped[t] {
				wrapped[t], t.Call = true, r.alive(t.Call)
			}
		}
	}
	k, err := Open(context.Background(), &mortal{Store: w.store, r: r}, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Kernel = k
	return r
}

func (r *replica) on(n failpoint.Name) error {
	r.mu.Lock()
	if n != failpoint.BeatBefore {
		r.hits = append(r.hits, n)
	}
	if n == r.name && !r.frozen {
		r.seen++
		if r.seen == r.nth {
			switch r.mode {
			case "lost":
				r.mu.Unlock()
				return errLost
			case "drain":
				close(r.struck)
				r.mu.Unlock()
				r.drained.Go(func() { _ = r.Drain(context.Background(), 0, time.Minute) })
				return nil
			case "cancel":
				close(r.struck)
				r.mu.Unlock()
				r.drained.Go(r.cancelCurrent)
				return nil
			}
			r.frozen, r.dead = true, r.mode == "crash"
			close(r.struck)
		}
	}
	frozen := r.frozen
	r.mu.Unlock()
	if frozen {
		<-r.release
	}
	return nil
}

// cancelCurrent cancels the turn whose time it is in the session of the tests, if there is one.
func (r *replica) cancelCurrent() {
	if t := r.w.fold(keyS).Current(); t != nil {
		if _, err := r.Cancel(context.Background(), TurnRef{ID: t.ID.String()}); err != nil && fault.KindOf(err) != fault.Conflict {
			r.w.violation("cancel: %v", err)
		}
	}
}

// thaw lets a frozen replica go on.
func (r *replica) thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen || !r.dead {
		r.frozen = false
		select {
		case <-r.release:
		default:
			close(r.release)
		}
	}
}

func (r *replica) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// stop ends the replica; a dead one has no effect on the world any more.
func (r *replica) stop() {
	done := make(chan struct{})
	go func() { defer close(done); r.Close() }()
	<-r.Kernel.ctx.Done()
	r.thaw()
	<-done
	r.drained.Wait()
}

func (r *replica) alive(call func(context.Context, ToolCall) (string, error)) func(context.Context, ToolCall) (string, error) {
	return func(ctx context.Context, c ToolCall) (string, error) {
		if r.isDead() {
			<-ctx.Done()
			return "", ctx.Err()
		}
		if err := r.meddle(ctx, c); err != nil {
			return "", err
		}
		return call(ctx, c)
	}
}

// mortal is a store handle that a dead replica cannot use.
type mortal struct {
	session.Store
	r *replica
}

func (m *mortal) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Append(ctx, key, at, rec, next)
}

func (m *mortal) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.PutBlob(ctx, key, life, digest, data)
}

func (m *mortal) Beat(ctx context.Context, r session.Replica) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Beat(ctx, r)
}

func (m *mortal) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Erase(ctx, key, at, tomb)
}

// script is a model that is a pure function of the conversation: each user message "a b|c" asks for tools a and b at
// once, then c, then answers.
type script struct{ w *world }

func (m script) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	m.w.mu.Lock()
	m.w.models++
	m.w.mu.Unlock()
	if ctx.Err() != nil {
		return nil, fault.New(fault.Cancelled, "", "stopped")
	}
	var said string
	round := 0
	for _, msg := range req.Messages {
		switch msg.Role {
		case model.User:
			said, round = msg.Text(), 0
		case model.Assistant:
			round++
		}
	}
	if text, ok := special(said, req); ok {
		return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Text: text}}}, Finish: model.FinishStop, Model: req.Model, Usage: model.Usage{Input: 7, Output: 1}}, nil
	}
	a := &model.Answer{Message: model.Message{Role: model.Assistant}, Finish: model.FinishStop, Model: req.Model, Usage: model.Usage{Input: int64(len(req.Messages)), Output: 1}}
	stages := splitStages(said)
	if round < len(stages) {
		for i, name := range stages[round] {
			name, args := arguments(name, fmt.Sprintf("%d.%d", round, i))
			a.Message.Parts = append(a.Message.Parts, model.Part{Call: &model.Call{ID: fmt.Sprintf("c%d", i), Name: name, Args: args}})
		}
		a.Finish = model.FinishCalls
		return a, nil
	}
	text := "done: " + said
	if emit != nil {
		for i := range text {
			emit(model.Chunk{Text: text[i : i+1]})
		}
	}
	a.Message.Parts = []model.Part{{Text: text}}
	return a, nil
}

func splitStages(said string) [][]string {
	var stages [][]string
	stage := []string{}
	word := ""
	flushWord := func() {
		if word != "" {
			stage = append(stage, word)
		}
		word = ""
	}
	for _, c := range said + "|" {
		switch c {
		case ' ':
			flushWord()
		case '|':
			flushWord()
			if len(stage) > 0 && stage[0] != "hello" {
				stages = append(stages, stage)
			}
			stage = []string{}
		default:
			word += string(c)
		}
	}
	return stages
}

// act is what every tool of the world does: one effect for each dispatch, unless the tool refuses the key.
func (w *world) act(refuses bool) func(context.Context, ToolCall) (string, error) {
	return func(_ context.Context, c ToolCall) (string, error) {
		w.checkNotRecorded(c)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls[c.Key]++
		if refuses && w.effects[c.Key] > 0 {
			w.refused++
			return "did " + string(c.Args), nil
		}
		w.effects[c.Key]++
		return "did " + string(c.Args), nil
	}
}

// checkNotRecorded is P3: a step whose result is in the journal is not executed again.
func (w *world) checkNotRecorded(c ToolCall) {
	id, err := session.ParseTurnID(c.Turn)
	if err != nil {
		w.violation("a tool got %q as turn", c.Turn)
		return
	}
	s := w.fold(session.Key{ID: c.Session})
	t := s.Find(id)
	if t == nil {
		w.violation("a tool was called for turn %s, which is not in the journal", c.Turn)
		return
	}
	for _, st := range t.Steps {
		if st.State == session.StepDone && st.Start != nil && st.Start.Key == c.Key {
			w.violation("step %s of %s was dispatched although its result is recorded", st.Key, c.Turn)
		}
	}
}

func (w *world) fold(key session.Key) *session.Session {
	s := &session.Session{Key: key}
	_, records, err := w.truth.Read(context.Background(), key, 0, 0)
	if errors.Is(err, session.ErrTrimmed) {
		var snap session.Snapshot
		if snap, err = w.truth.Snapshot(context.Background(), key); err == nil {
			if s, err = session.Thaw(key, snap); err == nil {
				_, records, err = w.truth.Read(context.Background(), key, snap.Seq, 0)
			}
		}
	}
	if err != nil {
		w.t.Errorf("read: %v", err)
	}
	for _, r := range records {
		if err := s.Apply(r); err != nil {
			w.t.Errorf("fold: %v", err)
		}
	}
	return s
}

func (w *world) happened(_ context.Context, c ToolCall) (Finding, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.effects[c.Key] > 0 {
		return Finding{Outcome: session.Happened, Result: "did " + string(c.Args)}, nil
	}
	return Finding{Outcome: session.DidNotHappen}, nil
}

// config is one agent with a tool of every class.
func (w *world) config() Config {
	tool := func(name string, effect session.Effect, opts ...ToolOption) *Tool {
		t := &Tool{Name: name, Effect: effect, Timeout: 2 * time.Second, Call: w.act(false), Parameters: json.RawMessage(`{"type":"object"}`)}
		for _, o := range opts {
			o(t)
		}
		return t
	}
	refusing := tool("refuse", session.AtMostOnce, WithRefuses(RefusesDuplicateKey))
	refusing.Call = w.act(true)
	idem := tool("idem", session.Idempotent)
	idem.Call = w.act(true)
	return w.more(Config{
		Models:   map[string]model.Provider{"test": script{w}},
		LeaseTTL: time.Second, SweepInterval: 200 * time.Millisecond, AcceptLoss: true,
		WaitMax: 10 * time.Minute, IdempotencyTTL: 10 * time.Minute,
		Agents: []*Agent{{Name: "a", Model: "test/m", Tools: []*Tool{
			tool("read", session.ReadOnly), idem, refusing,
			tool("once", session.AtMostOnce, WithReconcile(w.happened)),
			tool("ask", session.AtMostOnce),
			tool("tell", session.AtMostOnce, WithOnDoubt(Tell)),
			tool("fail", session.AtMostOnce, WithOnDoubt(FailTurn)),
			w.cut(tool("cut", session.AtMostOnce, WithReconcile(w.happened))),
		}}, {Name: "plain", Runner: RunnerFunc(w.plain)}},
	})
}

// cut makes a tool act and then lose its answer, so that even a crash-free run has to reconcile.
func (w *world) cut(t *Tool) *Tool {
	act := t.Call
	t.Call = func(ctx context.Context, c ToolCall) (string, error) {
		if _, err := act(ctx, c); err != nil {
			return "", err
		}
		return "", Unclear(errors.New("the connection was cut"))
	}
	return t
}

// plain is a function with two steps and a change of the session's state.
func (w *world) plain(ctx context.Context, t *Turn) (Reply, error) {
	var reply Reply
	for _, name := range []string{"one", "two"} {
		v, err := t.Step(ctx, name, func(context.Context) (any, error) {
			if st := w.fold(session.Key{ID: t.Session()}).Find(t.id).Step("s:" + name); st != nil {
				w.violation("step %s ran although it is recorded", name)
			}
			return name, nil
		})
		if err != nil {
			return reply, err
		}
		if err := t.Set(name, v); err != nil {
			return reply, err
		}
		reply.Text += string(v)
	}
	return reply, nil
}

func newMemory() session.Store { return memory.New() }
