package session

import "github.com/agentkernel/agentkernel/fault"

// Excerpter folds one turn alone, for a turn that the fold of its session has let go of. It is given the records from the
// one that accepted the turn on, in order.
//
// What other records say of other turns is ignored, but for one thing: a turn runs only when all that were accepted
// before it have ended. An event of an earlier turn therefore says that this one has not run yet, and the end of one that
// it may run now. Whether the session was owned then is known from the next claim, which says from whom it was taken, or
// from the turn's own work.
//
// What comes out is what the session's fold held when the turn ended, with two exceptions. Retried is not set: a retry
// comes later. And StartedAt, Ran and Recoveries are as good as the records: a turn that ended in the queue may seem to
// have run, when they say nothing of the turn ahead of it but that the session was claimed.
type Excerpter struct {
	ref    Ref
	from   *Turn
	s      Session // with this one turn
	t      *Turn
	behind bool   // an earlier turn has not ended
	first  Millis // since when it is the first in the queue, as far as the records say
	freed  uint64 // the newest record that released the session
}

// NewExcerpter begins an excerpt of turn ref. from is the turn that it retries, as an excerpt or a fold has it; nil when
// it retries none, or to do without what it inherited.
func NewExcerpter(key Key, ref Ref, from *Turn) *Excerpter {
	return &Excerpter{ref: ref, from: from, s: Session{Key: key}}
}

// Excerpt is [Excerpter] for records that are at hand, from the turn's acceptance on, to its end or beyond: the turn as
// far as they tell of it. NotFound when they do not hold its acceptance.
func Excerpt(key Key, records []Record, ref Ref, from *Turn) (*Turn, error) {
	x := NewExcerpter(key, ref, from)
	for _, r := range records {
		if ended, err := x.Add(r); ended || err != nil {
			return x.t, err
		}
	}
	if x.t == nil {
		return nil, fault.New(fault.NotFound, "session.Excerpt", "turn %s of session %s is not in these records", ref, key.ID)
	}
	return x.t, nil
}

// Turn is the turn as far as the records told of it, nil before the one that accepted it.
func (x *Excerpter) Turn() *Turn { return x.t }

// Add folds the next record, and reports whether the turn has ended. An error means that the journal is corrupt or newer
// than this release.
func (x *Excerpter) Add(rec Record) (ended bool, err error) {
	b, err := rec.Decode()
	if err != nil {
		return false, err
	}
	s := &x.s
	if s.At.Len > 0 && (rec.Seq != s.At.Len+1 || b.Prev != s.At.LastID || rec.Life != s.At.Life) {
		return false, s.corrupt(rec, "does not follow record %d.%d", s.At.Life, s.At.Len)
	}
	s.account(b)
	before := s.Updated
	s.Updated = max(s.Updated, b.At)
	for i, e := range b.Events {
		if err := x.event(rec, b, i, e, before); err != nil {
			return false, err
		}
		if x.t != nil && x.t.State.Ended() {
			return true, nil
		}
	}
	s.At = rec.Position()
	if x.t == nil || x.behind {
		return false, nil
	}
	return false, s.settle(rec, b)
}

// event is one event; before is when the record before this one was written.
func (x *Excerpter) event(rec Record, b Batch, index int, e Event, before Millis) error {
	s, t := &x.s, x.t
	switch {
	case e.Type == TurnAccepted:
		if (Ref{Seq: rec.Seq, Index: index}) == x.ref && e.Accepted != nil {
			x.accept(rec, b, *e.Accepted)
		}
	case e.Type == SessionClaimed && e.Claim != nil:
		return x.claim(rec, b, e.Claim, before)
	case e.Type == SessionReleased:
		s.Owner, x.freed = "", rec.Seq
	case t == nil:
	case e.Turn == x.ref:
		if t.State == Accepted && !x.behind && e.Type != TurnSignaled && !endsQueued(b, e) {
			x.ran(s.Updated)
		}
		return s.event(rec, b, index, e)
	case !e.Turn.IsZero() && e.Turn.Less(x.ref):
		x.behind = true
		t.State, t.StartedAt, t.Ran, t.Recoveries = Accepted, 0, 0, 0
		switch e.Type {
		case TurnWaiting:
			s.Owner = ""
		case TurnCompleted, TurnFailed, TurnCancelled:
			x.behind, x.first = false, s.Updated
		}
	}
	return nil
}

// endsQueued reports whether e looks like the end of a turn that never ran: no owner wrote it.
func endsQueued(b Batch, e Event) bool {
	return b.Epoch == 0 && (e.Type == TurnCancelled || e.Type == TurnFailed)
}

func (x *Excerpter) accept(rec Record, b Batch, a Request) {
	x.first = b.At
	id := MakeTurnID(x.s.Key.ID, rec, x.ref.Index)
	x.t = &Turn{ID: id, Ref: x.ref, Root: id, Request: a, State: Accepted, AcceptedAt: b.At}
	if x.from != nil {
		x.t.inherit(x.from)
	}
	x.s.Open = []*Turn{x.t}
}

// ran notes that the turn has been running since it was the first one, which nothing said until now.
func (x *Excerpter) ran(until Millis) {
	x.t.State, x.t.StartedAt, x.t.Ran = Running, x.first, max(0, until-x.first)
	if x.s.Owner == "" {
		x.s.Owner = "?" // its name does not matter here
	}
}

func (x *Excerpter) claim(rec Record, b Batch, c *Claim, before Millis) error {
	s := &x.s
	if x.t == nil || x.behind {
		s.Owner, s.Epoch = c.Replica, c.Epoch
		return nil
	}
	switch {
	case c.From == "" || x.freed == rec.Seq:
		s.Owner = ""
	case s.Owner == "" && x.t.State == Accepted && x.ref.Seq != rec.Seq:
		x.ran(before)
	}
	return s.claim(rec, b, c)
}
