package agentkernel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// block makes a tool hang until the returned channel is closed or its call is cancelled.
func block(cfg Config, name string) (began chan string, release chan struct{}) {
	began, release = make(chan string, 100), make(chan struct{})
	tool := cfg.Agents[0].tool(name)
	inner := tool.Call
	tool.Timeout = time.Hour
	tool.Call = func(ctx context.Context, c ToolCall) (string, error) {
		began <- c.Turn
		select {
		case <-release:
			return inner(ctx, c)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return began, release
}

func start(t *testing.T, r *replica, prompt string) *Handle {
	t.Helper()
	h, err := r.Start(t.Context(), Request{Session: "s", Prompt: prompt})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func state(t *testing.T, h *Handle) *TurnInfo {
	t.Helper()
	i, err := h.Settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestACancelEndsATurnInEveryState(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		began, _ := block(r.cfg, "read")
		running, queued := start(t, r, "read"), start(t, r, "hello")
		<-began
		for _, h := range []*Handle{queued, running} {
			if _, err := r.Cancel(t.Context(), TurnRef{ID: h.ID()}); err != nil {
				t.Fatal(err)
			}
			if i := state(t, h); i.State != session.Cancelled {
				t.Errorf("turn is %s", i.State)
			}
			if _, err := r.Cancel(t.Context(), TurnRef{ID: h.ID()}); err != nil {
				t.Errorf("cancelled twice: %v", err)
			}
		}
		done := start(t, r, "hello")
		state(t, done)
		if _, err := r.Cancel(t.Context(), TurnRef{ID: done.ID()}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("cancel of a completed turn: %v", err)
		}
		w.checkSteps(w.fold(keyS).Turns[0])
	})
}

func TestACancelAtAnotherReplicaReachesTheCallWithinASecond(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		began, _ := block(r.cfg, "once")
		h := start(t, r, "once")
		<-began
		at := time.Now()
		if _, err := other.Cancel(t.Context(), TurnRef{ID: h.ID(), By: "desk-1"}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Cancelled || time.Since(at) > time.Second {
			t.Errorf("turn is %s after %s", i.State, time.Since(at))
		}
		st := w.fold(keyS).Turns[0].Step("m0.0")
		if st.Doubt == nil || !st.Result.Healed {
			t.Errorf("a call that was on its way is not recorded as in doubt and closed: %+v", st)
		}
	})
}

func TestAPersonSettlesACallInDoubt(t *testing.T) {
	for _, c := range []struct {
		outcome session.Outcome
		effects int
		isError bool
	}{{session.Happened, 0, false}, {session.DidNotHappen, 0, true}, {session.RunAgain, 1, false}} {
		t.Run(string(c.outcome), func(t *testing.T) {
			faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
				tool := r.cfg.Agents[0].tool("ask")
				good := tool.Call
				tool.Call = func(context.Context, ToolCall) (string, error) { return "", Unclear(errors.New("cut")) }
				h := start(t, r, "ask")
				behind := start(t, r, "hello")
				i := state(t, h)
				if i.State != session.Waiting || i.Waiting.Reason != session.WaitInDoubt || i.Waiting.Step != "m0.0" {
					t.Fatalf("turn is %s, %+v", i.State, i.Waiting)
				}
				if b := state(t, behind); b.State != session.Accepted || b.Behind != h.ID() {
					t.Errorf("the turn behind it: %+v", b)
				}
				if _, err := h.Wait(t.Context()); fault.KindOf(err) != fault.Waiting {
					t.Errorf("wait: %v", err)
				}
				tool.Call = good
				if _, err := r.Resolve(t.Context(), TurnRef{ID: h.ID()}, Resolution{Outcome: c.outcome, Result: "paid"}); err != nil {
					t.Fatal(err)
				}
				if i := state(t, h); i.State != session.Completed || i.Steps[1].IsError != c.isError {
					t.Errorf("turn is %s, step %+v", i.State, i.Steps[1])
				}
				if i := state(t, behind); i.State != session.Completed {
					t.Errorf("the turn behind it is %s", i.State)
				}
				if n := len(w.effects); n != c.effects {
					t.Errorf("%d effects, want %d", n, c.effects)
				}
				if _, err := r.Resolve(t.Context(), TurnRef{ID: h.ID()}, Resolution{Outcome: c.outcome}); fault.KindOf(err) != fault.Conflict {
					t.Errorf("resolved twice: %v", err)
				}
			})
		})
	}
}

func TestNobodyAnswersADoubtAndTheTurnFailsWhenTheWaitEnds(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		r.cfg.Agents[0].tool("ask").Call = func(context.Context, ToolCall) (string, error) { return "", Unclear(errors.New("cut")) }
		h := start(t, r, "ask")
		state(t, h)
		time.Sleep(11 * time.Minute)
		if i := state(t, h); i.State != session.Failed || i.Error.Kind != fault.InDoubt {
			t.Errorf("turn is %s, %+v", i.State, i.Error)
		}
	})
}

func TestARetryDoesNotRepeatWhatWasDone(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		sick := true
		r.cfg.Models["test"] = maybe(func(req *model.Request) (*model.Answer, error) {
			if sick && len(req.Messages) > 1 {
				return nil, fault.New(fault.Overloaded, "", "not now")
			}
			return script{w}.Generate(t.Context(), req, nil)
		})
		h := start(t, r, "once")
		if i := state(t, h); i.State != session.Failed || i.Error.Kind != fault.Overloaded {
			t.Fatalf("turn is %s, %+v", i.State, i.Error)
		}
		sick = false
		again, err := r.Retry(t.Context(), TurnRef{ID: h.ID()})
		if err != nil {
			t.Fatal(err)
		}
		twice, err := r.Retry(t.Context(), TurnRef{ID: h.ID()})
		if err != nil || twice.ID() != again.ID() {
			t.Errorf("a second retry is another turn: %v", err)
		}
		if i := state(t, again); i.State != session.Completed || i.RetryOf != h.ID() {
			t.Errorf("%+v", i)
		}
		for key, n := range w.calls {
			if n != 1 {
				t.Errorf("call %s was dispatched %d times", key, n)
			}
		}
		if messages, _ := r.Messages(keyS); len(messages) != 4 {
			t.Errorf("%d messages, want 4: the retry took the failed turn's place", len(messages))
		}
		if _, err := r.Retry(t.Context(), TurnRef{ID: again.ID()}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("retry of a completed turn: %v", err)
		}
	})
}

func TestATurnThatKillsItsOwnersIsQuarantined(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		began, _ := block(r.cfg, "read")
		h := start(t, r, "read")
		<-began
		last := r
		for range 3 {
			last.dead = true
			last.stop()
			cfg := w.config()
			b, _ := block(cfg, "read")
			last = w.replica(cfg, "", 0, "")
			<-b
		}
		last.dead = true
		last.stop()
		final := w.replica(w.config(), "", 0, "")
		defer final.stop()
		fh, _ := final.Turn("", h.ID())
		time.Sleep(5 * time.Second)
		i := state(t, fh)
		if i.State != session.Waiting || i.Waiting.Reason != session.WaitQuarantined {
			t.Fatalf("after 4 owners died the turn is %s, %+v", i.State, i.Waiting)
		}
		if _, err := final.Release(t.Context(), TurnRef{ID: h.ID()}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, fh); i.State != session.Completed {
			t.Errorf("released, it is %s", i.State)
		}
	})
}

func TestTheSameKeyIsTheSameTurn(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		req := Request{Prompt: "once", Key: "k"}
		ids := make(chan string)
		for i := range 20 {
			go func() {
				h, err := []*replica{r, other}[i%2].Start(t.Context(), req)
				if err != nil {
					t.Error(err)
					ids <- ""
					return
				}
				ids <- h.ID()
			}()
		}
		first := <-ids
		for range 19 {
			if id := <-ids; id != first {
				t.Errorf("turns %s and %s for one key", id, first)
			}
		}
		h, _ := r.Turn("", first)
		state(t, h)
		req.Prompt = "another"
		if _, err := other.Start(t.Context(), req); fault.KindOf(err) != fault.KeyMismatch {
			t.Errorf("another body under the key: %v", err)
		}
		time.Sleep(11 * time.Minute)
		if h, err := other.Start(t.Context(), req); err != nil || h.ID() == first {
			t.Errorf("after the retention the key is not free: %v", err)
		}
	})
}

func TestAnErasedSessionLeavesOnlyATombstone(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		began, _ := block(r.cfg, "once")
		h, err := r.Start(t.Context(), Request{Session: "s", Prompt: "once", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		if err := other.Erase(t.Context(), keyS); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the owner meets it
		if n := r.running.Load(); n != 0 {
			t.Errorf("the owner of an erased session still runs it")
		}
		for name, f := range map[string]func() error{
			"turn":    func() error { _, err := h.Info(t.Context()); return err },
			"session": func() error { _, err := r.Session(keyS); return err },
			"key": func() error {
				_, err := r.Start(t.Context(), Request{Session: "s", Prompt: "once", Key: "k"})
				return err
			},
		} {
			if err := f(); fault.KindOf(err) != fault.Gone {
				t.Errorf("%s of an erased session: %v, want Gone", name, err)
			}
		}
		if err := other.Erase(t.Context(), session.Key{ID: "never"}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("erase of nothing: %v", err)
		}
		again := start(t, r, "hello")
		if i := state(t, again); i.State != session.Completed {
			t.Errorf("the id used again: %+v", i)
		}
		if err := func() error { _, err := h.Info(t.Context()); return err }(); fault.KindOf(err) != fault.Gone {
			t.Errorf("a turn of the former life: %v, want Gone", err)
		}
	})
}

func TestAnIdleSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory())
		cfg := w.config()
		cfg.SessionTTL = 10 * time.Minute
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		state(t, start(t, r, "hello"))
		time.Sleep(9 * time.Minute)
		if _, err := r.Session(keyS); err != nil {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := r.Session(keyS); fault.KindOf(err) != fault.Gone {
			t.Errorf("after its time: %v, want Gone", err)
		}
		if i := state(t, start(t, r, "hello")); i.State != session.Completed {
			t.Errorf("the id used again: %+v", i)
		}
	})
}

func TestABusySessionQueuesUpToItsBoundOrRejects(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		began, release := block(r.cfg, "read")
		r.cfg.Agents[0].Limits.Queue = 3
		h := start(t, r, "read")
		<-began
		start(t, r, "hello")
		start(t, r, "hello")
		if _, err := r.Start(t.Context(), Request{Session: "s", Prompt: "x"}); fault.KindOf(err) != fault.Limited {
			t.Errorf("the queue has no bound: %v", err)
		}
		r.cfg.Agents[0].Busy = Reject
		if _, err := r.Start(t.Context(), Request{Session: "s", Prompt: "x"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("reject: %v", err)
		}
		close(release)
		state(t, h)
	})
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		long := make([]byte, 2<<20)
		for name, c := range map[string]struct {
			req  Request
			want fault.Kind
		}{
			"no prompt":     {Request{}, fault.BadRequest},
			"blank":         {Request{Prompt: " \n"}, fault.BadRequest},
			"not UTF-8":     {Request{Prompt: "\xff"}, fault.BadRequest},
			"too long":      {Request{Prompt: string(long)}, fault.TooLarge},
			"no such agent": {Request{Prompt: "x", Agent: "nobody"}, fault.NotFound},
			"session id":    {Request{Prompt: "x", Session: "a/b"}, fault.BadRequest},
			"tenant":        {Request{Prompt: "x", Tenant: "a~b"}, fault.BadRequest},
			"key":           {Request{Prompt: "x", Key: string(long[:300])}, fault.BadRequest},
		} {
			if _, err := r.Start(t.Context(), c.req); fault.KindOf(err) != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
	})
}

func TestARetryOfATurnThatFailedInDoubtAsks(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		r.cfg.Agents[0].tool("fail").Call = func(context.Context, ToolCall) (string, error) { return "", Unclear(errors.New("cut")) }
		h := start(t, r, "fail")
		if i := state(t, h); i.State != session.Failed || i.Error.Kind != fault.InDoubt {
			t.Fatalf("turn is %s, %+v", i.State, i.Error)
		}
		again, err := r.Retry(t.Context(), TurnRef{ID: h.ID()})
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, again); i.State != session.Waiting || i.Waiting.Reason != session.WaitInDoubt {
			t.Fatalf("the retry is %s, %+v", i.State, i.Error)
		}
		if _, err := r.Resolve(t.Context(), TurnRef{ID: again.ID()}, Resolution{Outcome: session.Happened, Result: "paid"}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, again); i.State != session.Completed {
			t.Errorf("resolved, it is %s", i.State)
		}
	})
}
