package agentkernel

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// follow reads a session's stream until enough says so, or for a minute.
func follow(t *testing.T, r *replica, after string, enough func([]Event) bool) (events []Event, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e, err := range r.SessionEvents(ctx, keyS, after) {
		if err != nil {
			return events, err
		}
		if events = append(events, e); enough(events) {
			return events, nil
		}
	}
	return events, nil
}

func atLeast(n int) func([]Event) bool { return func(e []Event) bool { return len(e) >= n } }

func TestASessionsStreamTellsEveryTurnAndResumesAnywhere(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		first := start(t, r, "read")
		state(t, first)
		type answer struct {
			events []Event
			err    error
		}
		live := make(chan answer, 1)
		ready := make(chan struct{})
		go func() {
			close(ready)
			events, err := follow(t, r, "", func(e []Event) bool { return e[len(e)-1].Type == EventDone })
			live <- answer{events, err}
		}()
		<-ready
		time.Sleep(time.Second) // in a bubble: everything else has come to rest
		second := start(t, r, "once")
		state(t, second)
		got := <-live
		if got.err != nil || got.events[0].Type != EventAccepted {
			t.Fatalf("%+v, %v", got.events, got.err)
		}
		text := ""
		for _, e := range got.events {
			var d struct {
				Turn string `json:"turn_id"`
				Text string `json:"text"`
			}
			if err := json.Unmarshal(e.Data, &d); err != nil || d.Turn != second.ID() {
				t.Errorf("event %s %s names turn %q, %v", e.ID, e.Data, d.Turn, err)
			}
			if e.Type == EventDelta {
				text += d.Text
			}
		}
		if want := "done: once"; text != want && text != "" { // a reader may be slower than the model
			t.Errorf("it streamed %q", text)
		}
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		whole, err := follow(t, other, "1.0", func(e []Event) bool { return len(journaled(e)) > 0 && countDone(e) == 2 })
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range whole {
			if e.Type == EventDelta || e.Type == EventReset {
				continue
			}
			rest, err := follow(t, other, e.ID, func(got []Event) bool { return countDone(got)+countDone(whole[:i+1]) == 2 })
			if i == len(whole)-1 {
				break // nothing follows it
			}
			if err != nil || len(journaled(rest)) != len(journaled(whole[i+1:])) {
				t.Errorf("after %s came %d events, want %d: %v", e.ID, len(rest), len(whole)-i-1, err)
			}
		}
	})
}

func countDone(events []Event) (n int) {
	for _, e := range events {
		if e.Type == EventDone {
			n++
		}
	}
	return n
}

func TestASessionsStreamEndsWithTheSession(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		if _, err := follow(t, r, "", atLeast(1)); fault.KindOf(err) != fault.NotFound {
			t.Errorf("no session: %v", err)
		}
		state(t, start(t, r, "hello"))
		for _, id := range []string{"x", "0.0", "99.0", "1.0-1.2"} {
			if _, err := follow(t, r, id, atLeast(1)); fault.KindOf(err) != fault.BadRequest {
				t.Errorf("after %q: %v", id, err)
			}
		}
		ended := make(chan error, 1)
		go func() {
			_, err := follow(t, r, "", atLeast(1))
			ended <- err
		}()
		time.Sleep(time.Second)
		if err := r.Erase(t.Context(), session.Key{ID: "s"}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; fault.KindOf(err) != fault.Gone {
			t.Errorf("the stream of an erased session ended with %v", err)
		}
	})
}
