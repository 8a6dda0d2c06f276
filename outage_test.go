package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// fleet runs f in a bubble with several replicas over one store that can be made to fail for all of them.
func fleet(t *testing.T, n int, change func(*Config), f func(t *testing.T, w *world, store *sessiontest.Faulty, all []*replica)) {
	synctest.Test(t, func(t *testing.T) {
		inner := memory.New()
		store := sessiontest.NewFaulty(inner)
		w := newWorld(t, store)
		w.truth = inner
		var all []*replica
		for range n {
			cfg := w.config()
			change(&cfg)
			r := w.replica(cfg, "", 0, "")
			defer r.stop()
			all = append(all, r)
		}
		time.Sleep(2 * time.Second) // all have seen all
		f(t, w, store, all)
	})
}

// slow makes a tool of the world take its time.
func slow(takes time.Duration) func(*Config) {
	return func(c *Config) {
		for _, tool := range c.Agents[0].Tools {
			if tool.Name == "once" {
				act := tool.Call
				tool.Timeout = 2 * takes
				tool.Call = func(ctx context.Context, call ToolCall) (string, error) {
					if err := sleep(ctx, takes); err != nil {
						return "", err
					}
					return act(ctx, call)
				}
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestAnOutageLongerThanTheLeaseTakesNobodyOver: when the store is back every replica was silent for longer than its lease,
// and none of them is dead (P10).
func TestAnOutageLongerThanTheLeaseTakesNobodyOver(t *testing.T) {
	for _, down := range []time.Duration{800 * time.Millisecond, 3 * time.Second, 20 * time.Second} { // leases are 1 s
		fleet(t, 3, slow(30*time.Second), func(t *testing.T, w *world, store *sessiontest.Faulty, all []*replica) {
			var handles []*Handle
			for i, r := range all {
				h, err := r.Start(t.Context(), Request{Session: fmt.Sprint("s", i), Prompt: "once"})
				if err != nil {
					t.Fatal(err)
				}
				handles = append(handles, h)
			}
			time.Sleep(time.Second)
			store.Always(sessiontest.Fail(errors.New("down")))
			time.Sleep(down)
			store.Always(sessiontest.Pass())
			for i, h := range handles {
				if reply, err := h.Wait(t.Context()); err != nil || reply.Text != "done: once" {
					t.Errorf("down for %s: turn %d: %q, %v", down, i, reply.Text, err)
				}
				if s := w.fold(session.Key{ID: fmt.Sprint("s", i)}); s.Epoch != 1 {
					t.Errorf("down for %s: session %d was claimed %d times", down, i, s.Epoch)
				}
			}
		})
	}
}

// TestTheFirstTimeOutShutsTheGate: what was sent is unknown, what comes next is refused at once and nothing is sent; once
// the store answers again, all goes on without help.
func TestTheFirstTimeOutShutsTheGate(t *testing.T) {
	fleet(t, 1, slow(3*time.Second), func(t *testing.T, w *world, store *sessiontest.Faulty, all []*replica) {
		r := all[0]
		running := start(t, r, "once")
		if _, err := r.Start(t.Context(), Request{Session: "other", Prompt: "hello"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		never := make(chan struct{})
		store.Always(sessiontest.Block(never))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := r.Start(ctx, Request{Session: "other", Prompt: "hello again", Key: "k"}); fault.KindOf(err) != fault.OutcomeUnknown && fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a request that met the outage: %v", err)
		}
		for what, f := range map[string]func() error{
			"a turn": func() error { _, err := r.Start(t.Context(), Request{Prompt: "x"}); return err },
			"the same key": func() error {
				_, err := r.Start(t.Context(), Request{Session: "other", Prompt: "hello again", Key: "k"})
				return err
			},
			"a cancel":           func() error { _, err := r.Cancel(t.Context(), TurnRef{ID: running.ID()}); return err },
			"a look at a turn":   func() error { _, err := running.Info(t.Context()); return err },
			"a list of sessions": func() error { _, err := r.Sessions(t.Context(), session.Query{}); return err },
		} {
			began := time.Now()
			if err := f(); fault.KindOf(err) != fault.Unavailable || fault.After(err) == 0 || time.Since(began) > 0 {
				t.Errorf("%s with the store known to be down, after %s: %v (retry after %s)", what, time.Since(began), err, fault.After(err))
			}
		}
		if h := r.Health(); h.Status != "degraded" || h.MemoryBackend != "disconnected" {
			t.Errorf("health is %+v", h)
		}
		store.Always(sessiontest.Pass())
		close(never)
		if reply, err := running.Wait(t.Context()); err != nil || reply.Text != "done: once" || len(w.effects) != 1 {
			t.Errorf("the running turn: %q, %v, %d effects", reply.Text, err, len(w.effects))
		}
		h, err := r.Start(t.Context(), Request{Session: "other", Prompt: "hello again", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if s := w.fold(session.Key{ID: "other"}); len(s.Turns) != 2 {
			t.Errorf("%d turns, want 2: the key was used once", len(s.Turns))
		}
		if h := r.Health(); h.Status != "healthy" {
			t.Errorf("health is %+v", h)
		}
	})
}

// TestWhileTheGateIsShutOnlyBeatsAreSent: an outage of a minute costs a few probes a second, whatever waits.
func TestWhileTheGateIsShutOnlyBeatsAreSent(t *testing.T) {
	fleet(t, 1, slow(time.Second), func(t *testing.T, w *world, store *sessiontest.Faulty, all []*replica) {
		var handles []*Handle
		for i := range 20 {
			h, err := all[0].Start(t.Context(), Request{Session: fmt.Sprint("s", i), Prompt: "once"})
			if err != nil {
				t.Fatal(err)
			}
			handles = append(handles, h)
		}
		time.Sleep(500 * time.Millisecond)
		store.Always(sessiontest.Fail(errors.New("down")))
		time.Sleep(5 * time.Second)
		store.Reset()
		store.Always(sessiontest.Fail(errors.New("down")))
		time.Sleep(time.Minute)
		if n := store.Count(sessiontest.Append) + store.Count(sessiontest.Read) + store.Count(sessiontest.Heads) + store.Count(sessiontest.Due); n != 0 {
			t.Errorf("%d operations other than beats were sent to a store that is down", n)
		}
		if n := store.Count(sessiontest.Beat); n < 60 || n > 600 {
			t.Errorf("%d beats in a minute", n)
		}
		store.Always(sessiontest.Pass())
		for _, h := range handles {
			if _, err := h.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for key, n := range w.effects {
			if n != 1 {
				t.Errorf("%s acted %d times", key, n)
			}
		}
	})
}

// half is a store of which the sessions whose id begins with "dead" do not answer.
type half struct {
	session.Store
	mu   sync.Mutex
	down bool
}

func (h *half) gone(keys ...session.Key) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		if h.down && strings.HasPrefix(k.ID, "dead") {
			return errors.New("that part is down")
		}
	}
	return nil
}

func (h *half) set(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

func (h *half) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	if err := h.gone(key); err != nil {
		return errors.Join(session.ErrNotSent, err)
	}
	return h.Store.Append(ctx, key, at, rec, next)
}

func (h *half) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	if err := h.gone(key); err != nil {
		return session.Head{}, nil, err
	}
	return h.Store.Read(ctx, key, after, limit)
}

func (h *half) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	heads, err := h.Store.Heads(ctx, keys)
	for i, k := range keys {
		if gone := h.gone(k); gone != nil && err == nil {
			heads[i] = session.Head{}
			defer func() { err = gone }()
		}
	}
	return heads, h.gone(keys...)
}

func (h *half) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	heads, err := h.Store.Due(ctx, owner, before, limit)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down && err == nil {
		var rest []session.Head
		for _, head := range heads {
			if !strings.HasPrefix(head.Key.ID, "dead") {
				rest = append(rest, head)
			}
		}
		return rest, errors.New("a part is down")
	}
	return heads, err
}

// TestAPartOfTheStoreThatIsDownStopsOnlyItsSessions: others start, end, wake up and are followed as ever (P9).
func TestAPartOfTheStoreThatIsDownStopsOnlyItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &half{Store: memory.New()}
		w := newWorld(t, store)
		r, other := w.replica(w.config(), "", 0, ""), w.replica(w.config(), "", 0, "")
		defer r.stop()
		defer other.stop()
		time.Sleep(2 * time.Second)
		sleeping, err := r.Start(t.Context(), Request{Session: "asleep", Agent: "sleepy", Prompt: "x"})
		if err != nil {
			t.Fatal(err)
		}
		store.set(true)
		for i := range 50 {
			if _, err := r.Start(t.Context(), Request{Session: fmt.Sprint("dead", i), Prompt: "hello"}); fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("a session of the part that is down: %v", err)
			}
			h, err := r.Start(t.Context(), Request{Session: fmt.Sprint("alive", i), Prompt: "hello"})
			if err != nil {
				t.Fatalf("a session of the part that answers: %v", err)
			}
			there, err := other.Turn("", h.ID())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := there.Wait(t.Context()); err != nil {
				t.Fatalf("followed at the other replica: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(31 * time.Second)
		if i, err := sleeping.Info(t.Context()); err != nil || i.Waiting == nil || i.Waiting.Reason != session.WaitApproval {
			t.Errorf("the turn that slept: %+v, %v, want that it woke up and asked", i, err)
		}
		store.set(false)
	})
}

// TestAfterAnOutageWhatTheStoreLostIsPutBackUnasked: behind the outage is a failover to a server that knows less. Sessions
// that nobody uses are looked after too, whole ones and their last records (P11).
func TestAfterAnOutageWhatTheStoreLostIsPutBackUnasked(t *testing.T) {
	for _, left := range []int{0, 2} { // records that the store still has
		synctest.Test(t, func(t *testing.T) {
			inner := newRewound()
			store := sessiontest.NewFaulty(inner)
			w := newWorld(t, store)
			w.truth = inner
			r := w.replica(w.config(), "", 0, "")
			defer r.stop()
			for range 2 {
				if _, err := start(t, r, "hello").Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			want := inner.records(t)
			store.Always(sessiontest.Fail(errors.New("down")))
			time.Sleep(3 * time.Second)
			inner.rewind(t, left)
			store.Always(sessiontest.Pass())
			time.Sleep(3 * time.Second)
			if got := inner.records(t); len(got) != len(want) || got[len(got)-1].ID != want[len(want)-1].ID {
				t.Errorf("with %d records left: %d records after the outage, want %d", left, len(got), len(want))
			}
			if h := r.Health(); h.Rollbacks != 1 || h.Reappended != int64(len(want)-left) {
				t.Errorf("with %d records left: %d rollbacks, %d records put back", left, h.Rollbacks, h.Reappended)
			}
		})
	}
}
