package agentkernel

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

func steered(t *testing.T, r *replica, prompt, key string) *Handle {
	t.Helper()
	h, err := r.Start(t.Context(), Request{Session: "s", Agent: "steered", Prompt: prompt, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestAMessageJustBeforeTheEndIsHeard stops the owner at every place behind its last model call, says something to the
// turn at another replica, and lets the owner go on: the turn must not end without having heard it.
func TestAMessageJustBeforeTheEndIsHeard(t *testing.T) {
	for _, place := range []failpoint.Name{failpoint.ModelBefore, failpoint.ModelAfter, failpoint.AppendBefore} {
		t.Run(string(place), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New())
				nth := map[failpoint.Name]int{failpoint.AppendBefore: 2}[place]
				first := w.replica(w.config(), place, max(1, nth), "stall")
				defer first.stop()
				h := steered(t, first, "hello", "")
				<-first.struck
				second := w.replica(w.config(), "", 0, "")
				defer second.stop()
				m := steered(t, second, "read", "k")
				if !m.Steered() || m.ID() != h.ID() {
					t.Fatalf("the message became turn %s", m.ID())
				}
				first.thaw()
				i := state(t, h)
				if i.State != session.Completed || *i.Result != "done: read" {
					t.Fatalf("turn is %s: %v, %+v", i.State, *i.Result, i.Steps)
				}
				messages, err := second.Messages(keyS)
				if err != nil {
					t.Fatal(err)
				}
				said := ""
				for _, m := range messages {
					if m.Role == model.User {
						said += m.Text() + ";"
					}
				}
				if said != "hello;read;" {
					t.Errorf("the transcript has %q", said)
				}
				if again := steered(t, second, "read", "k"); !again.Steered() || again.ID() != h.ID() {
					t.Errorf("the same message again became turn %s", again.ID())
				}
			})
		})
	}
}

func TestAMessageToATurnThatIsOverOrCancelledIsATurnOfItsOwn(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		h := steered(t, r, "okay", "")
		state(t, h)
		if m := steered(t, r, "read", ""); !m.Steered() {
			t.Error("a waiting turn was not told")
		}
		if _, err := r.Cancel(t.Context(), TurnRef{ID: h.ID()}); err != nil {
			t.Fatal(err)
		}
		m := steered(t, r, "hello", "")
		if i := state(t, m); m.Steered() || m.ID() == h.ID() || i.State != session.Completed {
			t.Errorf("a message after the end: steered %t, %s", m.Steered(), i.State)
		}
		messages, _ := r.Messages(keyS)
		if len(messages) < 4 || messages[3].Text() != "read" {
			t.Errorf("what was said to the cancelled turn is lost: %v", messages)
		}
	})
}

func TestARequestForAnotherAgentIsNoMessage(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		h := steered(t, r, "okay", "")
		state(t, h)
		for _, name := range []string{"a", ""} { // "a" is the first agent, whose sessions queue
			other, err := r.Start(t.Context(), Request{Session: "s", Agent: name, Prompt: "hello"})
			if err != nil || other.Steered() || other.ID() == h.ID() {
				t.Errorf("a request for agent %q: steered %t, %v", name, other.Steered(), err)
			}
		}
		if n := len(w.fold(keyS).Turns[0].Messages); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestAHandedOverConversationIsSteeredByItsNewAgent: requests that name nobody are for the agent that has it.
func TestAHandedOverConversationIsSteeredByItsNewAgent(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		r.agentNamed(t, "other").Busy = Steer
		state(t, start(t, r, "transfer_to_other"))
		h := start(t, r, "okay")
		if i := state(t, h); i.Agent != "other" || i.State != session.Waiting {
			t.Fatalf("turn is %s of %s", i.State, i.Agent)
		}
		if m := start(t, r, "read"); !m.Steered() || m.ID() != h.ID() {
			t.Errorf("the message became turn %s", m.ID())
		}
	})
}

func TestMessagesThatNobodyHearsAreBounded(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		r.agentNamed(t, "steered").Limits.Queue = 3
		state(t, steered(t, r, "okay", ""))
		for range 3 {
			steered(t, r, "hello", "")
		}
		_, err := r.Start(t.Context(), Request{Session: "s", Agent: "steered", Prompt: "one too many"})
		if fault.KindOf(err) != fault.Limited {
			t.Errorf("a fourth message: %v", err)
		}
	})
}

func TestAnAgentWhoseHooksScreenItsInputIsNotSteered(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		screened := 0
		r.agentNamed(t, "steered").Hooks = []Hook{{Name: "screen", Before: func(context.Context, *Turn) (Verdict, error) {
			screened++
			return Verdict{}, nil
		}}}
		h := steered(t, r, "okay", "")
		state(t, h)
		m := steered(t, r, "hello", "")
		if m.Steered() {
			t.Error("a message passed the hook by")
		}
		_, _ = r.Deny(t.Context(), TurnRef{ID: h.ID()}, Decision{})
		if i := state(t, m); i.State != session.Completed || screened < 2 {
			t.Errorf("turn is %s, screened %d", i.State, screened)
		}
	})
}

func TestAFailedTurnKeepsWhatItWasTold(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		h := steered(t, r, "okay", "")
		state(t, h)
		steered(t, r, "read", "")
		r.cfg.Models["test"] = provider(func() (*model.Answer, error) { return nil, fault.New(fault.Auth, "", "no") })
		if _, err := r.Deny(t.Context(), TurnRef{ID: h.ID()}, Decision{}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Failed {
			t.Fatalf("turn is %s", i.State)
		}
		r.cfg.Models["test"] = script{r.w}
		retry, err := r.Retry(t.Context(), TurnRef{ID: h.ID()})
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, retry); i.State != session.Completed || *i.Result != "done: read" {
			t.Errorf("the retry is %s: %+v", i.State, i.Error)
		}
		messages, _ := r.Messages(keyS)
		if n := strings.Count(fmt.Sprint(messages), "read"); n == 0 {
			t.Errorf("the message is lost: %v", messages)
		}
	})
}
