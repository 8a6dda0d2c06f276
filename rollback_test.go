package agentkernel

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// rewound is a store that can be replaced by an older copy of itself, as a restore or a failover may do.
type rewound struct {
	session.Store // the first one, for what does not matter here
	now           atomic.Pointer[memory.Store]
}

func newRewound() *rewound {
	m := memory.New()
	r := &rewound{Store: m}
	r.now.Store(m)
	return r
}

func (r *rewound) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	return r.now.Load().Append(ctx, key, at, rec, next)
}

func (r *rewound) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	return r.now.Load().Read(ctx, key, after, limit)
}

func (r *rewound) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	return r.now.Load().Heads(ctx, keys)
}

func (r *rewound) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	return r.now.Load().Due(ctx, owner, before, limit)
}

func (r *rewound) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	return r.now.Load().Erase(ctx, key, at, tomb)
}

func (r *rewound) Beat(ctx context.Context, rep session.Replica) error {
	if first := r.Store.(*memory.Store); first != r.now.Load() {
		_ = r.now.Load().Beat(ctx, rep) // for its clockwork
	}
	return r.Store.Beat(ctx, rep)
}

// records are those of the test's session.
func (r *rewound) records(t *testing.T) []session.Record {
	t.Helper()
	_, records, err := r.Read(t.Context(), keyS, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// rewind puts the store as it was after n records of the session in its place.
func (r *rewound) rewind(t *testing.T, n int) {
	t.Helper()
	older, at := memory.New(), session.Position{}
	s := &session.Session{Key: keyS}
	for _, rec := range r.records(t)[:n] {
		if err := s.Apply(rec); err != nil {
			t.Fatal(err)
		}
		if err := older.Append(t.Context(), keyS, at, rec, s.Attention(0)); err != nil {
			t.Fatal(err)
		}
		at = rec.Position()
	}
	r.now.Store(older)
}

// rolled is a world with a store that can go back and a replica whose tool can be held up.
type rolled struct {
	*world
	store *rewound
	r     *replica
	seen  *counting
	began chan struct{} // the tool was called
	gate  chan struct{} // it may go on
}

func rolling(t *testing.T, f func(t *testing.T, x *rolled)) {
	synctest.Test(t, func(t *testing.T) {
		x := &rolled{store: newRewound(), seen: &counting{}, began: make(chan struct{}, 9), gate: make(chan struct{})}
		x.world = newWorld(t, x.store)
		cfg := x.config()
		cfg.Observer = x.seen
		tool := cfg.Agents[0].tool("idem")
		act := tool.Call
		tool.Timeout = time.Hour
		tool.Call = func(ctx context.Context, c ToolCall) (string, error) {
			x.began <- struct{}{}
			select {
			case <-x.gate:
			case <-ctx.Done():
				return "", ctx.Err()
			}
			return act(ctx, c)
		}
		x.r = x.replica(cfg, "", 0, "")
		defer x.r.stop()
		f(t, x)
	})
}

// held changes what the replica holds of the session.
func (x *rolled) held(change func([]session.Record) []session.Record) {
	j := x.r.open(keyS)
	defer j.unpin()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = change(j.held)
}

func (x *rolled) want(t *testing.T, rollbacks, reappended int64) {
	t.Helper()
	h := x.r.Health()
	if n := x.seen.rollbacks.Load(); n != rollbacks || h.Rollbacks != rollbacks || h.Reappended != reappended {
		t.Errorf("%d rollbacks reported, health says %d with %d records, want %d with %d", n, h.Rollbacks, h.Reappended, rollbacks, reappended)
	}
}

// TestWhatTheStoreLostIsPutBackByWhoHoldsIt: byte for byte, and nobody who was answered notices.
func TestWhatTheStoreLostIsPutBackByWhoHoldsIt(t *testing.T) {
	for n := range 4 {
		rolling(t, func(t *testing.T, x *rolled) {
			first, second := start(t, x.r, "hello"), (*Handle)(nil)
			state(t, first)
			second = start(t, x.r, "hello again")
			state(t, second)
			had := x.store.records(t)
			x.store.rewind(t, n)
			if i := state(t, start(t, x.r, "hello once more")); i.State != session.Completed {
				t.Errorf("the session does not go on: %s", i.State)
			}
			has := x.store.records(t)
			for i, rec := range had {
				if has[i].ID != rec.ID || string(has[i].Data) != string(rec.Data) {
					t.Errorf("record %d is another one", i+1)
				}
			}
			x.want(t, 1, int64(len(had)-n))
			for _, h := range []*Handle{first, second} {
				if i, err := h.Info(t.Context()); err != nil || i.State != session.Completed {
					t.Errorf("%+v, %v", i, err)
				}
			}
			if s := x.fold(keyS); len(s.Turns) != 3 {
				t.Errorf("%d turns", len(s.Turns))
			}
		})
	}
}

// TestARunningTurnOutlivesARollback: twice, and while its tool is at work.
func TestARunningTurnOutlivesARollback(t *testing.T) {
	rolling(t, func(t *testing.T, x *rolled) {
		state(t, start(t, x.r, "hello"))
		h := start(t, x.r, "read|idem")
		<-x.began
		had := int64(len(x.store.records(t)))
		x.store.rewind(t, 3)
		time.Sleep(2 * pollMax)
		x.want(t, 1, had-3)
		x.store.rewind(t, 1)
		time.Sleep(2 * pollMax)
		x.want(t, 2, 2*had-4)
		close(x.gate)
		if i := state(t, h); i.State != session.Completed || x.models != 4 {
			t.Errorf("it is %s after %d model calls", i.State, x.models)
		}
	})
}

// TestATurnWhoseRecordsAreGoneWaitsForAPerson: they are not held any more, so what it did is not known.
func TestATurnWhoseRecordsAreGoneWaitsForAPerson(t *testing.T) {
	rolling(t, func(t *testing.T, x *rolled) {
		h := start(t, x.r, "read|idem")
		<-x.began
		x.held(func(all []session.Record) []session.Record { return all[len(all)-1:] })
		n := len(x.store.records(t)) - 2
		x.store.rewind(t, n)
		i := state(t, h)
		if i.State != session.Waiting || i.Waiting.Reason != session.WaitQuarantined || !strings.Contains(i.Waiting.Detail, "lost 2 records") {
			t.Fatalf("it is %s, %+v", i.State, i.Waiting)
		}
		x.want(t, 1, 0)
		close(x.gate)
		if _, err := x.r.Release(t.Context(), TurnRef{ID: h.ID()}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Completed {
			t.Errorf("released it is %s, %+v", i.State, i.Waiting)
		}
		if i := state(t, start(t, x.r, "hello")); i.State != session.Completed {
			t.Errorf("the next turn is %s", i.State)
		}
	})
}

// TestAHistoryThatParted is left as it is: a replica that had not seen the lost records wrote in their place.
func TestAHistoryThatPartedIsNotMixed(t *testing.T) {
	rolling(t, func(t *testing.T, x *rolled) {
		other := x.replica(x.config(), "", 0, "")
		defer other.stop()
		h := start(t, x.r, "read|idem")
		<-x.began
		x.store.rewind(t, 1)
		queued, err := other.Start(t.Context(), Request{Session: "s", Prompt: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		i := state(t, h)
		if i.State != session.Waiting || i.Waiting.Reason != session.WaitQuarantined {
			t.Fatalf("it is %s, %+v", i.State, i.Waiting)
		}
		x.want(t, 1, 0)
		if _, err := x.r.Discard(t.Context(), TurnRef{ID: h.ID()}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, queued); i.State != session.Completed {
			t.Errorf("what the other one accepted is %s", i.State)
		}
	})
}

// TestALostTurnThatNobodyHoldsIsCalledLost: an idle session goes on from what is left.
func TestALostTurnThatNobodyHoldsIsCalledLost(t *testing.T) {
	rolling(t, func(t *testing.T, x *rolled) {
		kept := start(t, x.r, "hello")
		state(t, kept)
		n := len(x.store.records(t))
		lost := start(t, x.r, "hello again")
		state(t, lost)
		x.held(func([]session.Record) []session.Record { return nil })
		x.store.rewind(t, n)
		if i := state(t, start(t, x.r, "hello once more")); i.State != session.Completed {
			t.Errorf("the session does not go on: %s", i.State)
		}
		x.want(t, 1, 0)
		if _, err := lost.Info(t.Context()); fault.KindOf(err) != fault.LostByStore || x.seen.lost.Load() == 0 {
			t.Errorf("the lost turn: %v, want LostByStore", err)
		}
		if i, err := kept.Info(t.Context()); err != nil || i.State != session.Completed {
			t.Errorf("the turn that was kept: %+v, %v", i, err)
		}
	})
}

// TestAnErasedSessionIsNotTakenForALostOne: not even when its tombstone has gone too.
func TestAnErasedSessionIsNotTakenForALostOne(t *testing.T) {
	rolling(t, func(t *testing.T, x *rolled) {
		h := start(t, x.r, "hello")
		state(t, h)
		other := x.replica(x.config(), "", 0, "")
		defer other.stop()
		if err := other.Erase(t.Context(), keyS); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute) // beats drop the tombstone
		if heads, err := x.store.Heads(t.Context(), []session.Key{keyS}); err != nil || heads[0].Tomb != nil {
			t.Fatalf("%+v, %v", heads, err)
		}
		if _, err := h.Info(t.Context()); err == nil {
			t.Error("the erased turn is still told of")
		}
		x.want(t, 0, 0)
		if n := len(x.store.records(t)); n != 0 {
			t.Errorf("%d records are back", n)
		}
	})
}

// TestTwoSurvivorsPutBackTogetherWhatTheStoreLost: each record once.
func TestTwoSurvivorsPutBackTogetherWhatTheStoreLost(t *testing.T) {
	rolling(t, func(t *testing.T, x *rolled) {
		other := x.replica(x.config(), "", 0, "")
		defer other.stop()
		h := start(t, x.r, "read|read|idem")
		oh, err := other.Turn("", h.ID())
		if err != nil {
			t.Fatal(err)
		}
		<-x.began
		if _, err := oh.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		had := x.store.records(t)
		x.store.rewind(t, 1)
		var wg sync.WaitGroup
		for _, h := range []*Handle{h, oh} {
			wg.Go(func() {
				if _, err := h.Info(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if has := x.store.records(t); len(has) != len(had) || has[len(has)-1].ID != had[len(had)-1].ID {
			t.Errorf("%d records, want %d", len(has), len(had))
		}
		if a, b := x.r.Health().Reappended, other.Health().Reappended; a+b != int64(len(had)-1) {
			t.Errorf("%d and %d records were put back, want %d", a, b, len(had)-1)
		}
		close(x.gate)
		if i := state(t, h); i.State != session.Completed {
			t.Errorf("it is %s", i.State)
		}
	})
}
