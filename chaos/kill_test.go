package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

// TestSIGKILLAtEveryPlaceOfAToolTurn kills a server at each durable boundary and effect of a turn, for each effect class,
// starts another one, and sends the request again: one turn, one reply, and an at-most-once tool that acted once at most.
func TestSIGKILLAtEveryPlaceOfAToolTurn(t *testing.T) {
	for _, tool := range everyTool {
		t.Run(tool, func(t *testing.T) {
			for _, at := range toolTurn {
				t.Run(at, func(t *testing.T) { t.Parallel(); killedAt(t, nil, tool, at) })
			}
		})
	}
}

// toolTurn are the places of a turn with one call.
var toolTurn = []string{
	"append.before:1", "append.after:1", // accepted
	"model.before:1", "model.after:1", // asked, and answered but unsaved
	"append.before:2", "append.after:2", // the answer and the tool's intent
	"tool.before:1", "tool.after:1", // acted, unsaved
	"append.before:3", "append.after:3", // between steps
	"model.after:2",
	"append.before:4", "append.after:4", // the reply is saved, the client is not answered
}

// crashSubset is what of that runs on every network store: all places with a tool that can be asked, and those around
// the call with one that asks a person and one that may be repeated.
var crashSubset = map[string][]string{
	"once": toolTurn,
	"ask":  {"append.before:2", "append.after:2", "tool.before:1", "tool.after:1", "append.before:3", "append.after:3"},
	"idem": {"append.after:2", "tool.before:1", "tool.after:1", "append.before:3"},
}

func TestSIGKILLAtThePlacesOfTheCrashSubsetOnEveryNetworkStore(t *testing.T) {
	onStore(t, networkStores, func(t *testing.T, st *store) {
		for tool, places := range crashSubset {
			for _, at := range places {
				t.Run(tool+"/"+at, func(t *testing.T) { t.Parallel(); killedAt(t, st, tool, at) })
			}
		}
	})
}

func killedAt(t *testing.T, st *store, tool, at string) {
	w := basic
	w.store = st
	p := newPlace(t, w)
	doomed := p.serve(at + ":kill")
	if a, err := doomed.chat(ctx(t), "k", "use "+tool); err == nil {
		t.Fatalf("the server answered %d %s instead of dying", a.status, a.Result)
	}
	doomed.waitDead()
	s := p.serve("")
	a := p.finish(s, "k", "use "+tool, "run_again") // whoever might still act is dead
	p.judge(s, a, tool)
}

// finish sends a request again until its turn has ended. Who is asked for a yes says yes, and a turn that asks what became
// of a call is told that it happened, if it did, and else what the test says.
func (p *place) finish(s *server, key, prompt, otherwise string) answer {
	p.t.Helper()
	a, err := p.drive(s, key, map[string]any{"session_id": "s", "prompt": prompt}, otherwise)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// drive does so until the turn has ended, or the server has, which is an error.
func (p *place) drive(s *server, key string, body map[string]any, otherwise string) (answer, error) {
	p.t.Helper()
	for {
		a, err := s.post(ctx(p.t), "/api/v1/chat", key, body)
		if err != nil || a.status == http.StatusOK {
			return a, err
		}
		if a.status != http.StatusAccepted || a.Waiting == nil {
			p.t.Fatalf("status %d: %+v", a.status, a)
		}
		verb, word := "resolve", map[string]any{"outcome": otherwise}
		most, _ := p.desk.effects()
		switch {
		case a.Waiting.Reason == "approval" && len(a.Waiting.Asks) == 1:
			verb, word = "approve", map[string]any{"step": a.Waiting.Asks[0].Step, "digest": a.Waiting.Asks[0].Digest}
		case a.Waiting.Reason != "in_doubt":
			p.t.Fatalf("the turn waits: %+v", *a.Waiting)
		case most > 0:
			word = map[string]any{"outcome": "happened", "result": "done"}
		}
		r, err := s.post(ctx(p.t), "/api/v1/turns/"+a.Turn+"/"+verb, "", word)
		if err != nil {
			return a, err
		}
		if r.status >= 300 {
			p.t.Fatalf("%s: %d %+v", verb, r.status, r)
		}
	}
}

func (p *place) judge(s *server, a answer, tool string) {
	t := p.t
	t.Helper()
	again, err := s.chat(ctx(t), "k", "use "+tool)
	if err != nil || again != a {
		t.Errorf("the same key: %+v, %v, want %+v", again, err, a)
	}
	turn, err := s.get(ctx(t), "/api/v1/turns/"+a.Turn)
	if err != nil || turn.State != "completed" || turn.Result != a.Result {
		t.Errorf("the turn: %+v, %v", turn, err)
	}
	most, keys := p.desk.effects()
	if tool != "read" && most > 1 {
		t.Errorf("%s had %d effects", tool, most)
	}
	switch { // what the model is told is what happened
	case a.Result == "used "+tool+": done" && keys == 1:
	case a.Result == "used "+tool+": Error: the call was interrupted and did not take place" && (tool == "once" || tool == "ask"):
		// What the tool and the person said when they were asked. A call that a stopped owner had begun to send may come later.
	case tool == "tell" && strings.HasPrefix(a.Result, "used tell: Error: it is not known whether the call took place"):
	default:
		t.Errorf("%d keys, answer %q", keys, a.Result)
	}
	if keys > 1 {
		t.Errorf("%d idempotency keys for one call", keys)
	}
	p.verify("")
}

func TestSIGKILLWithAModelCallInFlight(t *testing.T) {
	p := newPlace(t, basic)
	p.script(nil, []map[string]any{{"call": 1, "stall_after": 1}})
	s := p.serve("")
	broken := make(chan error, 1)
	go func() {
		_, err := s.chat(ctx(t), "k", "hello there")
		broken <- err
	}()
	eventually(t, "the model call is in flight", func() bool { return p.model.Active() > 0 })
	s.signal(syscall.SIGKILL)
	s.waitDead()
	if err := <-broken; err == nil {
		t.Error("the client got an answer from a dead server")
	}
	next := p.serve("")
	if a := p.finish(next, "k", "hello there", "run_again"); a.Result != "you said hello there" {
		t.Errorf("%+v", a)
	}
	p.verify("")
}

// TestARestartOnTheSameMachineDoesNotWaitForTheLease: the lease is far longer than the test, and the dead owner is one
// whose end can be seen.
func TestARestartOnTheSameMachineDoesNotWaitForTheLease(t *testing.T) {
	p := newPlace(t, basic)
	t.Setenv("AK_EXECUTION__LEASE_TTL", "10m")
	doomed := p.serve("model.after:1:kill")
	if _, err := doomed.chat(ctx(t), "k", "hello there"); err == nil {
		t.Fatal("the server answered instead of dying")
	}
	doomed.waitDead()
	if a := p.finish(p.serve(""), "k", "hello there", "run_again"); a.Result != "you said hello there" {
		t.Errorf("%+v", a)
	}
}

func TestSIGKILLDuringADrain(t *testing.T) {
	p := newPlace(t, basic)
	p.desk.hold = make(chan struct{})
	s := p.serve("")
	go func() { _, _ = s.chat(ctx(t), "k", "use once") }()
	p.desk.wait(t)
	s.signal(syscall.SIGTERM)
	eventually(t, "it is not ready", func() bool {
		a, err := s.get(ctx(t), "/health")
		return err == nil && a.status == http.StatusServiceUnavailable
	})
	s.signal(syscall.SIGKILL)
	s.waitDead()
	p.desk.release()
	next := p.serve("")
	p.judge(next, p.finish(next, "k", "use once", "run_again"), "once")
}

// TestAnOwnerThatWasStoppedPastItsLeaseDoesNothingWhenItWakesUp: two processes over one file; the owner is SIGSTOPped at
// the worst places, the other one takes the turn over and ends it, and then the first one is continued.
func TestAnOwnerThatWasStoppedPastItsLeaseDoesNothingWhenItWakesUp(t *testing.T) {
	for _, tool := range []string{"once", "ask", "refuse"} {
		for _, at := range []string{"append.after:2", "tool.before:1", "tool.after:1", "append.before:3", "append.before:4"} {
			t.Run(fmt.Sprint(tool, "/", at), func(t *testing.T) {
				t.Parallel()
				// A process that is stopped while its beat commits holds the file's lock until it goes on, and nobody can take over
				// from it. That is SQLite's, and not what this test is about: it tries again.
				for range 10 {
					if stoppedAt(t, nil, tool, at) {
						return
					}
				}
				t.Error("the owner was stopped in the middle of a commit ten times")
			})
		}
	}
}

// stoppedAt reports false when the owner was stopped with the file locked.
func stoppedAt(t *testing.T, st *store, tool, at string) bool {
	w := basic
	w.store = st
	p := newPlace(t, w)
	other := p.serve("")
	owner := p.serve(at + ":stop")
	told := make(chan answer, 1)
	go func() {
		a, _ := owner.chat(ctx(t), "k", "use "+tool)
		told <- a
	}()
	eventually(t, "the owner is stopped", owner.stopped)
	probe, err := other.post(ctx(t), "/api/v1/chat", "", map[string]any{"session_id": "probe", "prompt": "hello"})
	if err != nil || probe.status != http.StatusOK {
		owner.signal(syscall.SIGCONT)
		<-told
		return false
	}
	a := p.finish(other, "k", "use "+tool, "not_happened") // nobody says "run again" while the owner may still wake up
	owner.signal(syscall.SIGCONT)
	if first := <-told; first.status != http.StatusOK || first.Result != a.Result || first.Turn != a.Turn {
		t.Errorf("the woken owner told its client %+v, the turn's reply is %+v", first, a)
	}
	p.judge(other, a, tool)
	p.judge(owner, a, tool)
	return true
}
