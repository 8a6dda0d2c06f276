package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// writer appends to one session as the kernel does, and remembers what was acknowledged.
type writer struct {
	s     session.Store
	key   session.Key
	at    session.Position
	known map[string]session.Record // acknowledged, by id
	wrong []string
	count *atomic.Int64 // of all writers
}

// run appends until ctx ends. After an error it reads where the session stands, as often as it takes.
func (w *writer) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		rec := after(w.at, fmt.Sprint(w.key.ID, " ", n))
		err := w.s.Append(ctx, w.key, w.at, rec, session.Attention{Due: 5})
		if err == nil {
			w.known[rec.ID], w.at = rec, rec.Position()
			w.count.Add(1)
			continue
		}
		if errors.Is(err, session.ErrConflict) && n == 0 {
			w.wrong = append(w.wrong, fmt.Sprintf("a conflict with nobody: %v", err))
		}
		for ctx.Err() == nil {
			head, _, err := w.s.Read(ctx, w.key, 0, 0)
			if err == nil {
				w.at = head.Position
				break
			}
			if errors.Is(err, session.ErrConflict) || fault.KindOf(err) == fault.Internal {
				w.wrong = append(w.wrong, err.Error())
			}
		}
	}
}

// missing counts what was acknowledged and is not there.
func (w *writer) missing(t *testing.T) int {
	t.Helper()
	_, records, err := w.s.Read(context.Background(), w.key, 0, 0)
	must(t, err)
	here := map[string]bool{}
	for _, r := range records {
		here[r.ID] = true
	}
	lost := 0
	for id := range w.known {
		if !here[id] {
			lost++
		}
	}
	return lost
}

// underLoad runs writers while fault does its work, and until each was acknowledged again after it.
func underLoad(t *testing.T, url string, cfg redis.Config, fault func() time.Time) (acknowledged, lost int, outage time.Duration) {
	t.Helper()
	cfg.OpTimeout, cfg.DialTimeout, cfg.WaitTimeout = time.Second, 500*time.Millisecond, 500*time.Millisecond
	s := open(t, url, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	var writers []*writer
	var count atomic.Int64
	for n := range 8 {
		w := &writer{s: s, key: session.Key{ID: fmt.Sprintf("w%d", n)}, known: map[string]session.Record{}, count: &count}
		w.at = grow(t, s, w.key, session.Position{}, 1, session.Attention{})
		writers = append(writers, w)
		all.Go(func() { w.run(ctx) })
	}
	servers.WaitUntil(t, "there is load", func(context.Context) error {
		if n := count.Load(); n < 2000 {
			return fmt.Errorf("%d appends", n)
		}
		return nil
	})
	began := fault()
	for n := range 8 { // in as many buckets
		key := session.Key{ID: fmt.Sprintf("after%d", n)}
		servers.WaitUntil(t, "service resumes by itself", func(ctx context.Context) error {
			head, _, err := s.Read(ctx, key, 0, 0)
			if err == nil {
				err = s.Append(ctx, key, head.Position, after(head.Position, "x"), session.Attention{})
			}
			return err
		})
	}
	outage = time.Since(began)
	cancel()
	all.Wait()
	for _, w := range writers {
		acknowledged += len(w.known)
		lost += w.missing(t)
		for _, wrong := range w.wrong {
			t.Errorf("%s: %s", w.key, wrong)
		}
	}
	return acknowledged, lost, outage
}

func TestAKilledPrimaryLosesNothingThatReplicasHad(t *testing.T) {
	t.Run("sentinel", func(t *testing.T) {
		group := servers.Sentinel(t, 2)
		acknowledged, lost, outage := underLoad(t, group.URL, redis.Config{Prefix: "f:", Durability: redis.Replicated}, func() time.Time {
			old := group.Primary()
			began := time.Now()
			old.Kill()
			group.Promoted(old)
			return began
		})
		t.Logf("of %d acknowledged appends %d were lost; back after %s", acknowledged, lost, outage.Round(10*time.Millisecond))
		if lost > 0 || acknowledged == 0 {
			t.Errorf("%d of %d were lost", lost, acknowledged)
		}
	})
	t.Run("cluster", func(t *testing.T) {
		cluster := servers.Cluster(t, 3, 2)
		slot := cluster.Slot("f:{b0001}:x")
		acknowledged, lost, outage := underLoad(t, cluster.URL, redis.Config{Prefix: "f:", Durability: redis.Replicated}, func() time.Time {
			old := cluster.PrimaryOf(slot)
			began := time.Now()
			old.Kill()
			cluster.Promoted(slot, old)
			return began
		})
		t.Logf("of %d acknowledged appends %d were lost; back after %s", acknowledged, lost, outage.Round(10*time.Millisecond))
		if lost > 0 || acknowledged == 0 {
			t.Errorf("%d of %d were lost", lost, acknowledged)
		}
	})
}

func TestServiceResumesByItselfAtLevelAsync(t *testing.T) {
	group := servers.Sentinel(t, 1)
	acknowledged, lost, outage := underLoad(t, group.URL, redis.Config{Prefix: "f:"}, func() time.Time {
		old := group.Primary()
		began := time.Now()
		old.Kill()
		group.Promoted(old)
		return began
	})
	t.Logf("of %d acknowledged appends %d were lost; back after %s", acknowledged, lost, outage.Round(10*time.Millisecond))
}

func TestAnOldPrimaryThatWakesUpMisleadsNobody(t *testing.T) {
	group, ctx := servers.Sentinel(t, 2), context.Background()
	s := open(t, group.URL, redis.Config{Prefix: "w:", Durability: redis.Replicated, OpTimeout: time.Second, DialTimeout: 500 * time.Millisecond})
	at := grow(t, s, one, session.Position{}, 3, session.Attention{})
	var warm sync.WaitGroup // so that connections to the old primary lie in the pool
	for range 8 {
		warm.Go(func() { _, _ = s.Heads(ctx, []session.Key{one}) })
	}
	warm.Wait()
	old := group.Primary()
	old.Freeze()
	group.Promoted(old)
	servers.WaitUntil(t, "the new primary takes appends", func(ctx context.Context) error {
		head, _, err := s.Read(ctx, one, 0, 0)
		if err == nil {
			rec := after(head.Position, "new")
			if err = s.Append(ctx, one, head.Position, rec, session.Attention{}); err == nil {
				at = rec.Position()
			}
		}
		return err
	})
	old.Thaw()
	late := open(t, group.URL, redis.Config{Prefix: "w:", Durability: redis.Replicated})
	maybe := at // where it stands if an append of unknown outcome happened
	servers.WaitUntil(t, "the old primary is a replica", func(ctx context.Context) error {
		for who, s := range map[string]*redis.Store{"the store": s, "a new store": late} {
			heads, err := s.Heads(ctx, []session.Key{one})
			if err != nil {
				continue
			}
			if at != heads[0].Position && maybe != heads[0].Position {
				t.Errorf("%s sees %+v, the session stands at %+v or %+v", who, heads[0].Position, at, maybe)
			}
			at = heads[0].Position
			rec := after(at, "more")
			maybe = rec.Position()
			if err = s.Append(ctx, one, at, rec, session.Attention{}); err == nil {
				at = maybe
			} else if errors.Is(err, session.ErrConflict) {
				t.Errorf("%s: an append by the only writer conflicts: %v", who, err)
			}
		}
		role, err := old.Info(ctx, "replication", "role")
		if err == nil && role != "slave" {
			err = errors.New("its role is " + role)
		}
		return err
	})
}

func TestACommandFollowsItsSlotToAnotherServer(t *testing.T) {
	cluster, ctx := servers.Cluster(t, 3, 0), context.Background()
	s := open(t, cluster.URL, redis.Config{Prefix: "m:"})
	grow(t, s, one, session.Position{}, 1, session.Attention{}) // the store has a map of the slots
	ids := map[string]string{}
	for _, server := range cluster.Servers {
		ids[server.Addr] = ask(t, server, "CLUSTER", "MYID")[0]
	}
	for n := range 5 {
		slot := cluster.Slot(fmt.Sprintf("m:{b%04d}:x", n))
		from := cluster.PrimaryOf(slot)
		to := cluster.Servers[0]
		if to == from {
			to = cluster.Servers[1]
		}
		if len(ask(t, from, "CLUSTER", "GETKEYSINSLOT", fmt.Sprint(slot), "1")) > 0 {
			continue // the one session that there is
		}
		for _, server := range []*servers.RedisServer{to, from} {
			ask(t, server, "CLUSTER", "SETSLOT", fmt.Sprint(slot), "NODE", ids[to.Addr])
		}
	}
	heads, err := s.Due(ctx, "", 9, 9)
	if err != nil || len(heads) != 0 {
		t.Errorf("due while slots have moved: %v, %v", heads, err)
	}
	for n := range 40 {
		grow(t, s, session.Key{ID: fmt.Sprintf("s%d", n)}, session.Position{}, 2, session.Attention{Due: 5})
	}
	if heads, err := s.Due(ctx, "", 9, 100); err != nil || len(heads) != 40 {
		t.Errorf("due: %d sessions, %v; want 40", len(heads), err)
	}
}

func TestWhatOtherServersSayIsReturnedWhenOneIsSilent(t *testing.T) {
	cluster, ctx := servers.Cluster(t, 3, 0, "--cluster-require-full-coverage", "no"), context.Background()
	s := open(t, cluster.URL, redis.Config{Prefix: "p:", OpTimeout: 2 * time.Second, DialTimeout: 300 * time.Millisecond})
	var keys []session.Key
	for n := range 30 {
		keys = append(keys, session.Key{ID: fmt.Sprintf("s%d", n)})
		grow(t, s, keys[n], session.Position{}, 1, session.Attention{Due: 5})
	}
	cluster.Servers[1].Freeze()
	defer cluster.Servers[1].Thaw()
	heads, err := s.Heads(ctx, keys)
	got := 0
	for i, h := range heads {
		switch {
		case h.Key == keys[i] && h.Len == 1:
			got++
		case h != session.Head{}:
			t.Errorf("head %d is %+v", i, h)
		}
	}
	if err == nil || got == 0 || got == len(keys) {
		t.Errorf("heads returned %d of %d, %v; want some and an error", got, len(keys), err)
	}
	due, err := s.Due(ctx, "", 9, 100)
	if err == nil || len(due) == 0 || len(due) == len(keys) {
		t.Errorf("due returned %d of %d, %v; want some and an error", len(due), len(keys), err)
	}
}
