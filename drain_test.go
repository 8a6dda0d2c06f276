package agentkernel

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestADrainHandsARunningTurnOverAtItsNextStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		began, release := block(cfg, "once")
		leaving := w.replica(cfg, "", 0, "")
		defer leaving.stop()
		staying := w.replica(w.config(), "", 0, "")
		defer staying.stop()
		time.Sleep(time.Second) // they have seen each other
		h := start(t, leaving, "once|idem")
		<-began
		drained := make(chan time.Time, 1)
		go func() {
			if err := leaving.Drain(t.Context(), 2*time.Second, 30*time.Second); err != nil {
				t.Error(err)
			}
			drained <- time.Now()
		}()
		time.Sleep(time.Second)
		if hl := leaving.Health(); hl.Status != "unhealthy" || hl.Runtime != "draining" {
			t.Errorf("health while draining: %+v", hl)
		}
		late, err := leaving.Start(t.Context(), Request{Session: "late", Prompt: "read"})
		if err != nil {
			t.Fatalf("a request during drain.delay: %v", err)
		}
		if i := state(t, late); i.State != session.Completed {
			t.Errorf("a request during drain.delay is %s", i.State)
		}
		time.Sleep(3 * time.Second)
		close(release)
		boundary := time.Now()
		if i := state(t, h); i.State != session.Completed || i.Recoveries != 0 {
			t.Errorf("the turn is %s, recoveries %d", i.State, i.Recoveries)
		}
		if d := time.Since(boundary); d > time.Second {
			t.Errorf("handed over %s after the step boundary", d)
		}
		<-drained
		for key, n := range w.calls {
			if n != 1 {
				t.Errorf("call %s was dispatched %d times", key, n)
			}
		}
		replicas, _ := w.store.Replicas(t.Context())
		if len(replicas) != 1 {
			t.Errorf("%d replicas are registered, want the one that stays", len(replicas))
		}
	})
}

func TestALoneReplicaFinishesShortTurnsAndLeavesLongOnesForLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		began, release := block(cfg, "read")
		stuck, _ := block(cfg, "once")
		r := w.replica(cfg, "", 0, "")
		short, err := r.Start(t.Context(), Request{Session: "short", Prompt: "read"})
		if err != nil {
			t.Fatal(err)
		}
		long := start(t, r, "once")
		<-began
		<-stuck
		time.AfterFunc(time.Second, func() { close(release) })
		go func() { _ = r.Drain(t.Context(), 0, 10*time.Second) }()
		if i := state(t, short); i.State != session.Completed {
			t.Errorf("the short turn is %s", i.State)
		}
		if _, err := r.Start(t.Context(), Request{Prompt: "hello"}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a request while the only replica leaves: %v, want Unavailable", err)
		}
		time.Sleep(12 * time.Second)
		r.stop()
		s := w.fold(keyS)
		if s.Owner != "" || s.Current().Step("m0.0").State != session.StepUnclear {
			t.Errorf("a call that was cut off: owner %q, step %+v", s.Owner, s.Current().Step("m0.0"))
		}
		next := w.replica(w.config(), "", 0, "")
		defer next.stop()
		h, _ := next.Turn("", long.ID())
		if i := state(t, h); i.State != session.Completed || len(w.effects) > 2 {
			t.Errorf("the long turn is %s, %d effects", i.State, len(w.effects))
		}
	})
}

// TestADeadOwnersTurnsAreTakenOverInTime is P10 in virtual time: lease TTL and a second, whatever the length of the call.
func TestADeadOwnersTurnsAreTakenOverInTime(t *testing.T) {
	for _, phase := range []time.Duration{0, 100, 333, 500, 777, 999} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, memory.New())
			cfg := w.config()
			began, _ := block(cfg, "read")
			owner := w.replica(cfg, "", 0, "")
			other := w.replica(w.config(), "", 0, "")
			defer other.stop()
			h := start(t, owner, "read")
			<-began
			time.Sleep(3*time.Second + phase*time.Millisecond)
			owner.mu.Lock()
			owner.dead = true
			owner.mu.Unlock()
			died := time.Now()
			oh, _ := other.Turn("", h.ID())
			if i := state(t, oh); i.State != session.Completed {
				t.Errorf("it is %s", i.State)
			}
			if d := time.Since(died); d > 2*time.Second {
				t.Errorf("taken over and finished after %s, lease TTL is 1s", d)
			}
			owner.stop()
		})
	}
}

// TestALivingOwnerIsNeverTakenOver: the call is long, the owner beats.
func TestALivingOwnerIsNeverTakenOver(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		began, release := block(r.cfg, "once")
		h := start(t, r, "once")
		<-began
		time.Sleep(5 * time.Minute)
		close(release)
		if i := state(t, h); i.State != session.Completed || i.Recoveries != 0 || w.fold(keyS).Epoch != 1 {
			t.Errorf("it is %s in epoch %d", i.State, w.fold(keyS).Epoch)
		}
	})
}

func TestRunningTurnsAreBoundedAndTheRestWaitsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		cfg.MaxRunning = 2
		began, release := block(cfg, "read")
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		var handles []*Handle
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			h, err := r.Start(t.Context(), Request{Session: id, Prompt: "read"})
			if err != nil {
				t.Fatal(err)
			}
			handles = append(handles, h)
		}
		<-began
		<-began
		time.Sleep(5 * time.Second)
		if len(began) != 0 || r.running.Load() != 2 {
			t.Errorf("%d run at a time, the bound is 2", r.running.Load())
		}
		close(release)
		for _, h := range handles {
			if i := state(t, h); i.State != session.Completed {
				t.Errorf("turn is %s", i.State)
			}
		}
	})
}

// TestAnIntentThatWasNotDispatchedIsTakenBack: the turn is stopped between the journaled intent and the dispatch. The
// process knows that nothing was sent, so nobody has to ask.
func TestAnIntentThatWasNotDispatchedIsTakenBack(t *testing.T) {
	for name, stop := range map[string]func(r, other *replica, h *Handle){
		"hand-over": func(r, _ *replica, _ *Handle) { r.interrupt(errDrain) },
		"cancel": func(_, other *replica, h *Handle) {
			if _, err := other.Cancel(context.Background(), TurnRef{ID: h.ID()}); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second) // the owner hears of it
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New())
				cfg := w.config()
				cfg.LeaseTTL = time.Minute
				r := w.replica(cfg, failpoint.ToolBefore, 1, "stall")
				defer r.stop()
				other := w.replica(w.config(), "", 0, "")
				defer other.stop()
				h := start(t, r, "ask")
				<-r.struck
				stop(r, other, h)
				r.thaw()
				i := state(t, h)
				st := w.fold(keyS).Turns[0].Step("m0.0")
				if st.Doubt != nil {
					t.Errorf("a call that was not dispatched is in doubt: %+v", st)
				}
				if name == "cancel" && (i.State != session.Cancelled || len(w.effects) != 0 || !st.Result.Healed) {
					t.Errorf("%s, %d effects, %+v", i.State, len(w.effects), st.Result)
				}
				if name == "hand-over" && (i.State != session.Completed || len(w.effects) != 1) {
					t.Errorf("%s, %d effects", i.State, len(w.effects))
				}
			})
		})
	}
}
