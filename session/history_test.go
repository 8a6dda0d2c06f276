package session_test

import (
	"encoding/json"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"pgregory.net/rapid"
)

// history is a random journal in the making. Events are proposed with little regard to whether they make sense; the fold
// decides which of them make history.
type history struct {
	s      *session.Session
	now    session.Millis
	recs   []session.Record
	epochs []uint64                // of the claims, in order
	ends   map[session.Ref]int     // terminal events by turn
	byHand map[session.Ref]*tracks // what the events alone say about each turn
	steady bool                    // no writer's clock goes back
}

// tracks is a count of a turn's events that does not use the fold.
type tracks struct{ results map[string]int }

// propose makes a record of the events, and holds preview and fold against each other.
func (h *history) propose(t *rapid.T, events ...session.Event) {
	back := -20
	if h.steady {
		back = 0
	}
	h.now = max(1, h.now+session.Millis(rapid.IntRange(back, 200).Draw(t, "passed")))
	rec, b, err := session.NewRecord(h.s.At, "r1", h.s.Epoch, h.now, events)
	if err != nil {
		t.Fatalf("no record: %v", err)
	}
	keep := session.Millis(rapid.SampledFrom([]int{0, 500}).Draw(t, "ttl"))
	before := dump(h.s)
	said, refused := h.s.Preview(rec, b, keep)
	if after := dump(h.s); after != before {
		t.Fatalf("the preview of %s changed the session\nfrom %s\nto   %s", rec.Data, before, after)
	}
	if refused != nil {
		if fault.KindOf(refused) != fault.Corrupt {
			t.Fatalf("refused as %s: %v", fault.KindOf(refused), refused)
		}
		if err := fold(t, h.recs).Apply(rec); err == nil {
			t.Fatalf("the preview refuses %s (%v), the fold does not", rec.Data, refused)
		}
		return
	}
	if err := h.s.ApplyBatch(rec, b); err != nil {
		t.Fatalf("the fold refuses %s (%v), the preview does not", rec.Data, err)
	}
	if is := h.s.Attention(keep); said != is {
		t.Fatalf("after %s the head needs %+v, the preview said %+v", rec.Data, is, said)
	}
	h.recs = append(h.recs, rec)
	h.note(t, b)
}

// note keeps count of what must not happen twice.
func (h *history) note(t *rapid.T, b session.Batch) {
	for _, e := range b.Events {
		switch e.Type {
		case session.SessionClaimed:
			if n := len(h.epochs); n > 0 && e.Claim.Epoch <= h.epochs[n-1] {
				t.Fatalf("epoch %d after %d", e.Claim.Epoch, h.epochs[n-1])
			}
			h.epochs = append(h.epochs, e.Claim.Epoch)
		case session.TurnCompleted, session.TurnFailed, session.TurnCancelled:
			if h.ends[e.Turn]++; h.ends[e.Turn] > 1 {
				t.Fatalf("turn %s ended twice", e.Turn)
			}
		case session.StepCompleted:
			k := h.byHand[e.Turn]
			if k == nil {
				k = &tracks{results: map[string]int{}}
				h.byHand[e.Turn] = k
			}
			if k.results[e.Step]++; k.results[e.Step] > 1 {
				t.Fatalf("step %s of turn %s has two results", e.Step, e.Turn)
			}
		}
	}
}

// ref draws a turn: mostly the one whose time it is, sometimes another, one of the record in the making, or none.
func (h *history) ref(t *rapid.T) session.Ref {
	var refs []session.Ref
	switch odd := rapid.IntRange(0, 9).Draw(t, "which"); {
	case odd < 7 && len(h.s.Open) > 0:
		return h.s.Open[0].Ref
	case odd == 7:
		refs = []session.Ref{{Seq: h.s.At.Len + 1}, {Seq: h.s.At.Len + 1, Index: 1}, {}}
	default:
		for _, turn := range h.s.Turns {
			refs = append(refs, turn.Ref)
		}
	}
	if len(refs) == 0 {
		return session.Ref{}
	}
	return rapid.SampledFrom(refs).Draw(t, "turn")
}

// ended draws a turn that can be retried, if there is one.
func (h *history) ended(t *rapid.T) session.Ref {
	refs := []session.Ref{}
	for _, turn := range h.s.Turns {
		if turn.State.Ended() {
			refs = append(refs, turn.Ref)
		}
	}
	if len(refs) == 0 {
		return h.ref(t)
	}
	return rapid.SampledFrom(refs).Draw(t, "ended turn")
}

// fitting draws the next event of a step of the current turn that its state allows.
func (h *history) fitting(t *rapid.T) session.Event {
	turn := h.s.Current()
	typ := rapid.SampledFrom(working).Draw(t, "type")
	if turn == nil || len(turn.Steps) == 0 {
		return h.event(t, typ)
	}
	st := rapid.SampledFrom(turn.Steps).Draw(t, "of")
	var e session.Event
	switch st.State {
	case session.StepBegun:
		e = rapid.SampledFrom([]session.Event{inDoubt(1, st.Key), done(1, st.Key, session.ToolStep)}).Draw(t, "begun")
	case session.StepUnclear:
		e = rapid.SampledFrom([]session.Event{
			resolved(1, st.Key, session.RunAgain), resolved(1, st.Key, session.Happened), healed(1, st.Key),
		}).Draw(t, "unclear")
	case session.StepOpen:
		e = rapid.SampledFrom([]session.Event{started(1, st.Key), healed(1, st.Key)}).Draw(t, "open")
	default:
		return h.event(t, typ)
	}
	e.Turn = turn.Ref
	return e
}

var stepKeys = []string{"m0", "m0.0", "m0.1", "s:x"}

// event draws an event of that type about some turn.
func (h *history) event(t *rapid.T, typ session.EventType) session.Event {
	e := session.Event{Type: typ}
	switch typ {
	case session.TurnAccepted:
		e = accepted()
		if rapid.Bool().Draw(t, "keyed") {
			e = acceptedKey(rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(t, "key"), "d", h.now+session.Millis(rapid.IntRange(0, 400).Draw(t, "kept")))
		}
		if rapid.IntRange(0, 2).Draw(t, "retry") == 0 {
			e.Accepted.RetryOf = h.ref(t)
		}
	case session.SessionClaimed:
		return h.claim(t, uint64(rapid.IntRange(0, 3).Draw(t, "higher")))
	case session.SessionReleased:
		return released(h.replica(t))
	case session.SessionCleared, session.SessionErased:
	case session.StateSet:
		e = sets(1, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), rapid.SampledFrom([]string{"1", "null", `"<x>"`}).Draw(t, "value"))
	case session.TurnSignaled:
		return h.signal(t)
	case session.TurnWaiting:
		return h.wait(t)
	case session.TurnCompleted:
		e = completed(1)
	case session.TurnFailed:
		e = failedTurn(1)
	case session.TurnCancelled:
	default:
		return h.stepEvent(t, typ)
	}
	if typ != session.TurnAccepted && typ != session.SessionCleared && typ != session.SessionErased {
		e.Turn = h.ref(t)
	}
	return e
}

// wait draws what a turn waits for.
func (h *history) wait(t *rapid.T) session.Event {
	until := h.now + session.Millis(rapid.IntRange(1, 1000).Draw(t, "until"))
	why := rapid.SampledFrom([]session.WaitReason{session.WaitApproval, session.WaitInDoubt, session.WaitTimer, session.WaitQuarantined}).Draw(t, "why")
	e := waits(1, why, until)
	e.Turn = h.ref(t)
	switch why {
	case session.WaitTimer:
		e.Waiting.Step = "z0"
	case session.WaitApproval:
		for i := range rapid.IntRange(0, 2).Draw(t, "questions") {
			e.Waiting.Asks = append(e.Waiting.Asks, session.Ask{Step: stepKeys[i+1], Name: "pay", Digest: "d" + stepKeys[i+1], Until: until + session.Millis(i)})
		}
	}
	return e
}

// signal draws a word to a turn; a decision names what one of the questions asks, or nearly so.
func (h *history) signal(t *rapid.T) session.Event {
	kind := rapid.SampledFrom([]session.SignalKind{
		session.SignalCancel, session.SignalRelease, session.SignalResolve, session.SignalExpire,
		session.SignalApprove, session.SignalApprove, session.SignalDeny, session.SignalWake, session.SignalMessage,
	}).Draw(t, "signal")
	e := signaled(1, kind)
	e.Turn = h.ref(t)
	switch kind {
	case session.SignalApprove, session.SignalDeny:
		e.Step = rapid.SampledFrom(stepKeys).Draw(t, "decided")
		e.Signal.Digest = "d" + e.Step
	case session.SignalWake:
		e.Step = "z0"
	case session.SignalMessage:
		e.Signal.Input = json.RawMessage(rapid.SampledFrom([]string{"", `"more"`}).Draw(t, "said"))
		e.Signal.Key, e.Signal.KeyUntil = rapid.SampledFrom([]string{"", "k1", "k4"}).Draw(t, "key"), h.now+100
	}
	return e
}

// claim takes the session from whoever owns it, with an epoch that is higher by so much.
func (h *history) claim(t *rapid.T, by uint64) session.Event {
	e := claimed(h.replica(t), h.s.Epoch+by)
	e.Claim.From = h.s.Owner
	return e
}

func (h *history) replica(t *rapid.T) string {
	return rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "replica")
}

func (h *history) stepEvent(t *rapid.T, typ session.EventType) session.Event {
	k := rapid.SampledFrom(stepKeys).Draw(t, "step")
	var e session.Event
	switch typ {
	case session.StepStarted:
		e = started(1, k)
	case session.StepCompleted:
		make := rapid.SampledFrom([]func() session.Event{
			func() session.Event { return done(1, k, session.ToolStep) },
			func() session.Event { return done(1, k, session.ModelStep) },
			func() session.Event { return failed(1, k, session.ModelStep) },
			func() session.Event { return healed(1, k) },
			func() session.Event { return h.bearing(t, done(1, k, session.ModelStep)) },
		}).Draw(t, "result")
		e = make()
	case session.StepInDoubt:
		e = inDoubt(1, k)
	case session.StepResolved:
		e = resolved(1, k, rapid.SampledFrom([]session.Outcome{session.Happened, session.RunAgain}).Draw(t, "outcome"))
	}
	e.Turn = h.ref(t)
	return e
}

// bearing is a result that says more than that the step is done.
func (h *history) bearing(t *rapid.T, e session.Event) session.Event {
	switch rapid.IntRange(0, 2).Draw(t, "bears") {
	case 0:
		e.Result.Heard = rapid.IntRange(0, 3).Draw(t, "heard")
	case 1:
		e.Result.HandOff = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "hand-off")
	case 2:
		if through := h.ended(t); !through.IsZero() {
			e.Result.Summary = &session.Summary{Through: through, Text: "before"}
		}
	}
	return e
}

var (
	working = []session.EventType{
		session.StepStarted, session.StepCompleted, session.StepInDoubt, session.StepResolved, session.StateSet,
	}
	ending   = []session.EventType{session.TurnCompleted, session.TurnFailed, session.TurnCancelled}
	ordinary = append(append([]session.EventType{
		session.TurnAccepted, session.SessionClaimed, session.SessionReleased, session.TurnWaiting, session.TurnSignaled, session.SessionCleared,
	}, working...), ending...)
)

func (h *history) some(t *rapid.T, types []session.EventType, most int) []session.Event {
	events := make([]session.Event, rapid.IntRange(1, most).Draw(t, "events"))
	for i := range events {
		events[i] = h.event(t, rapid.SampledFrom(types).Draw(t, "type"))
	}
	return events
}

// endAll cancels every open turn.
func (h *history) endAll() []session.Event {
	var events []session.Event
	for _, turn := range h.s.Open {
		events = append(events, session.Event{Type: session.TurnCancelled, Turn: turn.Ref})
	}
	return events
}

func (h *history) rarely(t *rapid.T, events ...session.Event) {
	if rapid.IntRange(0, 15).Draw(t, "chance") == 13 {
		h.propose(t, events...)
	}
}

// check holds the fold against what must be true of every session.
func (h *history) check(t *rapid.T) {
	var open []*session.Turn
	for _, turn := range h.s.Turns {
		if !turn.State.Ended() {
			open = append(open, turn)
		}
		if turn.State.Ended() != (h.ends[turn.Ref] == 1) {
			t.Fatalf("turn %s is %s after %d terminal events", turn.Ref, turn.State, h.ends[turn.Ref])
		}
		if turn.State.Ended() != (turn.EndSeq > 0) || (turn.State == session.Waiting) != (turn.Wait != nil) || turn.Ran < 0 {
			t.Fatalf("turn %s contradicts itself: %+v", turn.Ref, turn)
		}
		for _, st := range turn.Steps {
			if (st.State == session.StepDone) != (st.Result != nil) || st.State == session.StepUnclear && (st.Doubt == nil || st.Start == nil) {
				t.Fatalf("step %s of turn %s contradicts itself: %+v", st.Key, turn.Ref, st)
			}
		}
	}
	if len(open) != len(h.s.Open) {
		t.Fatalf("%d open turns, %d listed", len(open), len(h.s.Open))
	}
	for i, turn := range h.s.Open {
		if turn != open[i] || h.s.Turn(turn.Ref) != turn || h.s.Find(turn.ID) != turn {
			t.Fatalf("open turn %d is not the one in its place", i)
		}
		if i > 0 && (turn.State != session.Accepted || !h.s.Open[i-1].Ref.Less(turn.Ref)) {
			t.Fatalf("turn %s is %s behind an unfinished one", turn.Ref, turn.State)
		}
	}
	if h.s.Owner != "" && (h.s.Current() == nil || h.s.Current().State != session.Running) {
		t.Fatalf("owner %s has nothing to run", h.s.Owner)
	}
	head := session.Head{Attention: h.s.Attention(500)}
	if head.Idle() != (len(h.s.Open) == 0 && !h.s.Erased) && h.s.At.Len > 0 {
		t.Fatalf("the head %+v says idle %t", head, head.Idle())
	}
}

// TestEveryHistoryTheFoldAllowsIsSound writes random histories through Preview and Apply and holds them against each
// other and against what must be true of every session.
func TestEveryHistoryTheFoldAllowsIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{s: &session.Session{Key: key}, now: 1000, ends: map[session.Ref]int{}, byHand: map[session.Ref]*tracks{}}
		t.Repeat(map[string]func(*rapid.T){
			"":       h.check,
			"accept": func(t *rapid.T) { h.propose(t, h.event(t, session.TurnAccepted)) },
			"start": func(t *rapid.T) {
				h.propose(t, h.event(t, session.TurnAccepted), h.claim(t, 1))
			},
			"claim":    func(t *rapid.T) { h.propose(t, h.claim(t, 1)) },
			"release":  func(t *rapid.T) { h.propose(t, released(h.s.Owner)) },
			"more":     func(t *rapid.T) { h.propose(t, h.fitting(t), h.fitting(t)) },
			"work":     func(t *rapid.T) { h.propose(t, h.some(t, working, 2)...) },
			"go on":    func(t *rapid.T) { h.propose(t, h.fitting(t)) },
			"end":      func(t *rapid.T) { h.propose(t, h.some(t, ending, 1)...) },
			"wait":     func(t *rapid.T) { h.propose(t, h.event(t, session.TurnWaiting)) },
			"signal":   func(t *rapid.T) { h.propose(t, h.event(t, session.TurnSignaled)) },
			"retry":    func(t *rapid.T) { h.propose(t, retryOf(h.ended(t)), h.claim(t, 1)) },
			"any":      func(t *rapid.T) { h.propose(t, h.some(t, ordinary, 4)...) },
			"end all":  func(t *rapid.T) { h.rarely(t, h.endAll()...) },
			"clear":    func(t *rapid.T) { h.rarely(t, append(h.endAll(), cleared())...) },
			"erase":    func(t *rapid.T) { h.rarely(t, erased()) }, // nothing can follow
			"no event": func(t *rapid.T) { h.propose(t) },
		})
		same(t, "a second reader", h.s, fold(t, h.recs))
		same(t, "a reader in pages", h.s, h.paged(t))
	})
}

// paged folds the records as a follower does: some now, some later, with previews of its own in between.
func (h *history) paged(t *rapid.T) *session.Session {
	s := &session.Session{Key: key}
	for rest := h.recs; len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "page")
		for _, r := range rest[:n] {
			if err := s.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		rest = rest[n:]
		if rec, b, err := session.NewRecord(s.At, "r9", 0, h.now, h.some(t, ordinary, 3)); err == nil {
			_, _ = s.Preview(rec, b, 0)
		}
	}
	return s
}
