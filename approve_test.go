package agentkernel

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// asking starts a turn and returns it when it asks for approval.
func questions(t *testing.T, r *replica, prompt string) (*Handle, *TurnInfo) {
	t.Helper()
	h := start(t, r, prompt)
	i := state(t, h)
	if i.State != session.Waiting || i.Waiting.Reason != session.WaitApproval {
		t.Fatalf("turn is %s, %+v", i.State, i.Waiting)
	}
	return h, i
}

func TestAnApprovalIsBoundToWhatThePersonWasShown(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		h, i := questions(t, r, "okay")
		ask := i.Waiting.Asks[0]
		if ask.Name != "okay" || string(ask.Args) != `{"n":"0.0"}` || ask.Digest == "" || ask.Step != "m0.0" {
			t.Fatalf("it asks %+v", ask)
		}
		if len(w.calls) != 0 || w.fold(keyS).Turns[0].Step("m0.0") != nil {
			t.Error("something was dispatched, or an intent recorded, before the yes")
		}
		ref := TurnRef{ID: h.ID(), By: "desk"}
		for name, d := range map[string]Decision{
			"another digest": {Step: ask.Step, Digest: "0000000000000000"}, "another step": {Step: "m9.9"},
		} {
			if _, err := r.Approve(t.Context(), ref, d); err == nil {
				t.Errorf("%s was taken", name)
			}
		}
		if _, err := r.Approve(t.Context(), ref, Decision{Digest: ask.Digest}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Completed || len(w.effects) != 1 {
			t.Errorf("turn is %s with %d effects", i.State, len(w.effects))
		}
		if st := w.fold(keyS).Turns[0].Step("m0.0"); st.Word == nil || st.Word.By != "desk" || st.Word.Digest != ask.Digest {
			t.Errorf("the journal says %+v of the decision", st.Word)
		}
	})
}

func TestAnApprovalIsDecidedOnce(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		h, i := questions(t, r, "okay idem_okay")
		ref, first := TurnRef{ID: h.ID()}, Decision{Step: "m0.0"}
		if len(i.Waiting.Asks) != 2 {
			t.Fatalf("it asks %+v", i.Waiting.Asks)
		}
		if _, err := r.Approve(t.Context(), ref, Decision{}); fault.KindOf(err) != fault.BadRequest {
			t.Errorf("an approval of one of two, without saying which: %v", err)
		}
		if _, err := other.Approve(t.Context(), ref, first); err != nil {
			t.Fatal(err)
		}
		there, _ := other.Turn("", h.ID())
		if i := state(t, there); i.State != session.Waiting || len(i.Waiting.Asks) != 1 {
			t.Errorf("half decided it is %s, %+v", i.State, i.Waiting)
		}
		if _, err := r.Approve(t.Context(), ref, first); err != nil {
			t.Errorf("the same decision again: %v", err)
		}
		if _, err := r.Deny(t.Context(), ref, first); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the opposite decision: %v", err)
		}
		if _, err := r.Deny(t.Context(), ref, Decision{Step: "m0.1", Note: "too dear"}); err != nil {
			t.Fatal(err)
		}
		i = state(t, h)
		if i.State != session.Completed || !strings.Contains(i.Steps[2].Text, "too dear") || len(w.effects) != 1 {
			t.Errorf("turn is %s, %d effects, %+v", i.State, len(w.effects), i.Steps)
		}
		if _, err := r.Approve(t.Context(), ref, first); err != nil {
			t.Errorf("the decision again, after the turn: %v", err)
		}
		if _, err := r.Deny(t.Context(), ref, Decision{}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a decision about a turn that has ended: %v", err)
		}
	})
}

func TestWhatWasDecidedElsewhereIsSeenByWhoAsksAgain(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		ask := Request{Session: "s", Prompt: "okay", Key: "k"}
		h, err := r.Start(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		state(t, h)
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		if _, err := other.Approve(t.Context(), TurnRef{ID: h.ID()}, Decision{}); err != nil {
			t.Fatal(err)
		}
		there, _ := other.Turn("", h.ID())
		state(t, there)
		again, err := r.Start(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, again); i.State != session.Completed {
			t.Errorf("who asks again at the first replica is told that it is %s", i.State)
		}
	})
}

func TestAnApprovalThatNobodyGivesIsADenial(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		h, _ := questions(t, r, "okay") // expires after a minute
		began := time.Now()
		for i := state(t, h); !i.State.Ended(); i = state(t, h) {
			time.Sleep(time.Second)
		}
		i := state(t, h)
		if i.State != session.Completed || !strings.Contains(i.Steps[1].Text, "nobody approved it in time") || len(w.effects) != 0 {
			t.Errorf("turn is %s: %+v", i.State, i.Steps)
		}
		if d := time.Since(began); d > 63*time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

// TestEachQuestionHasItsOwnTime: the first one expires after a minute, the second one with the longest wait of a turn.
func TestEachQuestionHasItsOwnTime(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		h, _ := questions(t, r, "okay idem_okay")
		time.Sleep(62 * time.Second)
		i := state(t, h)
		if i.State != session.Waiting || len(i.Waiting.Asks) != 1 || i.Waiting.Asks[0].Step != "m0.1" {
			t.Fatalf("after a minute it is %s, %+v", i.State, i.Waiting)
		}
		if _, err := r.Approve(t.Context(), TurnRef{ID: h.ID()}, Decision{Step: "m0.0"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a yes that came too late: %v", err)
		}
		if _, err := r.Approve(t.Context(), TurnRef{ID: h.ID()}, Decision{}); err != nil {
			t.Error(err)
		}
		if i := state(t, h); i.State != session.Completed || len(w.effects) != 1 {
			t.Errorf("it is %s with %d effects", i.State, len(w.effects))
		}
	})
}

func TestOnlyTheNamedRolesMayApprove(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		r.cfg.Agents[0].tool("okay").Approval.Roles = []string{"treasurer"}
		h, _ := questions(t, r, "okay")
		for _, roles := range [][]string{{}, {"approver"}} {
			if _, err := r.Approve(t.Context(), TurnRef{ID: h.ID(), Roles: roles}, Decision{}); fault.KindOf(err) != fault.Forbidden {
				t.Errorf("roles %v: %v", roles, err)
			}
		}
		if _, err := r.Approve(t.Context(), TurnRef{ID: h.ID(), Roles: []string{"user", "treasurer"}}, Decision{}); err != nil {
			t.Error(err)
		}
		state(t, h)
	})
}

func TestARunnerThatSwallowsAWaitStillWaits(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		r.agentNamed(t, "sleepy").Runner = RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
			a, err := tu.Await(ctx, "go", 1, Approval{})
			if err != nil {
				return Reply{Text: "I do not care"}, errors.New("wrapped beyond recognition: " + err.Error())
			}
			if _, err := tu.Step(ctx, "act", func(context.Context) (any, error) { return nil, nil }); err != nil {
				return Reply{}, err
			}
			return Reply{Text: a.By}, nil
		})
		h, err := r.Start(t.Context(), Request{Session: "s", Agent: "sleepy", Prompt: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Waiting {
			t.Fatalf("it is %s, %+v", i.State, i.Error)
		}
		if _, err := r.Approve(t.Context(), TurnRef{ID: h.ID(), By: "desk"}, Decision{}); err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Completed || *i.Result != "desk" {
			t.Errorf("it is %s, %+v", i.State, i.Error)
		}
	})
}

func (r *replica) agentNamed(t *testing.T, name string) *Agent {
	t.Helper()
	a, err := r.agent(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestASleepSurvivesItsReplicaAndEndsInTime(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		began := time.Now()
		h, err := r.Start(t.Context(), Request{Session: "s", Agent: "sleepy", Prompt: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Waiting || i.Waiting.Reason != session.WaitTimer {
			t.Fatalf("it is %s, %+v", i.State, i.Waiting)
		}
		next := w.replica(w.config(), "", 0, "")
		defer next.stop()
		r.stop()
		nh, _ := next.Turn("", h.ID())
		i := state(t, nh)
		for ; i.Waiting != nil && i.Waiting.Reason == session.WaitTimer; i = state(t, nh) {
			time.Sleep(50 * time.Millisecond)
		}
		if d := time.Since(began); d < 30*time.Second || d > 31*time.Second {
			t.Errorf("it woke up after %s", d)
		}
		r.agentNamed(t, "sleepy").Runner = RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
			return Reply{}, tu.Sleep(ctx, 24*time.Hour)
		})
	})
}

func TestASleepLongerThanAnyWaitIsRefused(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		r.agentNamed(t, "sleepy").Runner = RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
			return Reply{}, tu.Sleep(ctx, 24*time.Hour)
		})
		h, _ := r.Start(t.Context(), Request{Session: "s", Agent: "sleepy", Prompt: "x"})
		if i := state(t, h); i.State != session.Failed || i.Error.Kind != fault.Budget {
			t.Errorf("it is %s, %+v", i.State, i.Error)
		}
	})
}
