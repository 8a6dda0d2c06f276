package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// distant is a store to which every operation takes a while, and that counts what appends came to.
type distant struct {
	session.Store
	takes time.Duration

	mu        sync.Mutex
	conflicts int
	appends   int
}

func (d *distant) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	if err := sleep(ctx, d.takes); err != nil {
		return errors.Join(session.ErrNotSent, err)
	}
	err := d.Store.Append(ctx, key, at, rec, next)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.appends++
	if errors.Is(err, session.ErrConflict) {
		d.conflicts++
	}
	return err
}

func (d *distant) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	if err := sleep(ctx, d.takes); err != nil {
		return session.Head{}, nil, err
	}
	return d.Store.Read(ctx, key, after, limit)
}

func (d *distant) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	if err := sleep(ctx, d.takes); err != nil {
		return nil, err
	}
	return d.Store.Due(ctx, owner, before, limit)
}

func (d *distant) Beat(ctx context.Context, r session.Replica) error {
	if err := sleep(ctx, d.takes); err != nil {
		return errors.Join(session.ErrNotSent, err)
	}
	return d.Store.Beat(ctx, r)
}

func (d *distant) Replicas(ctx context.Context) ([]session.Replica, error) {
	if err := sleep(ctx, d.takes); err != nil {
		return nil, err
	}
	return d.Store.Replicas(ctx)
}

// claimed is when, by whom and in which order sessions were taken over.
type claimed struct {
	at    time.Time
	due   int
	by    string
	cause string
}

// TestSurvivorsTakeTwoThousandTurnsOldestFirstWithinTheirLimits: a replica dies with 2,000 running turns. Three others take
// them within the lease and a second as far as they have room, oldest first, none more than its limit, without running for
// the same ones; the rest follows as turns end (P8, P10).
func TestSurvivorsTakeTwoThousandTurnsOldestFirstWithinTheirLimits(t *testing.T) {
	for _, c := range []struct{ turns, room int }{{2000, 1000}, {600, 100}} {
		t.Run(fmt.Sprintf("%d turns, room for %d", c.turns, c.room), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { takeover(t, c.turns, c.room, 5*time.Second) })
		})
	}
}

func takeover(t *testing.T, turns, room int, lease time.Duration) {
	store := &distant{Store: memory.New(), takes: 2 * time.Millisecond}
	w := newWorld(t, store)
	w.truth = store.Store
	config := func(room int) Config {
		cfg := w.config()
		slow(3 * time.Second)(&cfg)
		cfg.LeaseTTL, cfg.SweepInterval, cfg.MaxRunning, cfg.CacheSize = lease, time.Second, room, 4*turns
		return cfg
	}
	doomed := w.replica(config(turns), "", 0, "")
	defer doomed.stop()
	var wg sync.WaitGroup
	for i := range turns {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * time.Millisecond) // they are of different age
			if _, err := doomed.Start(t.Context(), Request{Session: fmt.Sprintf("s%04d", i), Prompt: "once"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var survivors []*replica
	for range 3 {
		r := w.replica(config(room), "", 0, "")
		defer r.stop()
		survivors = append(survivors, r)
	}
	time.Sleep(500 * time.Millisecond)
	doomed.mu.Lock()
	doomed.frozen, doomed.dead = true, true
	doomed.mu.Unlock()
	store.mu.Lock()
	store.conflicts, store.appends = 0, 0
	store.mu.Unlock()
	died := time.Now()
	for unfinished := 1; unfinished > 0; {
		time.Sleep(100 * time.Millisecond)
		for _, r := range survivors {
			if n := int(r.running.Load()); n > room {
				t.Fatalf("a survivor runs %d turns, its limit is %d", n, room)
			}
		}
		some, err := w.truth.List(t.Context(), session.Query{Unfinished: true, Limit: 1})
		if err != nil || time.Since(died) > 10*time.Minute {
			t.Fatalf("not all turns have ended: %v, %v", some, err)
		}
		unfinished = len(some)
	}
	store.mu.Lock()
	conflicts := store.conflicts
	store.mu.Unlock()
	judgeTakeover(t, w, turns, room, conflicts, died, lease)
}

func judgeTakeover(t *testing.T, w *world, turns, room, conflicts int, died time.Time, lease time.Duration) {
	var all []claimed
	for i := range turns {
		_, records, err := w.truth.Read(t.Context(), session.Key{ID: fmt.Sprintf("s%04d", i)}, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			b, err := rec.Decode()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Events {
				if e.Type == session.SessionClaimed && e.Claim.Epoch > 1 {
					all = append(all, claimed{at: time.UnixMilli(int64(b.At)), due: i, by: e.Claim.Replica, cause: e.Claim.Cause})
				}
			}
		}
	}
	if len(all) != turns {
		t.Errorf("%d claims after the death for %d turns", len(all), turns)
	}
	slices.SortStableFunc(all, func(a, b claimed) int { return a.at.Compare(b.at) })
	share, early, disorder := map[string]int{}, 0, 0
	for i, c := range all {
		share[c.by]++
		if c.at.Sub(died) <= lease+time.Second {
			early++
		}
		if i > c.due+3*sweepPage*3 {
			disorder++ // it waited while younger ones were taken
		}
	}
	if want := min(turns, 3*room); early < want {
		t.Errorf("%d turns were taken over within the lease and a second, there was room for %d", early, want)
	}
	if disorder > 0 {
		t.Errorf("%d turns were overtaken by many younger ones", disorder)
	}
	if conflicts > turns/50 {
		t.Errorf("%d conflicts for %d takeovers: the survivors ran for the same turns", conflicts, turns)
	}
	for key, n := range w.effects {
		if n > 1 {
			t.Errorf("%s acted %d times", key, n)
		}
	}
	t.Logf("room %d: %d of %d within the lease and a second, last after %s; %d conflicts; shares %v", room, early, turns,
		all[len(all)-1].at.Sub(died).Round(100*time.Millisecond), conflicts, share)
}

// TestASlowStoreHoldsTheLeaseAndRefusesNothing: 2 s for each operation with a lease of 5 s.
func TestASlowStoreHoldsTheLeaseAndRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &distant{Store: memory.New(), takes: 2 * time.Second}
		w := newWorld(t, store)
		w.truth = store.Store
		cfg := w.config()
		cfg.LeaseTTL = 5 * time.Second
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		time.Sleep(time.Minute)
		for i := range 20 {
			h, err := r.Start(t.Context(), Request{Session: fmt.Sprint("s", i), Prompt: "once"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if h := r.Health(); h.Status != "healthy" || !h.Leased {
				t.Fatalf("health is %+v", h)
			}
		}
		if term := r.term.Load(); term != 1 {
			t.Errorf("the lease was lost %d times", term-1)
		}
	})
}

// TestATurnWhoseWholeSessionIsGoneIsCalledLost: a store that went back to before a session began is no reason to say that
// there never was such a turn (P11).
func TestATurnWhoseWholeSessionIsGoneIsCalledLost(t *testing.T) {
	fleet(t, 1, func(*Config) {}, func(t *testing.T, _ *world, _ *sessiontest.Faulty, all []*replica) {
		h, err := all[0].Turn("", "s~1.1.0.0011aabb")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Info(t.Context()); fault.KindOf(err) != fault.LostByStore {
			t.Errorf("got %v, want lost_by_store", err)
		}
	})
}

// TestSilenceCountsOnlyWhileSomebodyIsHeard: the rule by itself, because in a fleet it takes bad luck to need it.
func TestSilenceCountsOnlyWhileSomebodyIsHeard(t *testing.T) {
	const ttl = 10 * time.Second
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	var p peers
	for n := 100; n <= 121; n += 3 {
		p.heard(second(n), ttl)
	}
	quiet := sighting{since: second(112)}
	for _, c := range []struct {
		what         string
		heard, at    int // heard 0: nobody is heard then
		silentFor    int
		sinceItSpoke int
	}{
		{"while this replica's beats come through", 121, 122, 10, 10},
		{"when they did not for half a lease", 0, 128, 0, 16},
		{"in the middle of an outage", 0, 150, 0, 38},
		{"when the store is back", 160, 161, 1, 49},
		{"a little later", 163, 164, 4, 52},
		{"a lease after the store was back", 169, 170, 10, 58},
	} {
		if c.heard > 0 {
			p.heard(second(c.heard), ttl)
		}
		if got := p.silent(quiet, second(c.at), ttl); got != second(c.silentFor) {
			t.Errorf("%s: silent for %s, want %ds of the %ds since it spoke", c.what, got, c.silentFor, c.sinceItSpoke)
		}
		if c.at == 164 {
			p.heard(second(166), ttl)
		}
	}
}
