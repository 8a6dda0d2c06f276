package session_test

import (
	"encoding/json"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// asks is a wait for the approval of some steps; the question about each ends a second after the one before it.
func asks(steps ...string) session.Event {
	e := waits(1, session.WaitApproval, 9000)
	for i, s := range steps {
		e.Waiting.Asks = append(e.Waiting.Asks, session.Ask{Step: s, Name: "pay", Digest: "d-" + s, Until: 9000 + session.Millis(1000*i)})
	}
	return e
}

func decided(kind session.SignalKind, step string) session.Event {
	e := signaled(1, kind)
	e.Step, e.Signal.Digest = step, "d-"+step
	return e
}

func message(text string) session.Event {
	e := signaled(1, session.SignalMessage)
	e.Signal.Input = json.RawMessage(`"` + text + `"`)
	e.Signal.Key, e.Signal.Digest, e.Signal.KeyUntil = "key-"+text, "d", 5000
	return e
}

func heard(step string, n int) session.Event {
	e := done(1, step, session.ModelStep)
	e.Result.Heard = n
	return e
}

func sums(step string, through uint64) session.Event {
	e := done(1, step, session.ModelStep)
	e.Result.Summary = &session.Summary{Through: session.Ref{Seq: through}, Text: "before"}
	return e
}

func sleeps() session.Event {
	e := waits(1, session.WaitTimer, 9000)
	e.Waiting.Step = "z0"
	return e
}

func wakes(step string) session.Event {
	e := signaled(1, session.SignalWake)
	e.Step = step
	return e
}

func TestDecisionsAreTakenOneByOne(t *testing.T) {
	j := running(t).add(asks("m0.0", "m0.1"))
	if a := j.s.Attention(0); a.Due != 9000 {
		t.Errorf("it is due at %d", a.Due)
	}
	j.add(decided(session.SignalApprove, "m0.0"))
	turn := j.turn(1)
	if turn.State != session.Waiting || len(turn.Wait.Asks) != 1 || turn.Wait.Until != 10000 || j.s.Attention(0).Due != 10000 {
		t.Errorf("half decided it is %s, %+v", turn.State, turn.Wait)
	}
	j.add(decided(session.SignalDeny, "m0.1"))
	turn = j.turn(1)
	if turn.State != session.Running || turn.Wait != nil || turn.Step("m0.0").Word.Kind != session.SignalApprove || turn.Step("m0.1").Word.Kind != session.SignalDeny {
		t.Errorf("decided it is %s, %+v", turn.State, turn.Steps)
	}
	same(t, "a reader", j.s, fold(t, j.recs))
}

func TestWordsThatCannotBeTrueAreCorrupt(t *testing.T) {
	wrong := decided(session.SignalApprove, "c")
	wrong.Signal.Digest = "of something else"
	for name, c := range map[string]struct {
		says   string
		events []session.Event
	}{
		"a decision that nobody asked for":     {"does not ask that", []session.Event{decided(session.SignalApprove, "c")}},
		"a decision about another step":        {"does not ask that", []session.Event{asks("c"), decided(session.SignalApprove, "d")}},
		"a decision about something else":      {"does not ask that", []session.Event{asks("c"), wrong}},
		"a second decision":                    {"does not ask that", []session.Event{asks("c", "d"), decided(session.SignalApprove, "c"), decided(session.SignalDeny, "c")}},
		"a decision after the last":            {"does not ask that", []session.Event{asks("c"), decided(session.SignalApprove, "c"), decided(session.SignalApprove, "c")}},
		"a wake of a turn that does not sleep": {"does not sleep", []session.Event{wakes("z0")}},
		"a wake of another sleep":              {"does not sleep", []session.Event{sleeps(), wakes("z1")}},
		"a message without content":            {"without content", []session.Event{signaled(1, session.SignalMessage)}},
		"a completion behind a message":        {"nobody read", []session.Event{message("more"), completed(1)}},
		"a completion behind a second message": {"nobody read", []session.Event{message("a"), heard("m0", 1), message("b"), completed(1)}},
		"a summary of the turn itself":         {"which has not ended", []session.Event{sums("f0", 1)}},
		"a summary of a turn in the queue":     {"which has not ended", []session.Event{sums("f0", 7)}},
	} {
		t.Run(name, func(t *testing.T) { running(t).refuse(c.says, c.events...) })
	}
}

func TestASleepEndsAndItsTurnRuns(t *testing.T) {
	j := running(t).add(sleeps()).add(wakes("z0"))
	if turn := j.turn(1); turn.State != session.Running || turn.Wait != nil || turn.Step("z0").Word == nil {
		t.Errorf("it is %s, %+v", turn.State, turn.Wait)
	}
}

func TestAMessageKeepsItsKeyAndSurvivesARetry(t *testing.T) {
	j := running(t).add(message("a")).add(heard("m0", 1)).add(message("b"))
	if u, ok := j.s.Used("key-a", 1500); !ok || u.Turn != j.turn(1).ID {
		t.Errorf("the key of a message: %+v, %t", u, ok)
	}
	j.add(failedTurn(1)).add(retryOf(session.Ref{Seq: 1}))
	retry := j.s.Turns[1]
	if len(retry.Messages) != 2 || retry.Heard != 1 || retry.Step("m0") == nil {
		t.Errorf("the retry has heard %d of %d messages", retry.Heard, len(retry.Messages))
	}
}

func TestASummaryTakesThePlaceOfTheTurnsThatItCovers(t *testing.T) {
	j := running(t).add(completed(1))
	for range 2 {
		j.add(accepted(), claimed("r1", j.s.Epoch+1))
		j.add(completed(j.s.At.Len))
	}
	gone := j.turn(1).ID
	j.add(accepted(), claimed("r1", j.s.Epoch+1))
	last := j.s.At.Len
	through := j.s.Turns[1].Ref
	e := sums("f0", through.Seq)
	e.Turn = session.Ref{Seq: last}
	j.add(e)
	if len(j.s.Turns) != 4 {
		t.Errorf("%d turns: a re-run would see another conversation", len(j.s.Turns))
	}
	j.add(failedTurn(last)) // a summary was paid for, whatever became of the turn
	if len(j.s.Turns) != 2 || j.s.Summary == nil || j.s.Find(gone) != nil || !j.s.Past(gone) || j.s.Past(j.s.Turns[0].ID) {
		t.Errorf("%d turns are left, summary %+v", len(j.s.Turns), j.s.Summary)
	}
	j.refuse("retries turn", retryOf(through))
	j.add(cleared())
	if j.s.Summary != nil || j.s.Past(gone) {
		t.Error("the summary outlives the conversation")
	}
	same(t, "a reader", j.s, fold(t, j.recs))
}

func TestAHandOffLastsUntilAnotherAgentIsNamed(t *testing.T) {
	j := running(t)
	e := done(1, "m0.0", session.ToolStep)
	e.Result.HandOff = "other"
	j.add(e)
	if j.s.Agent != "" {
		t.Error("the session is handed over before the turn has completed")
	}
	j.add(completed(1))
	if j.s.Agent != "other" {
		t.Errorf("the session is %q's", j.s.Agent)
	}
	named := func(agent string) session.Event {
		e := accepted()
		e.Accepted.Agent = agent
		return e
	}
	for agent, want := range map[string]string{"other": "other", "desk": ""} {
		j.add(named(agent), claimed("r1", j.s.Epoch+1))
		j.add(completed(j.s.At.Len))
		if j.s.Agent != want {
			t.Errorf("after a turn of %s the session is %q's", agent, j.s.Agent)
		}
		j.s.Agent = "other"
	}
}
