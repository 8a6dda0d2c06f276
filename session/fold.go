package session

import (
	"encoding/json"
	"fmt"

	"github.com/agentkernel/agentkernel/fault"
)

// Apply folds the next record into s. An error means that the journal is corrupt or newer than this release; s is then
// not to be used any more.
func (s *Session) Apply(rec Record) error {
	b, err := rec.Decode()
	if err != nil {
		return err
	}
	return s.ApplyBatch(rec, b)
}

// ApplyBatch is [Session.Apply] for the writer of the record, who has its content at hand.
func (s *Session) ApplyBatch(rec Record, b Batch) error {
	first := s.At.Len == 0
	if rec.Seq != s.At.Len+1 || b.Prev != s.At.LastID || !s.At.precedes(rec.Life) {
		return s.corrupt(rec, "of life %d does not follow record %d.%d", rec.Life, s.At.Life, s.At.Len)
	}
	if b.At <= 0 {
		return s.corrupt(rec, "has no time")
	}
	if first {
		s.Created = b.At
	}
	s.account(b)
	s.Updated = max(s.Updated, b.At) // a clock that went back must not make time count twice
	for i, e := range b.Events {
		if err := s.event(rec, b, i, e); err != nil {
			return err
		}
	}
	s.At = rec.Position()
	if !s.preview {
		s.trail.add(rec, s.Updated)
	}
	return s.settle(rec, b)
}

func (s *Session) corrupt(rec Record, format string, args ...any) error {
	e := fault.New(fault.Corrupt, "session.Apply", format, args...)
	e.Msg = fmt.Sprintf("journal of session %s: record %d.%d %s", s.Key.ID, rec.Life, rec.Seq, e.Msg)
	return e
}

// account adds the time since the last record to the running turn, unless the owner changed: nobody ran it in between.
func (s *Session) account(b Batch) {
	t := s.Current()
	if t == nil || t.State != Running || s.Owner == "" || b.At <= s.Updated {
		return
	}
	for _, e := range b.Events {
		if e.Type == SessionClaimed {
			return
		}
	}
	t.Ran += b.At - s.Updated
}

// settle does what holds at the end of every record: a session with nothing to run has no owner, and the first turn of
// an owned session runs.
func (s *Session) settle(rec Record, b Batch) error {
	if !s.Runnable() {
		s.Owner = ""
	}
	t := s.Current()
	if s.Owner == "" || t.State != Accepted {
		return nil
	}
	t.StartedAt = b.At
	return s.move(rec, t, onClaim)
}

func (s *Session) move(rec Record, t *Turn, on Trigger) error {
	to, ok := t.State.next(on)
	if !ok {
		return s.corrupt(rec, "has %s for turn %s, which is %s", on, t.Ref, t.State)
	}
	t.State = to
	return nil
}

func (s *Session) event(rec Record, b Batch, index int, e Event) error {
	if s.Erased {
		return s.corrupt(rec, "has %q for a session that was erased", e.Type)
	}
	switch e.Type {
	case TurnAccepted:
		return s.accept(rec, b, index, e.Accepted)
	case SessionClaimed:
		return s.claim(rec, b, e.Claim)
	case SessionReleased:
		return s.release(rec, e.Release)
	case StateSet:
		return s.set(rec, e)
	case SessionCleared:
		if len(s.Open) > 0 {
			return s.corrupt(rec, "clears a session that is at work")
		}
		s.Turns, s.State, s.byRef, s.left = nil, nil, nil, nil
		s.Summary, s.Agent, s.Cleared = nil, "", rec.Seq
		return nil
	case SessionErased:
		s.Erased, s.Owner = true, ""
		s.Turns, s.Open, s.State, s.byRef, s.left = nil, nil, nil, nil, nil
		s.Summary, s.Agent = nil, ""
		return nil
	}
	t := s.Turn(e.Turn)
	if t == nil {
		return s.corrupt(rec, "has %q for turn %s, which is not in it", e.Type, e.Turn)
	}
	switch e.Type {
	case StepStarted, StepCompleted, StepInDoubt, StepResolved:
		return s.stepEvent(rec, t, e)
	case TurnWaiting, TurnSignaled:
		return s.turnEvent(rec, b, t, e)
	case TurnCompleted, TurnFailed, TurnCancelled:
		return s.end(rec, b, t, e)
	}
	return s.corrupt(rec, "has an event of type %q, which is not known", e.Type)
}

func (s *Session) accept(rec Record, b Batch, index int, a *Request) error {
	if a == nil {
		return s.corrupt(rec, "accepts nothing")
	}
	ref := Ref{Seq: rec.Seq, Index: index}
	id := MakeTurnID(s.Key.ID, rec, index)
	t := &Turn{ID: id, Ref: ref, Root: id, Request: *a, AcceptedAt: b.At}
	if err := s.move(rec, t, onAccept); err != nil {
		return err
	}
	if !a.RetryOf.IsZero() {
		from := s.Turn(a.RetryOf)
		if from == nil || !from.State.Ended() {
			return s.corrupt(rec, "retries turn %s, which has not ended", a.RetryOf)
		}
		t.inherit(from)
		if !s.preview {
			from.Retried = true
			s.Retries++
		}
	}
	s.Open = append(s.Open, t)
	if s.preview {
		return nil
	}
	s.remember(KeyUse{Key: a.Key, Turn: id, Digest: a.Digest, Until: a.KeyUntil}, b.At)
	if s.byRef == nil {
		s.byRef = map[Ref]*Turn{}
	}
	s.byRef[ref] = t
	s.Turns = append(s.Turns, t)
	return nil
}

// remember keeps a request's key, and forgets keys whose time has passed; the time is the record's, so that every reader
// forgets alike.
func (s *Session) remember(use KeyUse, now Millis) {
	for len(s.fifo) > 0 {
		if s.keys[s.fifo[0]].Until > now {
			break
		}
		delete(s.keys, s.fifo[0])
		s.fifo = s.fifo[1:]
	}
	if use.Key == "" {
		return
	}
	if s.keys == nil {
		s.keys = map[string]KeyUse{}
	}
	s.keys[use.Key] = use
	s.fifo = append(s.fifo, use.Key)
}

func (s *Session) claim(rec Record, b Batch, c *Claim) error {
	if c == nil || c.Epoch <= s.Epoch || c.Replica == "" {
		return s.corrupt(rec, "claims without a higher epoch than %d", s.Epoch)
	}
	t := s.Current()
	if t != nil && t.State == Running {
		if err := s.move(rec, t, onClaim); err != nil {
			return err
		}
		if s.Owner != "" {
			t.Recoveries++
		}
	}
	s.Owner, s.Epoch, s.OwnedAt = c.Replica, c.Epoch, b.At
	return nil
}

func (s *Session) release(rec Record, r *Release) error {
	if r == nil || s.Owner == "" || r.Replica != s.Owner {
		return s.corrupt(rec, "gives up what its replica does not own")
	}
	s.Owner = ""
	return nil
}

// set keeps a change of the state with the turn that made it, until the turn ends: a re-run of the turn sees the state
// of its start.
func (s *Session) set(rec Record, e Event) error {
	t := s.Turn(e.Turn)
	if e.Set == nil || e.Set.Name == "" || t == nil {
		return s.corrupt(rec, "sets nothing, or for no turn")
	}
	if err := s.move(rec, t, onStep); err != nil {
		return err
	}
	t.Sets = append(t.Sets, *e.Set)
	return nil
}

// merge makes a turn's changes the session's.
func (s *Session) merge(t *Turn) {
	for _, set := range t.Sets {
		if len(set.Value) == 0 || string(set.Value) == "null" {
			delete(s.State, set.Name)
			continue
		}
		if s.State == nil {
			s.State = map[string]json.RawMessage{}
		}
		s.State[set.Name] = set.Value
	}
}

func (s *Session) stepEvent(rec Record, t *Turn, e Event) error {
	on := onStep
	if e.Type == StepResolved && (t.Wait == nil || t.Wait.Reason == WaitInDoubt) {
		on = onResolve
	}
	if err := s.move(rec, t, on); err != nil {
		return err
	}
	st := t.step(e.Step)
	was := st.State
	switch {
	case e.Step == "" || was == StepDone:
		return s.corrupt(rec, "has %s for step %q of turn %s, which is %s", e.Type, e.Step, t.Ref, was)
	case e.Type == StepStarted && e.Start != nil && was != StepUnclear:
		st.State, st.Start, st.Doubt = StepBegun, e.Start, nil
	case e.Type == StepCompleted && e.Result != nil:
		if err := s.summable(rec, e.Result.Summary); err != nil {
			return err
		}
		st.State, st.Result = StepDone, e.Result
		t.Recoveries = 0
		s.tally(t, e.Result)
	case e.Type == StepInDoubt && e.Doubt != nil && was == StepBegun:
		st.State, st.Doubt = StepUnclear, e.Doubt
	case e.Type == StepResolved && e.Resolved != nil && was == StepUnclear:
		s.resolve(t, st, e.Resolved)
	default:
		return s.corrupt(rec, "has %s for step %s of turn %s, which is %s", e.Type, e.Step, t.Ref, was)
	}
	return nil
}

func (s *Session) resolve(t *Turn, st *Step, r *Resolution) {
	st.Solved, st.Doubt = r, nil
	if r.Outcome == RunAgain {
		st.State = StepOpen
	} else {
		st.State = StepDone
		st.Result = &StepResult{Kind: ToolStep, Name: st.Start.Name, Value: r.Value}
	}
	t.Recoveries = 0
	if t.State == Running {
		t.Wait = nil
	}
}

// summable refuses a summary that covers a turn which has not ended.
func (s *Session) summable(rec Record, sum *Summary) error {
	if sum == nil {
		return nil
	}
	for _, t := range s.Open {
		if !sum.Through.Less(t.Ref) {
			return s.corrupt(rec, "sums up turn %s, which has not ended", t.Ref)
		}
	}
	return nil
}

// tally adds a result to what the turn has used and heard.
func (s *Session) tally(t *Turn, r *StepResult) {
	t.Input += r.Input
	t.Output += r.Output
	t.Cost += r.Cost
	t.Heard = max(t.Heard, r.Heard)
	if r.HandOff != "" {
		t.Agent = r.HandOff
	}
}

// Preview tells what the head's attention will be once the record is appended, without changing s. An error means that
// the record must not be written: no reader could fold it.
func (s *Session) Preview(rec Record, b Batch, ttl Millis) (Attention, error) {
	c := *s
	c.preview = true
	c.Open = make([]*Turn, len(s.Open), len(s.Open)+len(b.Events))
	for i, t := range s.Open {
		c.Open[i] = t.clone()
	}
	if err := c.ApplyBatch(rec, b); err != nil {
		return Attention{}, err
	}
	return c.Attention(ttl), nil
}
