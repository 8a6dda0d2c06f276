package agentkernel

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Turn is what a [Runner] works with. Everything that it does to the world goes through the methods that take a context:
// each is a step, whose result is journaled, and after a crash the journal answers instead of the world. A Turn is used
// by one goroutine at a time unless a method says otherwise.
//
// A sub-agent works with a Turn of its own, in the same journal: the keys of its steps begin with the key of the call
// that asked it.
type Turn struct {
	*work
	path    string // what the keys of its steps begin with, empty for the turn itself
	agent   *Agent
	input   model.Message
	history []model.Message
	notes   []string // added to the instructions

	models  int    // model steps asked for so far
	tools   int    // calls of Tool so far
	sleeps  int    // calls of Sleep so far
	sets    int    // state changes asked for so far
	oldSets int    // state changes that an earlier run journaled
	closing string // why the newest answer was to be in words, empty if it was not
	wrapped string // the same of any answer

	mu      sync.Mutex
	pending []session.Event // finished, and on their way into the next record
}

// work is what a turn and its sub-agents share: one run of the turn, in one tenure.
type work struct {
	k      *Kernel
	j      *journal
	tenure *tenure
	ref    session.Ref

	// As of the turn's start, or its last takeover.
	id         session.TurnID
	root       session.TurnID
	extra      json.RawMessage
	ran        time.Duration
	recoveries int
	quarantine string // why it must not run, empty when it may

	limits   Limits // of the agent that was asked
	began    time.Time
	volatile sync.Map

	shared sync.Mutex
	asked  map[string]bool            // steps by their key
	state  map[string]json.RawMessage // of the session, with this turn's changes
	used   usage
	wait   *session.Wait // it must rest, whatever the runner makes of that
}

// open reads the turn's start from the fold.
func (t *Turn) open() error {
	return t.look(t.tenure.ctx, func(s *session.Session) error {
		turn, err := t.owned(s)
		if err != nil {
			return err
		}
		t.id, t.root, t.extra = turn.ID, turn.Root, turn.Request.Extra
		t.ran, t.recoveries = time.Duration(turn.Ran)*time.Millisecond, turn.Recoveries
		t.began, t.limits = time.Now(), t.agent.Limits
		t.used = usageOf(turn)
		for _, set := range turn.Sets {
			if set.Path == "" {
				t.oldSets++
			}
		}
		if turn.Recoveries > t.k.cfg.MaxRecoveries {
			t.quarantine = fmt.Sprintf("taken over %d times without progress", turn.Recoveries)
		}
		if t.history, err = t.j.told.history(s); err != nil {
			return err
		}
		if s.Summary != nil {
			t.notes = append(t.notes, s.Summary.Text)
		}
		t.state = make(map[string]json.RawMessage, len(s.State))
		for k, v := range s.State {
			t.state[k] = v
		}
		if err := json.Unmarshal(turn.Request.Input, &t.input); err != nil {
			return fault.New(fault.Corrupt, "", "the turn's input is not a message: %w", err)
		}
		return nil
	})
}

// owned is the turn in the fold, as long as this tenure may write about it.
func (t *Turn) owned(s *session.Session) (*session.Turn, error) {
	if s.Owner != t.k.id || s.Epoch != t.tenure.epoch {
		return nil, errFenced
	}
	turn := s.Turn(t.ref)
	if turn == nil || turn.State != session.Running {
		return nil, errFenced
	}
	return turn, nil
}

// ID names the turn.
func (t *Turn) ID() string { return t.id.String() }

// Session names the session.
func (t *Turn) Session() string { return t.j.key.ID }

// Tenant names the session's tenant, empty where there is only one.
func (t *Turn) Tenant() string { return t.j.key.Tenant }

// Agent is the agent that answers.
func (t *Turn) Agent() *Agent { return t.agent }

// Input is what the user said; for a sub-agent, what it was asked.
func (t *Turn) Input() model.Message { return t.input }

// Extra is the object of the request's further fields, nil when there were none. Models are not shown it.
func (t *Turn) Extra() json.RawMessage { return t.extra }

// History is the conversation before this turn, oldest first. It is not to be changed. A sub-agent has none.
func (t *Turn) History() []model.Message { return t.history }

// State is the session's value of that name as this turn sees it, nil when there is none. It is safe for concurrent use.
func (t *Turn) State(name string) json.RawMessage {
	t.shared.Lock()
	defer t.shared.Unlock()
	return t.state[name]
}

// Volatile is memory of this run of the turn, shared by its hooks, its runner and its sub-agents. Nothing in it is
// durable: a re-run begins with an empty one.
func (t *Turn) Volatile() *sync.Map { return &t.volatile }

// Emit shows text to whoever watches the turn. It is not journaled; a sub-agent's is not shown.
func (t *Turn) Emit(text string) {
	if t.path != "" {
		return
	}
	said := piece{epoch: t.tenure.epoch, step: "emit", attempt: 1}
	t.j.live.join(t.ref, said)
	t.j.live.add(t.ref, said, text)
}

// take removes the events that wait for the next record; who takes them writes them.
func (t *Turn) take() []session.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := t.pending
	t.pending = nil
	return events
}

func (t *Turn) add(events ...session.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = append(t.pending, events...)
}

func (t *Turn) event(typ session.EventType, step string) session.Event {
	return session.Event{Type: typ, Turn: t.ref, Step: step}
}

// flush makes everything durable that is finished, and events with it. It is what stands between two effects.
func (t *Turn) flush(ctx context.Context, events ...session.Event) error {
	if err := t.commit(working, append(t.take(), events...)); err != nil {
		return err
	}
	return t.boundary(ctx)
}

// commit writes events of the running turn. It waits as long as this tenure lasts, not only as long as the turn: what was
// done is recorded even if the turn is cancelled meanwhile, and afterwards it is certain whether it was.
func (t *Turn) commit(c class, events []session.Event) error {
	if len(events) == 0 {
		return nil
	}
	_, err := t.j.propose(t.tenure.ctx, &proposal{class: c, hold: true, write: func(s *session.Session, _ *draft) ([]session.Event, error) {
		turn, err := t.owned(s)
		if err == nil && c == claiming && turn.Cancel != nil {
			err = errCancelled
		}
		return events, err
	}})
	if err != nil {
		t.waste(events)
		if t.tenure.ctx.Err() != nil {
			return context.Cause(t.tenure.ctx)
		}
	}
	return err
}

// waste counts the tokens of answers that could not be recorded.
func (t *Turn) waste(events []session.Event) {
	var tokens int64
	for _, e := range events {
		if e.Result != nil {
			tokens += e.Result.Input + e.Result.Output
		}
	}
	if tokens > 0 {
		t.k.obs.Wasted(t.agent.Name, tokens)
	}
}

// boundary is where a turn may be handed over or come to rest: between steps.
func (t *Turn) boundary(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t.k.phase.Load() == handingOver {
		return errDrain
	}
	if t.resting() {
		return errRest
	}
	return nil
}

// stepKey is the idempotency key that a tool receives for a step: the same whoever dispatches it and however often.
func (t *Turn) stepKey(step string) string {
	sum := sha256.Sum256([]byte(t.j.key.String() + "\n" + t.root.String() + "\n" + step))
	return "ak_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20]))
}

// recorded is the step's entry in the journal, nil when there is none.
func (t *Turn) recorded(ctx context.Context, key string) (st *session.Step, err error) {
	err = t.look(ctx, func(s *session.Session) error {
		turn, err := t.owned(s)
		if err != nil {
			return err
		}
		if found := turn.Step(key); found != nil {
			c := *found
			st = &c
		}
		return nil
	})
	return st, err
}

// look calls f with the fold. It waits for a store that does not answer: a fold that is not at hand is not an empty one,
// and a turn does not fail because of it.
func (t *Turn) look(ctx context.Context, f func(s *session.Session) error) error {
	for {
		err := t.j.view(f)
		if fault.KindOf(err) != fault.Unavailable {
			return err
		}
		if !pause(ctx, retryStore) {
			return context.Cause(ctx)
		}
	}
}

// digest names a request, so that a re-run can tell whether it asks the same.
func digest(v any) string {
	sum := sha256.Sum256(mustJSON(v))
	return hex.EncodeToString(sum[:8])
}

// enter notes that a step of that key is asked for, which may happen once in a run.
func (t *Turn) enter(key string) error {
	t.shared.Lock()
	defer t.shared.Unlock()
	if t.asked[key] {
		return fault.New(fault.Internal, "", "two steps of one turn are named %q", key)
	}
	if t.asked == nil {
		t.asked = map[string]bool{}
	}
	t.asked[key] = true
	return nil
}

// errorOf is a recorded error as it was when it happened.
func errorOf(f *session.Failure) error {
	if f == nil {
		return nil
	}
	return fault.New(f.Kind, "", "%s", f.Message).WithAfter(time.Duration(f.AfterMS) * time.Millisecond)
}

func modelKey(n int) string { return fmt.Sprintf("m%d", n) }

func callKeyOf(parent string, i int) string { return fmt.Sprintf("%s.%d", parent, i) }
