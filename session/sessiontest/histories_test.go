package sessiontest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// bent opens handles on one memory store, each bent anew.
func bent(bend func(*broken)) func(context.Context) (session.Store, error) {
	s := memory.New()
	return func(context.Context) (session.Store, error) {
		b := &broken{Store: s, close: func() error { return nil }}
		bend(b)
		return b, nil
	}
}

// appendsOf bends Append: each call is done by do, which has the right one.
func appendsOf(do func(n int64, append func() error) error) func(*broken) {
	var n atomic.Int64
	return func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			return do(n.Add(1), func() error { return b.Store.Append(context.WithoutCancel(ctx), k, at, rec, next) })
		}
	}
}

var (
	errLost     = fault.New(fault.OutcomeUnknown, "", "the answer was lost")
	errRefused  = fault.New(fault.Unavailable, "", "down: %w", session.ErrNotSent)
	errConflict = fault.New(fault.Conflict, "", "%w", session.ErrConflict)
)

func TestAHistoryOfACorrectStoreHasAnOrderAndSaysWhatItIsMadeOf(t *testing.T) {
	rep := Histories(t, bent(func(*broken) {}), nil, HistoryConfig{})
	if rep.Calls < 1000 || rep.Sessions < 10 || rep.Won == 0 || rep.Claims == 0 || rep.Conflicts == 0 || rep.Reads == 0 {
		t.Errorf("the history is made of too little: %s", rep)
	}
	if rep.NotSent+rep.Unknown+rep.Failed+rep.Struck+rep.Lost != 0 {
		t.Errorf("nothing was hurt, and calls failed: %s", rep)
	}
}

func TestRecordedHistoriesCatchBrokenStores(t *testing.T) {
	for name, bend := range map[string]func(*broken){
		"the guard compares the length only": guess(func(at *session.Position, s session.Position) {
			if at.Len == s.Len {
				*at = s
			}
		}),
		"there is no guard": guess(func(at *session.Position, s session.Position) { *at = s }),
		"check, then act":   checkThenAct,
		"a stale replica":   staleReads,
		"stale heads":       staleHeads,
		"torn reads":        tornRead,
		"claims that vanish": func(b *broken) {
			b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
				next.Epoch = 0
				return b.Store.Append(ctx, k, at, rec, next)
			}
		},
		"a conflict after its own success": appendsOf(func(n int64, append func() error) error {
			err := append()
			if n%50 == 0 && err == nil {
				return append() // as a client does that sends a write again by itself
			}
			return err
		}),
		"a conflict without a cause": appendsOf(func(n int64, append func() error) error {
			if n%50 == 0 {
				return errConflict
			}
			return append()
		}),
		"an acknowledged append that is lost": appendsOf(func(n int64, append func() error) error {
			if n%50 == 0 {
				return nil
			}
			return append()
		}),
		"not sent, but done": appendsOf(func(n int64, append func() error) error {
			if err := append(); n%50 != 0 || err != nil {
				return err
			}
			return errRefused
		}),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) { // some faults need an unlucky moment; most show at once
				rep := RecordHistory(t.Context(), bent(bend), nil, HistoryConfig{Seed: seed + 1})
				if len(rep.Problems) == 0 {
					continue
				}
				if !strings.Contains(rep.Problems[0], "no order of its") && !strings.Contains(rep.Problems[0], "was never written") {
					t.Errorf("found, but not for what it is: %s", rep.Problems[0])
				}
				if lost := name == "an acknowledged append that is lost"; lost && rep.Lost == 0 {
					t.Errorf("the report does not say that something was lost: %s", rep)
				}
				first, _, _ := strings.Cut(rep.Problems[0], "\n")
				t.Logf("caught with seed %d: %s", seed+1, first)
				return
			}
			t.Error("50 histories had an order")
		})
	}
}

func TestAWriteThatLandsAfterItWasSaidNotToBeSentIsCaught(t *testing.T) {
	var late []func() error
	var mu sync.Mutex
	down := atomic.Bool{}
	open := bent(appendsOf(func(_ int64, append func() error) error {
		if !down.Load() {
			return append()
		}
		mu.Lock()
		defer mu.Unlock()
		late = keep(late, append)
		return errRefused
	}))
	rep := RecordHistory(t.Context(), open, func(_ context.Context, c *Course) {
		c.Won(50)
		healed := c.Hurt("outage")
		down.Store(true)
		c.Ended(50)
		mu.Lock()
		for _, do := range late {
			_ = do() // most do not fit any more
		}
		mu.Unlock()
		down.Store(false)
		healed()
	}, HistoryConfig{})
	if len(rep.Problems) == 0 {
		t.Error("writes that landed late had an order")
	}
}

func keep(late []func() error, do func() error) []func() error { return append(late, do) }

func TestLostAnswersLateWritesAndRefusalsHaveAnOrder(t *testing.T) {
	for seed := range uint64(5) {
		inner, n := memory.New(), uint64(0)
		release, heal := make(chan struct{}), &atomic.Bool{}
		var faulty []*Faulty
		rep := Histories(t, func(context.Context) (session.Store, error) {
			f, rng := NewFaulty(inner), rand.New(rand.NewPCG(seed, n))
			n++
			f.Decide(func(m Method, _ session.Key) Fault {
				if heal.Load() {
					return Pass()
				}
				if m != Append {
					return []Fault{Pass(), Pass(), Pass(), NotSent()}[rng.IntN(4)]
				}
				return []Fault{Pass(), Pass(), Pass(), Pass(), NotSent(), Vanish(), Lose(), Late(release)}[rng.IntN(8)]
			})
			faulty = append(faulty, f)
			return keepOpen{f}, nil
		}, func(_ context.Context, c *Course) {
			healed := c.Hurt("lost answers and late writes")
			defer healed()
			c.Ended(800)
			close(release)
			c.Ended(200)
			heal.Store(true)
		}, HistoryConfig{Seed: seed + 1})
		if rep.Unknown == 0 || rep.Landed == 0 || rep.Landed >= rep.Unknown || rep.NotSent == 0 || rep.Failed == 0 || rep.Faults["lost answers and late writes"] != 1 {
			t.Errorf("seed %d: the report does not say what happened: %s", seed, rep)
		}
		for _, f := range faulty {
			f.Settle()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// keepOpen is a handle that stays open, because others share what is behind it.
type keepOpen struct{ *Faulty }

func (keepOpen) Close() error { return nil }

func TestARunThatShowsNothingFails(t *testing.T) {
	sick := errors.New("sick")
	dead := appendsOf(func(int64, func() error) error { return errLost })
	worksUntil := func(n int64) func(*broken) {
		return appendsOf(func(i int64, append func() error) error {
			if i > n {
				return errRefused
			}
			return append()
		})
	}
	for name, c := range map[string]struct {
		open    func(context.Context) (session.Store, error)
		nemesis Nemesis
		cfg     HistoryConfig
		want    string
	}{
		"the store does not open":   {func(context.Context) (session.Store, error) { return nil, sick }, nil, HistoryConfig{}, "sick"},
		"nothing is acknowledged":   {bent(dead), nil, HistoryConfig{Recovery: time.Second}, "too little was checked"},
		"a handle does not recover": {bent(worksUntil(300)), nil, HistoryConfig{Recovery: time.Second}, "did not append again"},
		"the nemesis hurts nothing": {bent(func(*broken) {}), func(context.Context, *Course) {}, HistoryConfig{}, "no call met any of the 0 faults"},
		"the nemesis does not end":  {bent(func(*broken) {}), func(_ context.Context, c *Course) { c.Won(1 << 40) }, HistoryConfig{Longest: time.Second, Pace: time.Millisecond}, "the nemesis was not done"},
		"the search takes too long": {bent(func(*broken) {}), nil, HistoryConfig{Search: time.Nanosecond}, "did not end within 1ns"},
		"the store cannot be read": {bent(func(b *broken) {
			b.read = func(context.Context, session.Key, uint64, int) (session.Head, []session.Record, error) {
				return session.Head{}, nil, sick
			}
		}), nil, HistoryConfig{Recovery: time.Second}, "cannot be read after everything: sick"},
		"the call's time is honoured": {bent(func(b *broken) {
			b.append = func(ctx context.Context, _ session.Key, _ session.Position, _ session.Record, _ session.Attention) error {
				<-ctx.Done()
				return errLost
			}
		}), nil, HistoryConfig{Timeout: time.Millisecond, AtLeast: 50, Recovery: 100 * time.Millisecond}, "too little was checked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := RecordHistory(t.Context(), c.open, c.nemesis, c.cfg)
			if all := strings.Join(rep.Problems, "\n"); !strings.Contains(all, c.want) {
				t.Errorf("problems %q, want one with %q", all, c.want)
			}
		})
	}
}
