package chaos

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

const (
	inFlight    = 200 // turns at a time
	kills       = 20
	seedVar     = "CHAOS_SEED" // repeats a choice of victims
	betweenKill = 50           // turns that end between two kills
)

// TestTwentyKillsAmongThreeReplicasLoseNoTurn kills a replica behind HAProxy, chosen at random, and starts another one in
// its place, again and again, while 200 turns are in flight: each accepted turn comes to its one end, with the right
// answer, no at-most-once call takes place twice, and it says how long the takeovers took.
func TestTwentyKillsAmongThreeReplicasLoseNoTurn(t *testing.T) {
	onStore(t, fleetStores, func(t *testing.T, st *store) {
		seed := uint64(time.Now().UnixNano())
		if given, err := strconv.ParseUint(os.Getenv(seedVar), 10, 64); err == nil {
			seed = given
		}
		t.Logf("%s=%d", seedVar, seed)
		random := rand.New(rand.NewPCG(seed, 0))
		// A turn may well be at work in three victims running, and that makes it no poison.
		p := newPlace(t, world{store: st, timeout: "6s", drain: documentedDelay, recoveries: kills, agents: basic.agents})
		p.desk.takes = 2 * time.Second
		b := p.balanced(true)
		l := startLoad(t, &load{
			of: func(int) *server { return b.front }, place: p, clients: inFlight, alone: true, kills: true,
			tools: []string{"once", "tell", "refuse"}, patience: 3 * time.Minute,
		})
		died := map[string]time.Time{} // by replica
		var flying []int
		for range kills {
			l.more(t, betweenKill)
			i := random.IntN(backends)
			victim := b.server(i)
			id := victim.replica()
			flying = append(flying, l.flying())
			died[id] = time.Now()
			victim.signal(syscall.SIGKILL)
			victim.waitDead()
			b.renew(i)
			b.waitUp(t)
		}
		l.more(t, betweenKill)
		l.stop()
		l.judge(t, b.server(0), inFlight)
		t.Logf("turns in flight at the kills: %v", flying)
		if slices.Max(flying) < inFlight*3/4 {
			t.Errorf("there were never %d turns in flight", inFlight)
		}
		judgeTakeovers(t, b, l, died)
		p.verify("")
	})
}

// flying is how many requests wait for their answer.
func (l *load) flying() int { return int(l.asking.Load()) }

// judgeTakeovers prints how long the turns of the dead waited.
func judgeTakeovers(t *testing.T, b *balanced, l *load, died map[string]time.Time) {
	t.Helper()
	var took []time.Duration
	victims := map[string]bool{}
	living := 0 // on a machine with too much to do a replica may not show in time that it lives
	for where := range l.said {
		journal := b.server(0).journal(where)
		late(t, where, journal)
		for _, batch := range journal {
			for _, e := range batch.Events {
				if e.Claim == nil || e.Claim.Cause != "takeover" {
					continue
				}
				at, dead := died[e.Claim.From]
				if after := time.UnixMilli(int64(batch.At)).Sub(at); dead && after >= 0 {
					victims[e.Claim.From] = true
					took = append(took, after)
				} else {
					living++
				}
			}
		}
	}
	if len(took) == 0 {
		t.Fatal("nothing was taken over: the test shows nothing")
	}
	slices.Sort(took)
	at := func(part float64) string {
		return took[int(part*float64(len(took)-1))].Round(time.Millisecond).String()
	}
	how := "its lease of 1s decides"
	if !mayBeApart() {
		how = "replicas share this machine's process ids, and the end of one is seen at once"
	}
	t.Logf("%d takeovers from %d of %d killed replicas (%s), from the kill to the claim: min %s, p50 %s, p99 %s, max %s; %d from replicas that lived",
		len(took), len(victims), len(died), how, at(0), at(0.5), at(0.99), at(1), living)
	if most := took[len(took)-1]; most > time.Minute {
		t.Errorf("a takeover took %s", most)
	}
}

// late fails for each record that a former owner wrote after the next one's claim, and for claims that do not rise.
func late(t *testing.T, where string, journal []session.Batch) {
	t.Helper()
	epoch, owner := uint64(0), ""
	for _, b := range journal {
		for _, e := range b.Events {
			if e.Claim != nil {
				if e.Claim.Epoch <= epoch {
					t.Errorf("session %s: record %d claims epoch %d after %d", where, b.Seq, e.Claim.Epoch, epoch)
				}
				epoch, owner = e.Claim.Epoch, e.Claim.Replica
			}
		}
		if b.Epoch != 0 && (b.Epoch != epoch || b.Writer != owner) {
			t.Errorf("session %s: record %d was written by %s in epoch %d, while %s owned it in epoch %d", where, b.Seq, b.Writer, b.Epoch, owner, epoch)
		}
	}
}
