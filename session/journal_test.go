package session_test

import (
	"encoding/json"
	"flag"
	"reflect"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// journal is a session under test: its records, and the fold of a writer that applied them one by one.
type journal struct {
	t    testing.TB
	s    *session.Session
	now  session.Millis
	recs []session.Record
}

var key = session.Key{Tenant: "acme", ID: "s-1"}

func newJournal(t testing.TB) *journal {
	return &journal{t: t, s: &session.Session{Key: key}, now: 1000}
}

// tester is a testing.TB or a rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// fold reads records as a replica does that never saw the session.
func fold(t tester, recs []session.Record) *session.Session {
	t.Helper()
	s := &session.Session{Key: key}
	for _, r := range recs {
		if err := s.Apply(r); err != nil {
			t.Fatalf("fold: %v", err)
		}
	}
	return s
}

// try proposes a record of the events. Whatever comes of it, a preview must have said so, and must have changed nothing.
func (j *journal) try(events ...session.Event) error {
	j.t.Helper()
	rec, b, err := session.NewRecord(j.s.At, "r1", j.s.Epoch, j.now, events)
	if err != nil {
		return err
	}
	before := dump(j.s)
	said, refused := j.s.Preview(rec, b, ttl)
	if after := dump(j.s); after != before {
		j.t.Fatalf("a preview changed the session\nfrom %s\nto   %s", before, after)
	}
	if refused != nil {
		other := fold(j.t, j.recs)
		if err := other.Apply(rec); err == nil || err.Error() != refused.Error() {
			j.t.Fatalf("a preview said %q, the fold says %v", refused, err)
		}
		return refused
	}
	if err := j.s.ApplyBatch(rec, b); err != nil {
		j.t.Fatalf("a preview agreed, the fold says %v", err)
	}
	if is := j.s.Attention(ttl); said != is {
		j.t.Fatalf("a preview said %+v, the fold says %+v", said, is)
	}
	j.recs = append(j.recs, rec)
	return nil
}

const ttl = 60_000

// add appends a record that must be valid, one millisecond after the one before.
func (j *journal) add(events ...session.Event) *journal {
	j.t.Helper()
	if err := j.try(events...); err != nil {
		j.t.Fatalf("refused: %v", err)
	}
	j.now++
	return j
}

// at sets the clock of the next record's writer.
func (j *journal) at(now session.Millis) *journal {
	j.now = now
	return j
}

// refuse proposes a record that no reader may fold.
func (j *journal) refuse(says string, events ...session.Event) {
	j.t.Helper()
	err := j.try(events...)
	if fault.KindOf(err) != fault.Corrupt {
		j.t.Fatalf("want corrupt, got %v", err)
	}
	place := "journal of session s-1: record 1."
	if !strings.Contains(err.Error(), place) || !strings.Contains(err.Error(), says) {
		j.t.Fatalf("%q does not say %q and %q", err, place, says)
	}
}

// turn is the turn that the record seq accepted.
func (j *journal) turn(seq uint64) *session.Turn {
	j.t.Helper()
	t := j.s.Turn(session.Ref{Seq: seq})
	if t == nil {
		j.t.Fatalf("no turn %d.0", seq)
	}
	return t
}

// dump shows everything of a session that others can see.
func dump(s *session.Session) string {
	keys := map[string]session.KeyUse{}
	for _, k := range s.KeysInUse(0) {
		keys[k], _ = s.Used(k, 0)
	}
	b, err := json.Marshal(struct {
		*session.Session
		Keys map[string]session.KeyUse
	}{s, keys})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// same checks that two folds agree in everything, seen or not.
func same(t tester, what string, a, b *session.Session) {
	t.Helper()
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("%s: the folds differ\n%s\n%s", what, dump(a), dump(b))
	}
}

// The events of a turn. ref is the record that accepted it.

func accepted() session.Event {
	return session.Event{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "a", Input: json.RawMessage(`"hello"`)}}
}

func acceptedKey(key, digest string, until session.Millis) session.Event {
	e := accepted()
	e.Accepted.Key, e.Accepted.Digest, e.Accepted.KeyUntil = key, digest, until
	return e
}

func retryOf(ref session.Ref) session.Event {
	e := accepted()
	e.Accepted.RetryOf = ref
	return e
}

func claimed(replica string, epoch uint64) session.Event {
	return session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: replica, Epoch: epoch}}
}

func released(replica string) session.Event {
	return session.Event{Type: session.SessionReleased, Release: &session.Release{Replica: replica, Cause: "drain"}}
}

func on(seq uint64, typ session.EventType) session.Event {
	return session.Event{Type: typ, Turn: session.Ref{Seq: seq}}
}

func step(seq uint64, typ session.EventType, key string) session.Event {
	e := on(seq, typ)
	e.Step = key
	return e
}

func started(seq uint64, key string) session.Event {
	e := step(seq, session.StepStarted, key)
	e.Start = &session.Start{Kind: session.ToolStep, Name: "pay", Args: json.RawMessage(`{"n":1}`), Effect: session.AtMostOnce, Key: "k-" + key, Epoch: 1}
	return e
}

func inDoubt(seq uint64, key string) session.Event {
	e := step(seq, session.StepInDoubt, key)
	e.Doubt = &session.Doubt{Why: "its owner stopped"}
	return e
}

func resolved(seq uint64, key string, o session.Outcome) session.Event {
	e := step(seq, session.StepResolved, key)
	e.Resolved = &session.Resolution{Outcome: o, By: "operator"}
	if o != session.RunAgain {
		e.Resolved.Value = json.RawMessage(`"` + string(o) + `"`)
	}
	return e
}

func done(seq uint64, key string, kind session.StepKind) session.Event {
	e := step(seq, session.StepCompleted, key)
	e.Result = &session.StepResult{Kind: kind, Name: "n", Value: json.RawMessage(`"` + key + `"`), Attempts: 1}
	return e
}

func failed(seq uint64, key string, kind session.StepKind) session.Event {
	e := done(seq, key, kind)
	e.Result.Value, e.Result.Error = nil, &session.Failure{Kind: fault.Transient, Message: "it broke"}
	return e
}

func healed(seq uint64, key string) session.Event {
	e := done(seq, key, session.ToolStep)
	e.Result.Healed = true
	return e
}

func waits(seq uint64, why session.WaitReason, until session.Millis) session.Event {
	e := on(seq, session.TurnWaiting)
	e.Waiting = &session.Wait{Reason: why, Until: until}
	return e
}

func signaled(seq uint64, kind session.SignalKind) session.Event {
	e := on(seq, session.TurnSignaled)
	e.Signal = &session.Signal{Kind: kind, By: "operator"}
	return e
}

func sets(seq uint64, name, value string) session.Event {
	e := on(seq, session.StateSet)
	e.Set = &session.Setting{Name: name, Value: json.RawMessage(value)}
	return e
}

func completed(seq uint64) session.Event {
	e := on(seq, session.TurnCompleted)
	e.Reply = &session.Reply{Text: "hi"}
	return e
}

func failedTurn(seq uint64) session.Event {
	e := on(seq, session.TurnFailed)
	e.Failure = &session.Failure{Kind: fault.Budget, Message: "too long"}
	return e
}

func cancelled(seq uint64) session.Event { return on(seq, session.TurnCancelled) }

func cleared() session.Event { return session.Event{Type: session.SessionCleared} }

func erased() session.Event { return session.Event{Type: session.SessionErased} }
