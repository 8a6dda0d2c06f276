package sessiontest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// histories runs one history over two handles on a memory store, each bent.
func histories(t *testing.T, bend func(*broken)) bool {
	t.Helper()
	r := perform(t, around(bend), historyChecks[0])
	return len(r.problems) == 0
}

func TestHistoriesOfBrokenStoresHaveNoOrder(t *testing.T) {
	for name, bend := range map[string]func(*broken){
		"no guard":         guess(func(at *session.Position, s session.Position) { *at = s }),
		"check, then act":  checkThenAct,
		"stale reads":      staleReads,
		"torn reads":       tornRead,
		"forgotten life":   keptBreakages[1].bend,
		"unguarded erase":  keptBreakages[4].bend,
		"checks the erase": keptBreakages[6].bend,
	} {
		// Some faults need an unlucky moment, so they get many chances to show; most show at once.
		caught := false
		for range 400 {
			caught = caught || !histories(t, bend)
		}
		if !caught {
			t.Errorf("%s: 400 histories were found linearizable", name)
		}
	}
}

func TestHistoriesWithLostAnswersAndLateWritesHaveAnOrder(t *testing.T) {
	for seed := range uint64(5) {
		inner := memory.New()
		release := make(chan struct{})
		var stores []session.Store
		var faulty []*Faulty
		for n := range uint64(2) {
			f, rng := NewFaulty(inner), rand.New(rand.NewPCG(seed, n))
			f.Decide(func(m Method, _ session.Key) Fault {
				if m != Append && m != Erase {
					return Pass()
				}
				return []Fault{Pass(), Pass(), Pass(), NotSent(), Vanish(), Lose(), Late(release)}[rng.IntN(7)]
			})
			stores, faulty = append(stores, f), append(faulty, f)
		}
		half := history(t.Context(), stores, 4, 20, seed)
		close(release)
		for _, f := range faulty {
			f.Settle()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if len(half) > 0 {
			t.Errorf("seed %d: no order explains a history with lost answers: %v", seed, half)
		}
	}
}

func TestFaultsDoWhatTheySay(t *testing.T) {
	ctx, key := t.Context(), session.Key{ID: "a"}
	f := NewFaulty(memory.New())
	defer f.Close()
	length := func() uint64 {
		heads, err := f.inner.Heads(ctx, []session.Key{key})
		if err != nil {
			t.Fatal(err)
		}
		return heads[0].Len
	}
	var at session.Position
	put := func(ctx context.Context) error {
		rec := record(at, "x")
		err := f.Append(ctx, key, at, rec, session.Attention{})
		if err == nil {
			at = rec.Position()
		}
		return err
	}
	release := make(chan struct{})
	f.Next(Append, NotSent(), Vanish(), Fail(session.ErrConflict), Late(release))
	for i, want := range []struct {
		notSent, conflict bool
	}{{notSent: true}, {}, {conflict: true}, {}} {
		if err := put(ctx); err == nil || isNotSent(err) != want.notSent || isConflict(err) != want.conflict || length() != 0 {
			t.Errorf("fault %d: error %v, length %d", i, err, length())
		}
	}
	close(release)
	f.Settle()
	if length() != 1 {
		t.Errorf("length %d after the late call was released, want 1", length())
	}
	at = record(at, "x").Position()
	f.Next(Append, Lose(), Pass())
	if err := put(ctx); err == nil || isNotSent(err) || isConflict(err) || length() != 2 {
		t.Errorf("a lost answer: %v, length %d; want an unknown outcome and 2", err, length())
	}
	ended, cancel := context.WithCancel(ctx)
	never := make(chan struct{})
	f.Next(Append, Pass(), Block(never))
	at = record(at, "x").Position()
	if err := put(ctx); !isNotSent(err) && err != nil {
		t.Errorf("a passed call: %v", err)
	}
	cancel()
	if err := put(ended); !isNotSent(err) {
		t.Errorf("a blocked call whose context ended: %v, want not sent", err)
	}
	if got := f.Count(Append); got != 7 {
		t.Errorf("%d appends counted, want 7", got)
	}
}

func TestAStoreThatIsDownRefusesEveryCallAndCountsIt(t *testing.T) {
	ctx, f := t.Context(), NewFaulty(memory.New())
	defer f.Close()
	f.Always(NotSent())
	if _, err := f.List(ctx, session.Query{}); !isNotSent(err) {
		t.Errorf("a store that is down: %v", err)
	}
	f.Always(Pass())
	if _, err := f.List(ctx, session.Query{}); err != nil {
		t.Errorf("a store that is up again: %v", err)
	}
	if all, lists := f.Count(), f.Count(List); all != 2 || lists != 2 {
		t.Errorf("%d calls counted, %d of List; want 2", all, lists)
	}
	f.Reset()
	if got := f.Count(); got != 0 {
		t.Errorf("%d calls counted after a reset", got)
	}
}
