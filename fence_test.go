package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// TestAWokenOwnerWritesNothingWhileTheNextOneIsAtWork stalls the owner at every place, and wakes it up when the next
// owner is in the middle of a call: P5 while the turn still runs.
func TestAWokenOwnerWritesNothingWhileTheNextOneIsAtWork(t *testing.T) {
	var hits []failpoint.Name
	open := func(*testing.T) (session.Store, func() session.Store) { return memory.New(), nil }
	synctest.Test(t, func(t *testing.T) { _, hits = crashFree(t, open, []string{"once|read"}) })
	nth := map[failpoint.Name]int{}
	for _, name := range hits {
		nth[name]++
		n := nth[name]
		t.Run(fmt.Sprint(name, ".", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { woken(t, name, n) })
		})
	}
}

func woken(t *testing.T, name failpoint.Name, nth int) {
	w := newWorld(t, memory.New())
	first := w.replica(w.config(), name, nth, "stall")
	defer first.stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if h, err := first.Start(ctx, Request{Session: "s", Prompt: "once|read", Key: "k"}); err == nil {
			_, _ = h.Settle(ctx)
		}
	}()
	<-first.struck
	cfg := w.config()
	began, release := block(cfg, "read")
	second := w.replica(cfg, "", 0, "")
	defer second.stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.finish(ctx, second, Request{Session: "s", Prompt: "once|read", Key: "k"})
	}()
	select {
	case <-began:
	case <-ended: // everything was recorded before the owner stalled
	}
	epoch := w.fold(keyS).Epoch
	first.thaw()
	time.Sleep(5 * time.Second)
	close(release)
	<-ended
	_, records, err := w.truth.Read(t.Context(), keyS, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	owner := ""
	for _, r := range records {
		b, err := r.Decode()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Events {
			if e.Type == session.SessionClaimed {
				owner = e.Claim.Replica
			}
			if e.Type != session.TurnAccepted && b.Writer != owner {
				t.Errorf("record %d: %s was written by %s, who lost the session to %s", b.Seq, e.Type, b.Writer, owner)
			}
		}
	}
	if got := w.fold(keyS).Epoch; got != epoch {
		t.Errorf("the session was claimed again: epoch %d, then %d", epoch, got)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, n := range w.effects {
		if n > 1 && w.once(w.fold(keyS), key) {
			t.Errorf("call %s had %d effects", key, n)
		}
	}
}

// TestAPositionThatWentToAnotherRecordIsNotMistakenForOnesOwn: the append's answer is lost, nothing was written, and
// meanwhile another replica took the position.
func TestAPositionThatWentToAnotherRecordIsNotMistakenForOnesOwn(t *testing.T) {
	for name, lost := range map[string]func() sessiontest.Fault{
		"never written": sessiontest.Vanish,
		"written late":  func() sessiontest.Fault { return sessiontest.Late(closedAfter(3 * time.Second)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := memory.New()
				store := sessiontest.NewFaulty(inner)
				w := newWorld(t, store)
				w.truth = inner
				first := w.replica(w.config(), "", 0, "")
				defer first.stop()
				w.store = inner
				second := w.replica(w.config(), "", 0, "")
				defer second.stop()
				synctest.Wait()
				store.Next(sessiontest.Append, lost())
				store.Next(sessiontest.Read, sessiontest.Pass(), sessiontest.Delay(time.Second)) // the load; then the look at what became of it
				got := make(chan *Handle)
				go func() {
					h, err := first.Start(t.Context(), Request{Session: "s", Prompt: "hello first"})
					if err != nil {
						t.Error(err)
					}
					got <- h
				}()
				time.Sleep(100 * time.Millisecond)
				other := start(t, second, "hello second")
				mine := <-got
				for prompt, h := range map[string]*Handle{"hello first": mine, "hello second": other} {
					if i := state(t, h); i.State != session.Completed || *i.Result != "done: "+prompt {
						t.Errorf("%s: %+v", prompt, i)
					}
				}
				store.Settle()
				if s := w.fold(keyS); len(s.Turns) != 2 {
					t.Errorf("%d turns, want 2", len(s.Turns))
				}
			})
		})
	}
}

func closedAfter(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

// TestACallThatMayStillBeOnItsWayIsNotTakenForOneThatDidNotHappen is P4's timing rule: the hook says "no" while the call
// travels, and the call arrives a little later.
func TestACallThatMayStillBeOnItsWayIsNotTakenForOneThatDidNotHappen(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		tool := r.cfg.Agents[0].tool("once")
		act := tool.Call
		tool.Call = func(_ context.Context, c ToolCall) (string, error) {
			time.AfterFunc(tool.Timeout-time.Millisecond, func() { _, _ = act(context.Background(), c) })
			return "", Unclear(errors.New("the connection was cut"))
		}
		i := state(t, start(t, r, "once"))
		if i.State != session.Completed || i.Steps[1].IsError || i.Steps[1].Text != `did {"n":"0.0"}` {
			t.Errorf("%s, the model was told %+v", i.State, i.Steps[1])
		}
	})
}

// TestAHookThatFencesIsBelievedAtOnce: "it did not happen, and will not" needs no waiting.
func TestAHookThatFencesIsBelievedAtOnce(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		tool := r.cfg.Agents[0].tool("once")
		tool.Call = func(context.Context, ToolCall) (string, error) { return "", Unclear(errors.New("cut")) }
		tool.Reconcile = func(context.Context, ToolCall) (Finding, error) {
			return Finding{Outcome: session.DidNotHappen, Fenced: true}, nil
		}
		began := time.Now()
		if i := state(t, start(t, r, "once")); !i.Steps[1].IsError || time.Since(began) > 0 {
			t.Errorf("after %s: %+v", time.Since(began), i.Steps[1])
		}
	})
}
