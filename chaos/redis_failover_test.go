package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// A failover of Redis is worst when the replicas lag behind. On one machine they never do, so these tests make them: for a
// moment before the primary is killed or frozen, its replicas are frozen and their connections cut. Every write of that
// moment is in the primary alone. On the level async it is acknowledged, and lost; on the level replicated nothing of it
// may have been acknowledged, by an answer or by a read of what was written.

// lag is how long the replicas are cut off. It is longer than the store waits for a replica, so that there are appends
// that were sent, were not copied in time, and are looked for by their writers.
const lag = 1200 * time.Millisecond

// deployment is a Redis that outlives its primary.
type deployment struct {
	url      string
	all      []*servers.RedisServer
	primary  *servers.RedisServer // which the test brings down
	copies   []*servers.RedisServer
	promoted func() *servers.RedisServer // waits for the next one
}

func deploy(t *testing.T, shape string) *deployment {
	t.Helper()
	if shape == "sentinel" {
		s := servers.Sentinel(t, 2)
		old := s.Primary()
		return &deployment{
			url: s.URL, all: s.Servers, primary: old, copies: s.Servers[1:],
			promoted: func() *servers.RedisServer { return s.Promoted(old) },
		}
	}
	c := servers.Cluster(t, 3, 2) // after a failover one of two replicas is left, and the level replicated needs one
	slot := c.Slot("{meta}")      // what all sessions depend on
	old := c.PrimaryOf(slot)
	return &deployment{
		url: c.URL, all: c.Servers, primary: old, copies: c.ReplicasOf(old),
		promoted: func() *servers.RedisServer { return c.Promoted(slot, old) },
	}
}

func openRedis(t *testing.T, url string, level redis.Level) session.Store {
	t.Helper()
	store, err := redis.Open(t.Context(), url, redis.Config{Durability: level})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestNoAcknowledgedTurnIsLostUnnoticedInAFailoverOfRedis brings the primary of a Redis down under load, in every way and
// at every level. Nothing is restarted: the kernels go on by themselves. What a client was told is compared with what the
// store has in the end. On the level replicated a killed primary takes nothing along. Where something is lost, whoever can
// know says so: a replica that had seen it by its count of rollbacks, and every replica when it is asked for the turn.
func TestNoAcknowledgedTurnIsLostUnnoticedInAFailoverOfRedis(t *testing.T) {
	var mu sync.Mutex
	var rows []string
	t.Run("of", func(t *testing.T) {
		for _, shape := range []string{"sentinel", "cluster"} {
			for _, how := range []string{"killed", "frozen and woken"} {
				for _, level := range []redis.Level{redis.Async, redis.Replicated} {
					t.Run(fmt.Sprint(shape, "/", how, "/", level), func(t *testing.T) {
						t.Parallel()
						x := &failover{t: t, how: how, level: level, deployment: deploy(t, shape), crew: newCrew(t)}
						x.run()
						mu.Lock()
						defer mu.Unlock()
						rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", shape, how, level, x.row()))
					})
				}
			}
		}
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "redis\tprimary\tlevel\taccepted\tanswered\trollbacks seen\trecords put back\tturns lost, and said so\twith their whole session\tanswers lost\taccepted by the woken one\ttold meanwhile\tdeeds\tdone twice\tfirst turn after\tall sessions after")
	for _, row := range rows {
		fmt.Fprintln(w, row)
	}
	_ = w.Flush()
	t.Logf("what a failover costs:\n%s", b.String())
}

// failover is one case.
type failover struct {
	*deployment
	*crew
	t     *testing.T
	how   string
	level redis.Level

	hit         map[string]bool // the sessions on the primary
	first, last time.Duration   // until the first of them, and all, were served again

	accepted, answered         int
	lost, whole, replies, told int // turns, of them those whose session is gone as a whole, answers, and clients that were told at once
	woken                      int // turns that the woken primary acknowledged
	rollbacks, putBack         int64
}

func (x *failover) run() {
	x.t.Cleanup(x.explain)
	for _, name := range []string{"a", "b"} {
		x.hire(x.join(openRedis(x.t, x.url, x.level)), name, 4)
	}
	x.hire(x.third(), "c", 4)
	stop := x.work()
	defer stop()
	eventually(x.t, "the load runs", func() bool {
		_, n := x.kept()
		_, _, all := x.resumed(time.Time{}, x.sessions(nil))
		return n > 100 && all
	})
	x.hit = x.sessions(x.primary)
	if len(x.hit) == 0 {
		x.t.Fatal("no session is on the primary")
	}
	x.cutOff()
	if x.how == "killed" {
		x.members[2].gone.Store(true)
		_ = x.members[2].Close() // what only it had seen, only its clients can tell of
		x.primary.Kill()
	} else {
		x.primary.Freeze()
	}
	began := time.Now()
	for _, r := range x.copies {
		r.Thaw()
	}
	x.promoted()
	eventually(x.t, "every session is served again", func() (all bool) {
		x.first, x.last, all = x.resumed(began, x.served())
		return all
	})
	if x.how != "killed" {
		x.wake()
	}
	stop()
	x.judge()
}

// third is the member of which the others never see much. Where the primary is frozen, it is one that has not heard of
// Sentinel's word and holds on to the old primary.
func (x *failover) third() *member {
	url := x.url
	if x.deaf() {
		url = x.primary.URL
	}
	return x.join(openRedis(x.t, url, x.level))
}

func (x *failover) deaf() bool {
	return x.how != "killed" && strings.HasPrefix(x.url, "redis+sentinel:")
}

// served are the sessions on the primary whose clients need not wait until it wakes up.
func (x *failover) served() map[string]bool {
	set := maps.Clone(x.hit)
	for _, c := range x.clients {
		if x.deaf() && c.member() == x.members[2] {
			delete(set, c.session)
		}
	}
	return set
}

// sessions are those that a server holds, all for nil.
func (x *failover) sessions(r *servers.RedisServer) map[string]bool {
	keys := "session-"
	if r != nil {
		answer, err := r.Do(x.t.Context(), "KEYS", "*")
		if err != nil {
			x.t.Fatal(err)
		}
		keys = fmt.Sprintln(answer)
	}
	set := map[string]bool{}
	for _, c := range x.clients {
		if c.session != "" && (r == nil || strings.Contains(keys, c.session)) {
			set[c.session] = true
		}
	}
	return set
}

// cutOff makes the replicas lag behind for a moment.
func (x *failover) cutOff() {
	for _, r := range x.copies {
		r.Freeze()
	}
	if _, err := x.primary.Do(x.t.Context(), "CLIENT", "KILL", "TYPE", "replica"); err != nil {
		x.t.Fatal(err)
	}
	end := time.Now().Add(lag)
	eventually(x.t, "the replicas lag behind", func() bool { return time.Now().After(end) })
}

// wake lets the old primary go on, and waits until it has found its place, and all sessions were served after that.
func (x *failover) wake() {
	at := time.Now()
	x.primary.Thaw()
	eventually(x.t, "the woken primary is a replica", func() bool {
		role, err := x.primary.Info(x.t.Context(), "replication", "role")
		return err == nil && role == "slave"
	})
	x.members[2].gone.Store(true) // its clients look elsewhere
	_ = x.members[2].Close()
	for _, c := range x.clients {
		c.mu.Lock()
		for _, p := range c.promises {
			if x.deaf() && p.by == x.members[2] && p.began.After(at) {
				x.woken++
			}
		}
		c.mu.Unlock()
	}
	at = time.Now()
	eventually(x.t, "every session is served after the old primary woke up", func() bool {
		_, _, all := x.resumed(at, x.sessions(nil))
		return all
	})
}

func (x *failover) judge() {
	t := x.t
	x.accepted, x.answered = x.kept()
	for _, m := range x.living() {
		h := m.Health()
		x.rollbacks, x.putBack = x.rollbacks+h.Rollbacks, x.putBack+h.Reappended
		eventually(t, "the members are well again", func() bool { return m.Health().Status == "healthy" })
	}
	for _, c := range x.clients {
		x.told += len(c.told)
		for _, odd := range c.odd {
			t.Errorf("client %s: %s", c.name, odd)
		}
		for _, p := range c.promises {
			x.redeem(p)
			if p == c.promises[len(c.promises)-1] || c.session == "" {
				x.fold(p.session)
			}
		}
	}
	twice := x.ledger.twice()
	nothing := x.lost+x.replies+x.told == 0 && x.rollbacks == 0 && len(twice) == 0
	switch {
	case x.level == redis.Async && (x.rollbacks == 0 || x.putBack+int64(x.lost) == 0):
		t.Errorf("writes of %s are gone: %d rollbacks were seen, %d records put back, %d turns missed", lag, x.rollbacks, x.putBack, x.lost)
	case x.level == redis.Replicated && x.how == "killed" && !nothing: // where it wakes up, no fence inside Redis can promise that
		t.Errorf("%d turns and %d answers are lost, %d clients were told so, %d rollbacks were seen, done twice: %q",
			x.lost, x.replies, x.told, x.rollbacks, twice)
	}
}

// redeem compares what a client was told with what the store has.
func (x *failover) redeem(p *promise) {
	i, err := x.look(p.turn)
	saw := !p.by.gone.Load() && p.by.Health().Rollbacks > 0 // who told it knows that the store went back
	switch {
	case fault.KindOf(err) == fault.LostByStore && x.empty(p.session): // who asks for it is told; nothing else of it is left
		x.lost++
		x.whole++
	case fault.KindOf(err) == fault.LostByStore:
		x.lost++
		if !saw && !p.by.gone.Load() {
			x.t.Errorf("turn %s is lost, and the member that accepted it has seen no rollback", p.turn)
		}
	case err != nil:
		x.t.Errorf("turn %s: %v (kind %s)", p.turn, err, fault.KindOf(err))
	case !p.answered:
	case i.State == session.Waiting: // parked for a person, who is told why
		x.replies++
	case i.State != session.Completed || *i.Result != p.reply:
		x.replies++
		if !saw && !p.by.gone.Load() {
			x.t.Errorf("turn %s was answered %q, is %s now, and nobody noticed", p.turn, p.reply, i.State)
		}
	}
}

// look asks the living members for a turn until one of them knows, and the turn is settled.
func (x *failover) look(turn string) (i *agentkernel.TurnInfo, err error) {
	eventually(x.t, "turn "+turn+" is settled", func() bool {
		for _, m := range x.living() {
			ctx, cancel := context.WithTimeout(x.t.Context(), 10*time.Second)
			defer cancel()
			var h *agentkernel.Handle
			if h, err = m.Turn("", turn); err == nil {
				i, err = h.Settle(ctx)
			}
			switch fault.KindOf(err) {
			case fault.Unavailable, fault.OutcomeUnknown, fault.TimeoutTotal:
			default:
				return true
			}
		}
		return false
	})
	return i, err
}

// fold reads a session as the store has it: one history, in which every record names its predecessor.
func (x *failover) fold(id string) {
	key := session.Key{ID: id}
	s := &session.Session{Key: key}
	store := x.living()[0].store
	_, records, err := store.Read(x.t.Context(), key, 0, 0)
	if errors.Is(err, session.ErrTrimmed) {
		var snap session.Snapshot
		if snap, err = store.Snapshot(x.t.Context(), key); err == nil {
			if s, err = session.Thaw(key, snap); err == nil {
				_, records, err = store.Read(x.t.Context(), key, snap.Seq, 0)
			}
		}
	}
	for _, r := range records {
		if err == nil {
			err = s.Apply(r)
		}
	}
	if err != nil {
		x.t.Errorf("session %s, record %d: %v", id, s.At.Len+1, err)
	}
}

// empty reports whether the store knows nothing of a session.
func (x *failover) empty(id string) bool {
	heads, err := x.living()[0].store.Heads(x.t.Context(), []session.Key{{ID: id}})
	return err == nil && heads[0].Position == session.Position{}
}

// explain logs, where the test failed, what the clients were told last.
func (x *failover) explain() {
	if !x.t.Failed() {
		return
	}
	for _, c := range x.clients {
		c.mu.Lock()
		last := "nothing"
		if n := len(c.promises); n > 0 {
			p := c.promises[n-1]
			last = fmt.Sprintf("turn %s at %s, answered %t", p.turn, p.began.Format(time.StampMilli), p.answered)
		}
		x.t.Logf("client %s: %d promises, the last one is %s; told %q", c.name, len(c.promises), last, c.told[:min(5, len(c.told))])
		c.mu.Unlock()
	}
}

// row is the case in the table.
func (x *failover) row() string {
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s", x.accepted, x.answered, x.rollbacks, x.putBack, x.lost, x.whole, x.replies, x.woken,
		x.told, x.ledger.all(), len(x.ledger.twice()), x.first.Round(10*time.Millisecond), x.last.Round(10*time.Millisecond))
}
