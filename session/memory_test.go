package session_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

func TestKeysAreRememberedForTheirTime(t *testing.T) {
	j := newJournal(t).add(acceptedKey("k", "d", 5000)).add(accepted())
	for now, want := range map[session.Millis]bool{1000: true, 4999: true, 5000: false, 9000: false} {
		if u, ok := j.s.Used("k", now); ok != want || ok && (u.Turn.Ref != session.Ref{Seq: 1} || u.Digest != "d") {
			t.Errorf("at %d: %t %+v", now, ok, u)
		}
		if n := len(j.s.KeysInUse(now)); n == 1 != want {
			t.Errorf("at %d: %d keys in use", now, n)
		}
	}
	if _, ok := j.s.Used("", 1000); ok {
		t.Error("a turn without a key left one")
	}
	j.add(cancelled(1)).add(cancelled(2)).add(cleared())
	if _, ok := j.s.Used("k", 1000); !ok {
		t.Error("a clearing made the session forget a key")
	}
	j.add(erased())
	if got := j.s.KeysInUse(1000); !slices.Equal(got, []string{"k"}) {
		t.Errorf("what is erased cannot say which keys it had: %v", got)
	}
}

func TestAKeyThatWasForgottenCanBeUsedAgain(t *testing.T) {
	j := newJournal(t)
	j.at(1000).add(acceptedKey("long", "", 10_000))
	j.at(1001).add(acceptedKey("k", "one", 2000)) // it ends behind one that is remembered for longer
	j.at(3000).add(acceptedKey("k", "two", 20_000))
	if u, ok := j.s.Used("k", 3000); !ok || u.Digest != "two" || u.Turn.Ref.Seq != 3 {
		t.Fatalf("the second use is not known: %+v", u)
	}
	j.at(11_000).add(accepted()) // forgets "long", and the first use of "k"
	if u, ok := j.s.Used("k", 11_000); !ok || u.Digest != "two" {
		t.Errorf("forgetting the first use forgot the second: %+v", u)
	}
	j.at(21_000).add(accepted())
	if keys := j.s.KeysInUse(0); len(keys) != 0 {
		t.Errorf("still remembered: %v", keys)
	}
}

func TestManyKeysAreForgottenInTime(t *testing.T) {
	j := newJournal(t)
	const each, keep = 500, 100
	s := &session.Session{Key: key}
	now := session.Millis(1000)
	for i := range each {
		now++
		rec, b, err := session.NewRecord(s.At, "r1", 0, now, []session.Event{acceptedKey(fmt.Sprint("k", i), "", now+keep)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ApplyBatch(rec, b); err != nil {
			t.Fatal(err)
		}
		j.recs = append(j.recs, rec)
	}
	if got := len(s.KeysInUse(0)); got != keep {
		t.Errorf("%d keys are kept, want %d", got, keep)
	}
	same(t, "a reader", s, fold(t, j.recs))
}

// states shows a turn's steps as "key:state".
func states(turn *session.Turn) []string {
	var list []string
	for _, s := range turn.Steps {
		list = append(list, s.Key+":"+string(s.State))
	}
	return list
}

func TestARetryInheritsWhatWasDoneAndWhatMayHaveBeen(t *testing.T) {
	j := running(t)
	j.add(done(1, "m0", session.ModelStep))
	j.add(started(1, "paid"), started(1, "doubt"), started(1, "again"), started(1, "begun"))
	j.add(done(1, "paid", session.ToolStep), failed(1, "tool-error", session.ToolStep), done(1, "user", session.UserStep))
	j.add(inDoubt(1, "doubt"), inDoubt(1, "again"), resolved(1, "again", session.RunAgain))
	j.add(started(1, "open"), inDoubt(1, "open"), resolved(1, "open", session.RunAgain))
	j.add(failed(1, "m1", session.ModelStep), failed(1, "user-error", session.UserStep))
	j.add(healed(1, "never"), healed(1, "doubt"), healed(1, "again"), failedTurn(1))
	j.add(retryOf(session.Ref{Seq: 1}))
	retry := j.turn(uint64(len(j.recs)))
	want := []string{
		"m0:done", "paid:done",
		"doubt:in_doubt",  // closed without an answer: it may have happened
		"begun:started",   // on its way when the turn ended
		"tool-error:done", // the model was told of it
		"user:done",
		"open:open", // may be dispatched, with the same key
		// not: again (it was settled that it may run, and it did not), never, m1 and user-error (what the retry is for)
	}
	if got := states(retry); !slices.Equal(got, want) {
		t.Errorf("inherited %v\nwant      %v", got, want)
	}
	if retry.Step("doubt").Result != nil || retry.Step("doubt").Start == nil || len(retry.InDoubt()) != 1 {
		t.Error("a call in doubt was not handed on as one")
	}
	if !j.turn(1).Retried || retry.Root.Ref != (session.Ref{Seq: 1}) || retry.Input != 0 || retry.Recoveries != 0 {
		t.Errorf("retried %t, root %s", j.turn(1).Retried, retry.Root)
	}
	same(t, "a reader", j.s, fold(t, j.recs))
}

func TestARetryDoesNotChangeTheTurnItRetries(t *testing.T) {
	j := running(t).add(started(1, "c"), inDoubt(1, "c")).add(healed(1, "c"), cancelled(1)).add(retryOf(session.Ref{Seq: 1}), claimed("r1", 2))
	before := states(j.turn(1))
	j.add(resolved(5, "c", session.Happened), done(5, "m0", session.ModelStep))
	if after := states(j.turn(1)); !slices.Equal(before, after) {
		t.Errorf("from %v to %v", before, after)
	}
	if j.turn(1).Step("c").Solved != nil || j.turn(5).Step("c").State != session.StepDone {
		t.Error("the doubt was resolved in the wrong turn")
	}
}

func TestARetryOfARetryKeepsTheRoot(t *testing.T) {
	j := running(t).add(done(1, "m0", session.ModelStep)).add(failedTurn(1))
	j.add(retryOf(session.Ref{Seq: 1}), claimed("r1", 2)).add(failedTurn(5))
	j.add(retryOf(session.Ref{Seq: 5}))
	if last := j.turn(7); last.Root.Ref != (session.Ref{Seq: 1}) || last.Step("m0") == nil {
		t.Errorf("root %s, steps %v", last.Root, states(last))
	}
}

func TestATurnCanEndAndBeRetriedInOneRecord(t *testing.T) {
	j := running(t).add(done(1, "m0", session.ModelStep), failedTurn(1), retryOf(session.Ref{Seq: 1}), claimed("r1", 2))
	retry := j.s.Turn(session.Ref{Seq: 3, Index: 2})
	if retry == nil || retry.State != session.Running || retry.Step("m0") == nil {
		t.Errorf("not retried: %s", dump(j.s))
	}
}

func TestAttentionSaysWhoLooksAndWhen(t *testing.T) {
	type attention = session.Attention
	cases := []struct {
		name string
		ttl  session.Millis
		make func(j *journal)
		want attention
	}{
		{"idle, kept for a time", 500, func(j *journal) { j.add(accepted()).at(3000).add(cancelled(1)) }, attention{Due: 3500, Expiry: 3500}},
		{"idle, kept for ever", 0, func(j *journal) { j.add(accepted()).at(3000).add(cancelled(1)) }, attention{}},
		{"queued, owned by nobody", 500, func(j *journal) { j.at(3000).add(accepted()) }, attention{Due: 3000}},
		{"queued, kept for ever", 0, func(j *journal) { j.at(3000).add(accepted()) }, attention{Due: 3000}},
		{"owned", 500, func(j *journal) { j.add(accepted()).at(3000).add(claimed("r1", 4)).at(9000).add(accepted()) }, attention{Owner: "r1", Epoch: 4, Due: 3000}},
		{"handed over", 500, func(j *journal) { j.add(accepted(), claimed("r1", 4)).at(3000).add(released("r1")) }, attention{Epoch: 4, Due: 3000}},
		{"waiting", 500, func(j *journal) { j.add(accepted(), claimed("r1", 4)).add(waits(1, session.WaitTimer, 7000)) }, attention{Epoch: 4, Due: 7000}},
		{"waiting, with a queue behind it", 500, func(j *journal) {
			j.add(accepted(), accepted(), claimed("r1", 4)).add(waits(1, session.WaitTimer, 7000))
		}, attention{Epoch: 4, Due: 7000}},
		{"resolved, and not yet claimed", 500, func(j *journal) {
			j.add(accepted(), claimed("r1", 4)).add(started(1, "c"), inDoubt(1, "c"), waits(1, session.WaitInDoubt, 7000))
			j.at(3000).add(resolved(1, "c", session.Happened))
		}, attention{Epoch: 4, Due: 3000}},
		{"ended, kept for a time", 500, func(j *journal) { j.add(accepted(), claimed("r1", 4)).at(3000).add(completed(1)) }, attention{Epoch: 4, Due: 3500, Expiry: 3500}},
		{"erased", 500, func(j *journal) { j.add(accepted(), claimed("r1", 4)).at(3000).add(erased()) }, attention{Epoch: 4, Due: 3000}},
		{"erased, kept for ever", 0, func(j *journal) { j.add(accepted(), claimed("r1", 4)).at(3000).add(erased()) }, attention{Epoch: 4, Due: 3000}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal(t)
			c.make(j)
			got := j.s.Attention(c.ttl)
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			head := session.Head{Key: key, Position: j.s.At, Attention: got}
			idle := len(j.s.Open) == 0 && !j.s.Erased
			if head.Idle() != idle {
				t.Errorf("the head says idle %t, the fold %t", head.Idle(), idle)
			}
		})
	}
}
