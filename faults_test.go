package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

var keyS = session.Key{ID: "s"}

// faulty runs f in a bubble with one replica over a store that can be made to fail.
func faulty(t *testing.T, f func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica)) {
	synctest.Test(t, func(t *testing.T) {
		store := sessiontest.NewFaulty(memory.New())
		w := newWorld(t, store)
		r := w.replica(w.config(), "", 0, "")
		defer r.stop()
		synctest.Wait()
		f(t, w, store, r)
	})
}

func TestAnAcceptanceThatWasNotSentIsRefusedAndLeavesNothing(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		store.Next(sessiontest.Append, sessiontest.NotSent())
		_, err := r.Start(t.Context(), Request{Session: "s", Prompt: "hello"})
		if fault.KindOf(err) != fault.Unavailable || fault.After(err) == 0 {
			t.Errorf("got %v, want Unavailable with a hint", err)
		}
		if s := w.fold(keyS); len(s.Turns) != 0 {
			t.Errorf("a refused turn is in the journal")
		}
		if h := r.Health(); h.Status != "degraded" || h.MemoryBackend != "disconnected" {
			t.Errorf("health is %+v", h)
		}
	})
}

func TestALostAnswerIsFoundOutByReading(t *testing.T) {
	for name, fault := range map[string]func(chan struct{}) sessiontest.Fault{
		"committed, answer lost":     func(chan struct{}) sessiontest.Fault { return sessiontest.Lose() },
		"not committed, answer lost": func(chan struct{}) sessiontest.Fault { return sessiontest.Vanish() },
		"committed late":             func(c chan struct{}) sessiontest.Fault { return sessiontest.Late(c) },
	} {
		t.Run(name, func(t *testing.T) {
			for nth := range 4 { // every append of the turn
				faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
					release := make(chan struct{})
					for range nth {
						store.Next(sessiontest.Append, sessiontest.Pass())
					}
					store.Next(sessiontest.Append, fault(release))
					time.AfterFunc(300*time.Millisecond, func() { close(release) })
					h, err := r.Start(t.Context(), Request{Session: "s", Prompt: "once"})
					if err != nil {
						t.Fatal(err)
					}
					reply, err := h.Wait(t.Context())
					if err != nil || reply.Text != "done: once" {
						t.Errorf("append %d: %q, %v", nth, reply.Text, err)
					}
					store.Settle()
					if s := w.fold(keyS); s.At.Len != 4 || len(w.effects) != 1 {
						t.Errorf("append %d: %d records, %d effects", nth, s.At.Len, len(w.effects))
					}
				})
			}
		})
	}
}

func TestAnAcceptanceWhoseFateIsUnknownIsNotCalledRefused(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		store.Next(sessiontest.Append, sessiontest.Lose())
		store.Always(sessiontest.Fail(errors.New("no answer")), sessiontest.Read)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Start(ctx, Request{Session: "t", Prompt: "hello", Key: "k"})
		if fault.KindOf(err) != fault.Unavailable { // the session could not even be loaded
			t.Errorf("got %v, want Unavailable", err)
		}
		store.Always(sessiontest.Pass(), sessiontest.Read)
		if _, err := r.Session(session.Key{ID: "t"}); fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		store.Next(sessiontest.Read, sessiontest.Pass())
		h, err := r.Start(t.Context(), Request{Session: "s", Prompt: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.Next(sessiontest.Append, sessiontest.Lose())
		store.Always(sessiontest.Fail(errors.New("no answer")), sessiontest.Read)
		ctx, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		if _, err = r.Start(ctx, Request{Session: "s", Prompt: "hello again", Key: "k"}); fault.KindOf(err) != fault.OutcomeUnknown {
			t.Errorf("got %v, want OutcomeUnknown", err)
		}
		store.Always(sessiontest.Pass(), sessiontest.Read)
		h, err = r.Start(t.Context(), Request{Session: "s", Prompt: "hello again", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if reply, err := h.Wait(t.Context()); err != nil || reply.Text != "done: hello again" {
			t.Errorf("%q, %v", reply.Text, err)
		}
		if s := w.fold(keyS); len(s.Turns) != 2 {
			t.Errorf("%d turns, want 2: the same key is the same turn", len(s.Turns))
		}
	})
}

func TestWorkThatIsPaidForWaitsForTheStore(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		store.Next(sessiontest.Append, sessiontest.Pass())
		store.Always(sessiontest.NotSent(), sessiontest.Append)
		h, err := r.Start(t.Context(), Request{Session: "s", Prompt: "once"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		w.mu.Lock()
		if w.models != 1 || len(w.effects) != 0 {
			t.Errorf("with the store down: %d model calls, %d effects, want the first call only", w.models, len(w.effects))
		}
		w.mu.Unlock()
		store.Always(sessiontest.Pass(), sessiontest.Append)
		if reply, err := h.Wait(t.Context()); err != nil || reply.Text != "done: once" {
			t.Errorf("%q, %v", reply.Text, err)
		}
		if w.models != 2 {
			t.Errorf("%d model calls, want 2: none is repeated", w.models)
		}
	})
}

func TestAStoreOutageIsNeverReadAsANewSession(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, store *sessiontest.Faulty, r *replica) {
		store.Always(sessiontest.Fail(errors.New("down")))
		for what, f := range map[string]func() error{
			"start":   func() error { _, err := r.Start(t.Context(), Request{Session: "s", Prompt: "x"}); return err },
			"session": func() error { _, err := r.Session(keyS); return err },
			"list":    func() error { _, err := r.Sessions(t.Context(), session.Query{}); return err },
			"turn": func() error {
				h, _ := r.Turn("", "s~1.1.0.00000000")
				_, err := h.Info(t.Context())
				return err
			},
		} {
			if err := f(); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s with the store down: %v, want Unavailable", what, err)
			}
		}
		store.Always(sessiontest.Pass())
	})
}

func TestACorruptRecordIsAClearErrorOfThatSessionAlone(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		bad := session.Record{Life: 1, Seq: 1, ID: "00", Data: []byte("not what was written")}
		if err := store.Append(t.Context(), session.Key{ID: "bad"}, session.Position{}, bad, session.Attention{Due: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Start(t.Context(), Request{Session: "bad", Prompt: "x"}); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("got %v, want Corrupt", err)
		}
		h, err := r.Start(t.Context(), Request{Session: "s", Prompt: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Wait(t.Context()); err != nil {
			t.Errorf("another session: %v", err)
		}
		if turns, _, err := r.Turns(t.Context(), TurnQuery{}); err != nil || len(turns) != 1 {
			t.Errorf("%d turns listed, %v", len(turns), err)
		}
	})
}

// TestManySessionsThatCannotBeReadDoNotHoldUpTheOthers: they are due, and older than a page of them.
func TestManySessionsThatCannotBeReadDoNotHoldUpTheOthers(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		h, err := r.Start(t.Context(), Request{Session: "s", Agent: "sleepy", Prompt: "x"})
		if err != nil {
			t.Fatal(err)
		}
		state(t, h)
		for n := range 3 * sweepPage {
			bad := session.Record{Life: 1, Seq: 1, ID: "00", Data: []byte("not what was written")}
			if err := store.Append(t.Context(), session.Key{ID: fmt.Sprint("bad", n)}, session.Position{}, bad, session.Attention{Due: 1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(40 * time.Second)
		if i := state(t, h); i.Waiting == nil || i.Waiting.Reason != session.WaitApproval {
			t.Errorf("a sleeper behind them is %s, %+v", i.State, i.Waiting)
		}
	})
}

// TestAnUnknownOutcomeNamesTheTurnThatMayExist: the store takes the record and never answers; the client's time is over.
func TestAnUnknownOutcomeNamesTheTurnThatMayExist(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		state(t, start(t, r, "hello"))
		release := make(chan struct{})
		store.Next(sessiontest.Append, sessiontest.Block(release))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h, err := r.Start(ctx, Request{Session: "s", Prompt: "once"})
		if fault.KindOf(err) != fault.OutcomeUnknown || h == nil {
			t.Fatalf("got %v, %v, want OutcomeUnknown and a handle", h, err)
		}
		if _, err := h.Settle(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("before it is decided: %v, want Unavailable", err)
		}
		close(release)
		synctest.Wait()
		if i := state(t, h); i.State != session.Completed || i.Prompt != "once" {
			t.Errorf("the turn that was named: %+v", i)
		}
	})
}

func TestAStoreThatIsKnownToBeDownRefusesAtOnce(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, store *sessiontest.Faulty, r *replica) {
		never := make(chan struct{})
		store.Always(sessiontest.Block(never))
		time.Sleep(3 * time.Second) // the lease has run out
		began := time.Now()
		if _, err := r.Start(t.Context(), Request{Prompt: "x"}); fault.KindOf(err) != fault.Unavailable || time.Since(began) > 0 {
			t.Errorf("after %s: %v, want Unavailable at once", time.Since(began), err)
		}
		store.Always(sessiontest.Pass())
		close(never)
		time.Sleep(time.Second)
		if i := state(t, start(t, r, "hello")); i.State != session.Completed {
			t.Errorf("the store is back: %s", i.State)
		}
	})
}

// TestAResendThatIsRefusedIsNotRepeatedWithoutPause: virtual time stands still in a loop that does not wait, so that this
// test would never end.
func TestAResendThatIsRefusedIsNotRepeatedWithoutPause(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		state(t, start(t, r, "hello"))
		store.Reset()
		store.Next(sessiontest.Append, sessiontest.Vanish())
		store.Always(sessiontest.NotSent(), sessiontest.Append)
		time.AfterFunc(10*time.Second, func() { store.Always(sessiontest.Pass(), sessiontest.Append) })
		h := start(t, r, "once")
		if i := state(t, h); i.State != session.Completed || len(w.effects) != 1 {
			t.Errorf("%s, %d effects", i.State, len(w.effects))
		}
		if n := store.Count(sessiontest.Append); n > 150 {
			t.Errorf("%d appends in 10 s", n)
		}
	})
}

// TestAFoldThatIsGoneIsReadAgainAndNotTakenForAnEmptyOne: in the middle of a turn the fold is dropped and the store cannot
// be read for a while. The turn waits, does not fail, and repeats nothing.
func TestAFoldThatIsGoneIsReadAgainAndNotTakenForAnEmptyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memory.New()
		store := sessiontest.NewFaulty(inner)
		w := newWorld(t, store)
		w.truth = inner
		cfg := w.config()
		between := make(chan struct{})
		cfg.Agents[0].Runner = RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
			if _, err := tu.Tool(ctx, "once", map[string]int{}); err != nil {
				return Reply{}, err
			}
			<-between
			for _, name := range []string{"read", "idem", "ask"} {
				if _, err := tu.Tool(ctx, name, map[string]int{}); err != nil {
					return Reply{}, err
				}
			}
			return Reply{Text: "done"}, nil
		})
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		h := start(t, r, "x")
		synctest.Wait()
		j := r.open(keyS)
		j.mu.Lock()
		j.s = nil
		j.mu.Unlock()
		j.unpin()
		store.Always(sessiontest.Fail(errors.New("no answer")), sessiontest.Read)
		time.AfterFunc(2*time.Second, func() { store.Always(sessiontest.Pass(), sessiontest.Read) })
		close(between)
		time.Sleep(5 * time.Second)
		if i := state(t, h); i.State != session.Completed || len(w.effects) != 4 {
			t.Errorf("%s %+v, %d effects", i.State, i.Error, len(w.effects))
		}
		for key, n := range w.calls {
			if n != 1 {
				t.Errorf("call %s was dispatched %d times", key, n)
			}
		}
	})
}
