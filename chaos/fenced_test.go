package chaos

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// TestAnOwnerThatWasStoppedForThreeLeasesWritesAndSendsNothing: on every store the owner of a turn is stopped in the
// middle of a call, or between the record of its start and its dispatch, for three leases; another process takes the turn
// over and ends it; then the first one is continued. There is no second effect, and no record of it after the claim.
func TestAnOwnerThatWasStoppedForThreeLeasesWritesAndSendsNothing(t *testing.T) {
	onStore(t, everyStore(), func(t *testing.T, st *store) {
		for tool, places := range map[string][]string{
			"once":   {"in the call", "before its dispatch", "after its start"},
			"refuse": {"in the call"},
			"tell":   {"before its dispatch"},
		} {
			for _, where := range places {
				t.Run(tool+" "+where, func(t *testing.T) {
					t.Parallel()
					for range 10 {
						if stoppedForThreeLeases(t, st, tool, where) {
							return
						}
					}
					t.Error("the owner was never stopped as it should be, ten times")
				})
			}
		}
	})
}

// stoppedForThreeLeases reports false when the owner could not be stopped there: the turn went elsewhere before, because
// the owner did not show in time that it lives; or it was stopped with the file of a SQLite store locked, see
// TestAnOwnerThatWasStoppedPastItsLeaseDoesNothingWhenItWakesUp.
func stoppedForThreeLeases(t *testing.T, st *store, tool, where string) bool {
	lease := time.Second
	if st.name == "dynamodb" {
		lease *= 2 // its emulator is slow
	}
	p := newPlace(t, world{store: st, lease: lease.String(), agents: basic.agents})
	other := p.serve("")
	owner := p.serve(map[string]string{"before its dispatch": "tool.before:1:stop", "after its start": "append.after:2:stop"}[where])
	if where == "in the call" {
		p.desk.hold = make(chan struct{})
	}
	id := owner.replica()
	told := make(chan answer, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		a, _ := owner.chat(ctx(t), "k", "use "+tool)
		told <- a
	}()
	if where == "in the call" {
		p.desk.wait(t)
		owner.signal(syscall.SIGSTOP)
	}
	ended := false
	eventually(t, "the owner is stopped", func() bool {
		select {
		case <-over:
			ended = true
		default:
		}
		return ended || owner.stopped()
	})
	if ended {
		return false
	}
	began := time.Now()
	p.desk.release() // the answer waits for who cannot read it
	probe, err := other.post(ctx(t), "/api/v1/chat", "", map[string]any{"session_id": "probe", "prompt": "hello"})
	if err != nil || probe.status != http.StatusOK {
		owner.signal(syscall.SIGCONT)
		<-told
		if st.name != "sqlite" {
			t.Fatalf("the other process cannot go on while one is stopped: %+v, %v", probe, err)
		}
		return false
	}
	if j := other.journal("s"); j[0].Writer != id || j[0].Events[len(j[0].Events)-1].Claim == nil {
		owner.signal(syscall.SIGCONT)
		<-told
		return false
	}
	a := p.finish(other, "k", "use "+tool, "not_happened") // nobody says "run again" while the owner may still wake up
	eventually(t, "three leases are over", func() bool { return time.Since(began) > 3*lease })
	owner.signal(syscall.SIGCONT)
	if first := <-told; first.status != http.StatusOK || first.Result != a.Result || first.Turn != a.Turn {
		t.Errorf("the woken owner told its client %+v, the turn's reply is %+v", first, a)
	}
	eventually(t, "the woken owner has given its turn up", func() bool { return owner.running() == 0 })
	p.judge(other, a, tool)
	p.judge(owner, a, tool)
	journal := other.journal("s")
	late(t, "s", journal)
	if n := count(journal, func(e session.Event) bool { return e.Claim != nil && e.Claim.Cause == "takeover" }); n == 0 {
		t.Error("nobody took the turn over: the test shows nothing")
	}
	if t.Failed() {
		t.Logf("the journal is %s", mustJSON(journal))
	}
	return true
}

// running is how many turns run at a server.
func (s *server) running() int {
	s.p.t.Helper()
	var h struct {
		Running int `json:"running_turns"`
	}
	s.read("/health?verbose", &h)
	return h.Running
}
