package agentkernel

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// counting is an observer that counts what these tests are about.
type counting struct {
	silent
	rollbacks, lost, diverged, wasted atomic.Int64
	claims                            atomic.Int64
}

func (c *counting) StoreRolledBack(int)      { c.rollbacks.Add(1) }
func (c *counting) LostByStore()             { c.lost.Add(1) }
func (c *counting) Diverged(string)          { c.diverged.Add(1) }
func (c *counting) Wasted(_ string, n int64) { c.wasted.Add(n) }
func (c *counting) Claimed(string)           { c.claims.Add(1) }

// TestARecordedAnswerStandsUnderANewPrompt is P16: the turn began under other instructions and with a tool that this
// build has not.
func TestARecordedAnswerStandsUnderANewPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		began, _ := block(cfg, "idem")
		asked, _ := block(cfg, "ask")
		old := w.replica(cfg, "", 0, "")
		h := start(t, old, "read|idem ask")
		<-began
		<-asked // both calls are under way: whichever began first, the old build dies with two of them open
		old.mu.Lock()
		old.dead = true
		old.mu.Unlock()
		old.stop()
		next, seen := w.config(), &counting{}
		next.Observer = seen
		next.Agents[0].Instructions = "You are a new build."
		next.Agents[0].Tools = next.Agents[0].Tools[:3] // without ask
		r := w.replica(next, "", 0, "")
		defer r.stop()
		nh, _ := r.Turn("", h.ID())
		i := state(t, nh)
		if w.models != 2 || seen.diverged.Load() == 0 || seen.claims.Load() != 1 {
			t.Errorf("%d model calls, %d divergences, %d claims", w.models, seen.diverged.Load(), seen.claims.Load())
		}
		// The call of the tool that is gone may have acted: a person is asked, whatever this build thinks of the tool.
		if i.State != session.Waiting || i.Waiting.Reason != session.WaitInDoubt || i.Waiting.Step != "m1.1" {
			t.Fatalf("it is %s, %+v", i.State, i.Waiting)
		}
		if _, err := r.Resolve(t.Context(), TurnRef{ID: h.ID()}, Resolution{Outcome: session.Happened, Result: "done"}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, nh); i.State != session.Completed {
			t.Errorf("it is %s, %+v", i.State, i.Error)
		}
	})
}

// TestARerunThatAsksForAnotherSideEffectIsStopped: the function is not deterministic, and its tool moves money.
func TestARerunThatAsksForAnotherSideEffectIsStopped(t *testing.T) {
	for _, tool := range []string{"once", "idem", "read"} {
		t.Run(tool, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New())
				runs := 0
				cfg := func() Config {
					c := w.config()
					c.Agents[0].Runner = RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
						runs++
						text, err := tu.Tool(ctx, tool, map[string]int{"amount": runs})
						if err == nil && runs == 1 {
							<-ctx.Done()
							err = ctx.Err()
						}
						return Reply{Text: text}, err
					})
					return c
				}
				old := w.replica(cfg(), "", 0, "")
				h := start(t, old, "x")
				synctest.Wait()
				old.mu.Lock()
				old.dead = true
				old.mu.Unlock()
				old.stop()
				r := w.replica(cfg(), "", 0, "")
				defer r.stop()
				nh, _ := r.Turn("", h.ID())
				i := state(t, nh)
				if tool == "read" {
					if i.State != session.Completed || *i.Result != `did {"amount":1}` {
						t.Errorf("a read-only call: %s, %+v", i.State, i.Error)
					}
				} else if i.State != session.Failed || i.Error.Kind != fault.Diverged {
					t.Errorf("it is %s, %+v, want failed and diverged", i.State, i.Error)
				}
				if len(w.calls) != 1 {
					t.Errorf("%d calls", len(w.calls))
				}
			})
		})
	}
}

func TestAProviderThatBreaksItsContractFailsTheTurnWithAKind(t *testing.T) {
	say := func(parts ...model.Part) *model.Answer {
		return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: parts}}
	}
	for name, c := range map[string]struct {
		generate func() (*model.Answer, error)
		want     fault.Kind
	}{
		"panics":  {func() (*model.Answer, error) { panic("secret") }, fault.Internal},
		"nothing": {func() (*model.Answer, error) { return nil, nil }, fault.Truncated},
		"empty":   {func() (*model.Answer, error) { return say(), nil }, fault.Truncated},
		"broken call": {func() (*model.Answer, error) {
			return say(model.Part{Call: &model.Call{Name: "read", Args: []byte("{")}}), nil
		}, fault.Malformed},
		"its own kind": {func() (*model.Answer, error) {
			return nil, fault.New(fault.Throttled, "", "slow down").WithAfter(time.Minute)
		}, fault.Throttled},
		"no kind at all": {func() (*model.Answer, error) { return nil, fmt.Errorf("odd") }, fault.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
				r.cfg.Models["test"] = provider(c.generate)
				h := start(t, r, "hello")
				i := state(t, h)
				if i.State != session.Failed || i.Error.Kind != c.want {
					t.Fatalf("it is %s, %+v, want %s", i.State, i.Error, c.want)
				}
				if _, err := h.Wait(t.Context()); c.want == fault.Throttled && fault.After(err) != time.Minute {
					t.Errorf("the hint is lost: %v", err)
				}
			})
		})
	}
}

type provider func() (*model.Answer, error)

func (p provider) Generate(context.Context, *model.Request, func(model.Chunk)) (*model.Answer, error) {
	return p()
}

// TestASessionHasOneJournalHoweverFullTheCacheIs: with two, one would not see what the other one wrote.
func TestASessionHasOneJournalHoweverFullTheCacheIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		cfg.CacheSize = 1
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		defer r.open(session.Key{ID: "in use"}).unpin()
		first, second := r.open(keyS), r.open(keyS)
		defer first.unpin()
		defer second.unpin()
		if first != second {
			t.Error("one session has two journals")
		}
	})
}

func TestATurnThatWasJustAcceptedElsewhereIsFoundByItsId(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		r, other := w.replica(w.config(), "", 0, ""), w.replica(w.config(), "", 0, "")
		defer r.stop()
		defer other.stop()
		state(t, start(t, r, "hello"))
		if _, err := other.Messages(keyS); err != nil { // it has the session in its cache now
			t.Fatal(err)
		}
		for _, read := range []func(h *Handle) error{
			func(h *Handle) error { _, err := h.Wait(t.Context()); return err },
			func(h *Handle) error {
				for _, err := range h.Events(t.Context(), "") {
					if err != nil {
						return err
					}
				}
				return nil
			},
		} {
			there, err := other.Turn("", start(t, r, "read").ID())
			if err == nil {
				err = read(there)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTheCacheKeepsNoMoreThanItsSizeAndForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		cfg.CacheSize = 4
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		for round := range 2 {
			for n := range 20 {
				h, err := r.Start(t.Context(), Request{Session: fmt.Sprint("s", n), Prompt: fmt.Sprint("hello ", round)})
				if err != nil {
					t.Fatal(err)
				}
				state(t, h)
			}
		}
		synctest.Wait()
		r.Kernel.mu.Lock()
		cached := len(r.sessions)
		r.Kernel.mu.Unlock()
		if cached > cfg.CacheSize+1 {
			t.Errorf("%d sessions are cached, the bound is %d", cached, cfg.CacheSize)
		}
		for n := range 20 {
			if messages, err := r.Messages(session.Key{ID: fmt.Sprint("s", n)}); err != nil || len(messages) != 4 {
				t.Errorf("session %d: %d messages, %v", n, len(messages), err)
			}
		}
	})
}
