package session_test

import (
	"encoding/json"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// running is a journal whose turn 1.0 runs on replica r1, since record 2 and time 1001.
func running(t testing.TB) *journal {
	return newJournal(t).add(accepted()).add(claimed("r1", 1))
}

func TestEachEventChangesWhatItSays(t *testing.T) {
	cases := []struct {
		name  string
		given func(*journal)
		event session.Event
		check func(*journal) bool
	}{
		{"accepted", nil, acceptedKey("k", "d", 5000), func(j *journal) bool {
			t := j.turn(3)
			u, ok := j.s.Used("k", 1002)
			return t.State == session.Accepted && t.AcceptedAt == 1002 && t.Root == t.ID && len(j.s.Open) == 2 && len(j.s.Turns) == 2 &&
				ok && u == session.KeyUse{Key: "k", Turn: t.ID, Digest: "d", Until: 5000}
		}},
		{"claimed", nil, claimed("r2", 7), func(j *journal) bool {
			return j.s.Owner == "r2" && j.s.Epoch == 7 && j.s.OwnedAt == 1002 && j.turn(1).Recoveries == 1
		}},
		{"released", nil, released("r1"), func(j *journal) bool {
			return j.s.Owner == "" && j.s.Epoch == 1 && j.turn(1).State == session.Running
		}},
		{"step started", nil, started(1, "m0.0"), func(j *journal) bool {
			s := j.turn(1).Step("m0.0")
			return s.State == session.StepBegun && s.Start.Key == "k-m0.0" && s.Result == nil
		}},
		{"step started again", func(j *journal) { j.add(started(1, "m0.0")) }, started(1, "m0.0"), func(j *journal) bool {
			return j.turn(1).Step("m0.0").State == session.StepBegun && len(j.turn(1).Steps) == 1
		}},
		{"step completed", nil, done(1, "m0", session.ModelStep), func(j *journal) bool {
			s := j.turn(1).Step("m0")
			return s.State == session.StepDone && string(s.Result.Value) == `"m0"`
		}},
		{"step in doubt", func(j *journal) { j.add(started(1, "c")) }, inDoubt(1, "c"), func(j *journal) bool {
			d := j.turn(1).InDoubt()
			return len(d) == 1 && d[0].Key == "c" && d[0].State == session.StepUnclear && d[0].Doubt.Why == "its owner stopped"
		}},
		{"step completed after a doubt", func(j *journal) { j.add(started(1, "c"), inDoubt(1, "c")) }, healed(1, "c"), func(j *journal) bool {
			s := j.turn(1).Step("c")
			return s.State == session.StepDone && s.Doubt != nil && len(j.turn(1).InDoubt()) == 0
		}},
		{"resolved as happened", func(j *journal) { j.add(started(1, "c"), inDoubt(1, "c")) }, resolved(1, "c", session.Happened), func(j *journal) bool {
			s := j.turn(1).Step("c")
			return s.State == session.StepDone && s.Result.Name == "pay" && s.Result.Kind == session.ToolStep &&
				string(s.Result.Value) == `"happened"` && s.Doubt == nil && s.Solved.By == "operator"
		}},
		{"resolved as to be run again", func(j *journal) { j.add(started(1, "c"), inDoubt(1, "c")) }, resolved(1, "c", session.RunAgain), func(j *journal) bool {
			s := j.turn(1).Step("c")
			return s.State == session.StepOpen && s.Result == nil && s.Doubt == nil && s.Start != nil && len(j.turn(1).InDoubt()) == 0
		}},
		{"waiting", nil, waits(1, session.WaitApproval, 9000), func(j *journal) bool {
			return j.turn(1).State == session.Waiting && j.turn(1).Wait.Until == 9000 && j.s.Owner == "" && !j.s.Runnable()
		}},
		{"cancel asked for", nil, signaled(1, session.SignalCancel), func(j *journal) bool {
			return j.turn(1).Cancel != nil && j.turn(1).State == session.Running
		}},
		{"released from quarantine", func(j *journal) { j.add(claimed("r2", 2)).add(waits(1, session.WaitQuarantined, 9000)) }, signaled(1, session.SignalRelease), func(j *journal) bool {
			return j.turn(1).State == session.Running && j.turn(1).Wait == nil && j.turn(1).Recoveries == 0 && j.s.Runnable()
		}},
		{"word to a waiting turn", func(j *journal) { j.add(waits(1, session.WaitTimer, 9000)) }, signaled(1, session.SignalExpire), func(j *journal) bool {
			return j.turn(1).State == session.Waiting && j.turn(1).Wait != nil && j.turn(1).Cancel == nil
		}},
		{"completed", nil, completed(1), func(j *journal) bool {
			t := j.turn(1)
			return t.State == session.Completed && t.Reply.Text == "hi" && t.Failure == nil && t.EndedAt == 1002 && t.EndSeq == 3 &&
				len(j.s.Open) == 0 && len(j.s.Turns) == 1 && j.s.Owner == "" && j.s.Current() == nil
		}},
		{"failed", nil, failedTurn(1), func(j *journal) bool {
			return j.turn(1).State == session.Failed && j.turn(1).Failure.Kind == fault.Budget && j.turn(1).Reply == nil
		}},
		{"failed while waiting", func(j *journal) { j.add(waits(1, session.WaitTimer, 9000)) }, failedTurn(1), func(j *journal) bool {
			return j.turn(1).State == session.Failed && j.turn(1).Wait == nil
		}},
		{"cancelled", nil, cancelled(1), func(j *journal) bool {
			return j.turn(1).State == session.Cancelled && j.turn(1).Reply == nil && j.turn(1).Failure == nil
		}},
		{"cleared", func(j *journal) {
			j.add(acceptedKey("k", "", 9000), sets(1, "n", "1")).add(completed(1)).add(cancelled(3))
		}, cleared(), func(j *journal) bool {
			_, known := j.s.Used("k", 1005)
			return len(j.s.Turns) == 0 && j.s.State == nil && j.s.Turn(session.Ref{Seq: 1}) == nil && known && j.s.Created == 1000
		}},
		{"erased", func(j *journal) { j.add(acceptedKey("k", "", 9000)) }, erased(), func(j *journal) bool {
			return j.s.Erased && j.s.Owner == "" && len(j.s.Turns)+len(j.s.Open)+len(j.s.State) == 0 && !j.s.Runnable() &&
				j.s.Turn(session.Ref{Seq: 1}) == nil && len(j.s.KeysInUse(1003)) == 1
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := running(t)
			if c.given != nil {
				c.given(j)
			}
			j.add(c.event)
			if !c.check(j) {
				t.Errorf("not as it should be: %s", dump(j.s))
			}
			same(t, "a reader", j.s, fold(t, j.recs))
		})
	}
}

func TestAJournalThatCannotBeTrueIsCorrupt(t *testing.T) {
	bare := func(typ session.EventType) session.Event { return step(1, typ, "c") }
	with := func(e session.Event, f func(*session.Event)) session.Event {
		f(&e)
		return e
	}
	cases := []struct {
		name   string
		says   string
		given  func(*journal)
		events []session.Event
	}{
		{"acceptance without a request", "accepts nothing", nil, []session.Event{{Type: session.TurnAccepted}}},
		{"retry of nothing", "retries turn 7.0", nil, []session.Event{retryOf(session.Ref{Seq: 7})}},
		{"retry of an unfinished turn", "retries turn 1.0", nil, []session.Event{retryOf(session.Ref{Seq: 1})}},
		{"retry of what was cleared", "retries turn 1.0", func(j *journal) { j.add(completed(1)).add(cleared()) }, []session.Event{retryOf(session.Ref{Seq: 1})}},
		{"retry of what is cleared with it", "retries turn 1.0", nil, []session.Event{completed(1), cleared(), retryOf(session.Ref{Seq: 1})}},
		{"claim without content", "without a higher epoch than 1", nil, []session.Event{{Type: session.SessionClaimed}}},
		{"claim with the same epoch", "without a higher epoch than 1", nil, []session.Event{claimed("r2", 1)}},
		{"claim with a lower epoch", "without a higher epoch than 1", nil, []session.Event{claimed("r2", 0)}},
		{"claim by nobody", "without a higher epoch than 1", nil, []session.Event{claimed("", 2)}},
		{"release without content", "does not own", nil, []session.Event{{Type: session.SessionReleased}}},
		{"release by another", "does not own", nil, []session.Event{released("r2")}},
		{"release twice", "does not own", nil, []session.Event{released("r1"), released("r1")}},
		{"release by nobody of nobody's", "does not own", func(j *journal) { j.add(released("r1")) }, []session.Event{released("")}},
		{"unknown event", `"turn.danced"`, nil, []session.Event{on(1, "turn.danced")}},
		{"unknown event of no turn", `"session.danced"`, nil, []session.Event{{Type: "session.danced"}}},
		{"event of an unknown turn", "turn 8.0, which is not in it", nil, []session.Event{completed(8)}},
		{"event of no turn", "turn 0.0, which is not in it", nil, []session.Event{completed(0)}},
		{"start without content", "step c of turn 1.0", nil, []session.Event{bare(session.StepStarted)}},
		{"start of a step in doubt", "which is in_doubt", func(j *journal) { j.add(started(1, "c"), inDoubt(1, "c")) }, []session.Event{started(1, "c")}},
		{"start of a done step", "which is done", func(j *journal) { j.add(done(1, "c", session.ToolStep)) }, []session.Event{started(1, "c")}},
		{"result without content", "step c of turn 1.0", nil, []session.Event{bare(session.StepCompleted)}},
		{"second result", "which is done", nil, []session.Event{done(1, "c", session.ToolStep), done(1, "c", session.ToolStep)}},
		{"step without a key", `step ""`, nil, []session.Event{done(1, "", session.ToolStep)}},
		{"doubt without content", "step c", func(j *journal) { j.add(started(1, "c")) }, []session.Event{bare(session.StepInDoubt)}},
		{"doubt of what was not started", "which is open", nil, []session.Event{inDoubt(1, "c")}},
		{"second doubt", "which is in_doubt", nil, []session.Event{started(1, "c"), inDoubt(1, "c"), inDoubt(1, "c")}},
		{"resolution without content", "step c", func(j *journal) { j.add(started(1, "c"), inDoubt(1, "c")) }, []session.Event{bare(session.StepResolved)}},
		{"resolution without a doubt", "which is started", nil, []session.Event{started(1, "c"), resolved(1, "c", session.Happened)}},
		{"wait without content", "without its content", nil, []session.Event{on(1, session.TurnWaiting)}},
		{"wait without an end", "without its content", nil, []session.Event{waits(1, session.WaitTimer, 0)}},
		{"wait while waiting", "which is waiting", nil, []session.Event{waits(1, session.WaitTimer, 9), waits(1, session.WaitTimer, 9)}},
		{"signal without content", "without its content", nil, []session.Event{on(1, session.TurnSignaled)}},
		{"release of a running turn", "turn.signaled:resume for turn 1.0, which is running", nil, []session.Event{signaled(1, session.SignalRelease)}},
		{"setting without content", "sets nothing", nil, []session.Event{on(1, session.StateSet)}},
		{"setting without a name", "sets nothing", nil, []session.Event{sets(1, "", "1")}},
		{"setting of no turn", "sets nothing", nil, []session.Event{sets(0, "n", "1")}},
		{"setting of a turn that does not run", "which is accepted", nil, []session.Event{accepted(), sets(3, "n", "1")}},
		{"setting of an ended turn", "which is completed", nil, []session.Event{completed(1), sets(1, "n", "1")}},
		{"completion without a reply", "without its content", nil, []session.Event{on(1, session.TurnCompleted)}},
		{"failure without a reason", "without its content", nil, []session.Event{on(1, session.TurnFailed)}},
		{"two ends", "which is completed", nil, []session.Event{completed(1), failedTurn(1)}},
		{"two ends in two records", "which is cancelled", func(j *journal) { j.add(cancelled(1)) }, []session.Event{completed(1)}},
		{"signal after the end", "which is completed", func(j *journal) { j.add(completed(1)) }, []session.Event{signaled(1, session.SignalCancel)}},
		{"signal behind the end", "which is completed", nil, []session.Event{completed(1), signaled(1, session.SignalCancel)}},
		{"release after the end", "which is completed", func(j *journal) { j.add(completed(1)) }, []session.Event{signaled(1, session.SignalRelease)}},
		{"wait after the end", "which is completed", func(j *journal) { j.add(completed(1)) }, []session.Event{waits(1, session.WaitTimer, 9)}},
		{"step behind the end", "which is completed", nil, []session.Event{completed(1), done(1, "c", session.ToolStep)}},
		{"clearing at work", "clears a session that is at work", nil, []session.Event{cleared()}},
		{"event after the erase", "erased", func(j *journal) { j.add(erased()) }, []session.Event{accepted()}},
		{"event behind the erase", "erased", nil, []session.Event{erased(), claimed("r2", 2)}},
		{"second erase", "erased", func(j *journal) { j.add(erased()) }, []session.Event{erased()}},
		{"step under the wrong turn of a record", "turn 1.3", nil, []session.Event{with(done(1, "c", session.ToolStep), func(e *session.Event) { e.Turn.Index = 3 })}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := running(t)
			if c.given != nil {
				c.given(j)
			}
			j.refuse(c.says, c.events...)
		})
	}
}

func TestARecordInTheWrongPlaceIsCorrupt(t *testing.T) {
	j := running(t)
	elsewhere := newJournal(t).add(accepted()).add(claimed("r9", 1)).add(completed(1))
	make := func(at session.Position, now session.Millis) session.Record {
		rec, _, err := session.NewRecord(at, "r1", 1, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	here := j.s.At
	other := here
	other.Life = 2
	cases := map[string]session.Record{
		"again":           j.recs[1],
		"behind a gap":    make(session.Position{Life: 1, Len: 3, LastID: here.LastID}, 2000),
		"other history":   elsewhere.recs[2],
		"other life":      make(other, 2000),
		"a new beginning": make(session.Position{}, 2000),
		"without a time":  make(here, 0),
		"before time":     make(here, -1),
	}
	for name, rec := range cases {
		t.Run(name, func(t *testing.T) {
			s := fold(t, j.recs)
			if err := s.Apply(rec); fault.KindOf(err) != fault.Corrupt {
				t.Errorf("want corrupt, got %v", err)
			}
		})
	}
	t.Run("bytes that are no record", func(t *testing.T) {
		if err := fold(t, j.recs).Apply(record(3, []byte("{"))); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("want corrupt, got %v", err)
		}
	})
}

func TestALifeBeginsAfterTheLastOne(t *testing.T) {
	rec, _, err := session.NewRecord(session.Position{Life: 3}, "r1", 0, 1000, []session.Event{accepted()})
	if err != nil {
		t.Fatal(err)
	}
	if rec.Life != 4 || rec.Seq != 1 {
		t.Fatalf("the record is %d.%d", rec.Life, rec.Seq)
	}
	for life, want := range map[uint64]fault.Kind{0: "", 3: "", 4: fault.Corrupt, 5: fault.Corrupt} {
		s := &session.Session{Key: key, At: session.Position{Life: life}}
		if err := s.Apply(rec); fault.KindOf(err) != want {
			t.Errorf("after life %d: %v", life, err)
		}
	}
}

func TestAnOwnerWithNothingToRunIsNone(t *testing.T) {
	for name, e := range map[string]session.Event{
		"its turn ended": completed(1), "its turn waits": waits(1, session.WaitApproval, 9000), "erased": erased(),
	} {
		t.Run(name, func(t *testing.T) {
			j := running(t).add(e)
			if j.s.Owner != "" || j.s.Epoch != 1 || j.s.Runnable() {
				t.Errorf("owner %q, epoch %d", j.s.Owner, j.s.Epoch)
			}
		})
	}
	t.Run("a claim of an idle session", func(t *testing.T) {
		j := running(t).add(completed(1)).add(claimed("r2", 2))
		if j.s.Owner != "" || j.s.Epoch != 2 {
			t.Errorf("owner %q, epoch %d", j.s.Owner, j.s.Epoch)
		}
		j.refuse("higher epoch", claimed("r3", 2))
	})
}

func TestTheNextTurnStartsByItself(t *testing.T) {
	j := running(t).add(accepted()).add(accepted())
	if j.turn(3).State != session.Accepted || j.turn(3).StartedAt != 0 {
		t.Fatal("it started before its time")
	}
	j.at(2000).add(completed(1))
	if j.turn(3).State != session.Running || j.turn(3).StartedAt != 2000 || j.s.Owner != "r1" || j.turn(4).State != session.Accepted {
		t.Errorf("the second turn did not start: %s", dump(j.s))
	}
	j.add(cancelled(4)).at(2500).add(completed(3))
	if j.turn(4).StartedAt != 0 || j.s.Owner != "" {
		t.Errorf("a turn that was cancelled in the queue started: %s", dump(j.s))
	}
}

func TestATurnBehindAWaitingOneDoesNotStart(t *testing.T) {
	j := running(t).add(accepted()).add(waits(1, session.WaitApproval, 9000)).add(claimed("r2", 2))
	if j.turn(3).State != session.Accepted || j.s.Owner != "" {
		t.Fatalf("it overtook: %s", dump(j.s))
	}
	j.add(signaled(1, session.SignalExpire), failedTurn(1), claimed("r2", 3))
	if j.turn(3).State != session.Running || j.s.Owner != "r2" {
		t.Errorf("it did not start in its turn: %s", dump(j.s))
	}
}

func TestATurnThatIsAcceptedAndClaimedInOneRecordRuns(t *testing.T) {
	j := newJournal(t).add(accepted(), accepted(), claimed("r1", 1))
	first, second := j.turn(1), j.s.Turn(session.Ref{Seq: 1, Index: 1})
	if first.State != session.Running || first.StartedAt != 1000 || second.State != session.Accepted {
		t.Errorf("%s and %s", first.State, second.State)
	}
	if j.s.Find(first.ID) != first || j.s.Find(second.ID) != second || j.s.Current() != first {
		t.Error("the turns are not found by their ids")
	}
	other := first.ID
	other.Tag = "00000000"
	if j.s.Find(other) != nil {
		t.Error("a turn that another history had in this place was found")
	}
}

func TestRecoveriesCountTakeoversWithoutProgress(t *testing.T) {
	j := running(t)
	count := func(want int, why string) {
		t.Helper()
		if is := j.turn(1).Recoveries; is != want {
			t.Errorf("%s: %d recoveries, want %d", why, is, want)
		}
	}
	count(0, "the first claim")
	j.add(claimed("r2", 2)).add(claimed("r3", 3))
	count(2, "two takeovers")
	j.add(started(1, "c"), inDoubt(1, "c"), sets(1, "n", "1"))
	count(2, "an intent, a doubt or a setting is no progress")
	j.add(done(1, "m0", session.ModelStep))
	count(0, "a result")
	j.add(claimed("r4", 4))
	count(1, "a takeover")
	j.add(resolved(1, "c", session.RunAgain))
	count(0, "a resolution")
	j.add(released("r4")).add(claimed("r5", 5))
	count(0, "a drain")
	j.add(claimed("r6", 6)).add(waits(1, session.WaitQuarantined, 90_000)).add(claimed("r7", 7))
	count(1, "a claim while it waits")
	j.add(signaled(1, session.SignalRelease), claimed("r7", 8))
	count(0, "a release from quarantine")
}

func TestRunningTimeIsWhatAnOwnerSpent(t *testing.T) {
	j := newJournal(t)
	ran := func(want session.Millis, why string) {
		t.Helper()
		if is := j.turn(1).Ran; is != want {
			t.Errorf("%s: ran %d ms, want %d", why, is, want)
		}
	}
	j.at(1000).add(accepted())
	j.at(2000).add(claimed("r1", 1))
	ran(0, "the queue does not count")
	j.at(2300).add(done(1, "m0", session.ModelStep))
	ran(300, "work counts")
	j.at(2400).add(accepted())
	ran(400, "other records are a clock, too")
	j.at(9000).add(claimed("r2", 2))
	ran(400, "the gap before a takeover does not count")
	j.at(9100).add(done(1, "m1", session.ModelStep))
	ran(500, "the new owner's work counts")
	j.at(9050).add(done(1, "m2", session.ModelStep))
	ran(500, "a clock that goes back does not count")
	j.at(9150).add(done(1, "m3", session.ModelStep))
	ran(550, "and time does not count twice when it has gone back")
	j.at(9200).add(released("r2"))
	ran(600, "the owner's last word counts")
	j.at(9700).add(signaled(1, session.SignalCancel))
	ran(600, "nobody ran it")
	j.at(9800).add(claimed("r3", 3))
	j.at(9850).add(started(1, "c"), inDoubt(1, "c"), waits(1, session.WaitInDoubt, 99_000))
	ran(650, "until it waits")
	j.at(12_000).add(resolved(1, "c", session.Happened), claimed("r1", 4))
	ran(650, "waiting does not count")
	j.at(12_100).add(cancelled(1))
	ran(750, "until it ends")
	if second := j.turn(4); second.StartedAt != 12_100 || second.Ran != 0 {
		t.Errorf("the next turn's time began at %d with %d", second.StartedAt, second.Ran)
	}
	if j.s.Updated != 12_100 || j.s.Created != 1000 {
		t.Errorf("created %d, updated %d", j.s.Created, j.s.Updated)
	}
}

func TestUpdatedNeverGoesBack(t *testing.T) {
	j := newJournal(t).at(5000).add(accepted()).at(4000).add(cancelled(1))
	if j.s.Updated != 5000 || j.s.Attention(10).Expiry != 5010 {
		t.Errorf("updated at %d, expires at %d", j.s.Updated, j.s.Attention(10).Expiry)
	}
}

func TestTokensOfATurnAddUp(t *testing.T) {
	j := running(t)
	for _, k := range []string{"m0", "m1"} {
		e := done(1, k, session.ModelStep)
		e.Result.Input, e.Result.Output = 100, 7
		j.add(e)
	}
	if j.turn(1).Input != 200 || j.turn(1).Output != 14 {
		t.Errorf("%d in, %d out", j.turn(1).Input, j.turn(1).Output)
	}
}

func TestStateChangesWhenTheTurnCompletesAndNotOtherwise(t *testing.T) {
	for name, last := range map[string]session.Event{"completed": completed(3), "failed": failedTurn(3), "cancelled": cancelled(3)} {
		t.Run(name, func(t *testing.T) {
			j := running(t).add(accepted()).add(sets(1, "keep", `"old"`), sets(1, "drop", "1"), completed(1))
			j.add(sets(3, "keep", `"new"`)).add(sets(3, "drop", "null"), sets(3, "twice", "1"), sets(3, "twice", "2"), sets(3, "never", "null"))
			if string(j.s.State["keep"]) != `"old"` || string(j.s.State["drop"]) != "1" || len(j.s.State) != 2 || len(j.turn(3).Sets) != 5 {
				t.Fatalf("a re-run would not see the state of the turn's start: %s", dump(j.s))
			}
			j.add(last)
			want := `{"drop":1,"keep":"old"}`
			if name == "completed" {
				want = `{"keep":"new","twice":2}`
			}
			if is, _ := json.Marshal(j.s.State); string(is) != want {
				t.Errorf("the state is %s, want %s", is, want)
			}
			same(t, "a reader", j.s, fold(t, j.recs))
		})
	}
}

func TestAWriterFoldsWhatReadersFold(t *testing.T) {
	j := running(t)
	e := started(1, "c")
	e.Start.Args = json.RawMessage("{ \"q\" :\n\t\"a<b & \u2028\" }")
	bad := inDoubt(1, "c")
	bad.Doubt.Why = "cut \xff off"
	j.add(e, bad, sets(1, "n", " [ 1 ] "), session.Event{Type: session.StateSet, Turn: session.Ref{Seq: 1}, Set: &session.Setting{Name: "gone"}})
	same(t, "the writer", j.s, fold(t, j.recs))
	j.add(completed(1))
	same(t, "the writer", j.s, fold(t, j.recs))
}
