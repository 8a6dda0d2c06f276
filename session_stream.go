package agentkernel

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// SessionEvents tells what happens in a session from after the event with id after (empty: from now on), turn by turn,
// until ctx ends. The events are those of [Handle.Events], each with its turn's id in Data as turn_id. It ends with an
// error of kind Gone when the session is erased, and of kind NotFound when there is none. After an id whose records were
// trimmed comes a reset, and then what is still there.
func (k *Kernel) SessionEvents(ctx context.Context, key session.Key, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		j := k.open(key)
		defer j.unpin()
		defer k.follow.add(j)()
		f := &follower{k: k, j: j, yield: yield}
		if err := f.begin(after); err != nil {
			yield(Event{}, err)
			return
		}
		f.run(ctx)
	}
}

// follower is one client's way through a session's stream.
type follower struct {
	k     *Kernel
	j     *journal
	yield func(Event, error) bool
	at    cursor
	upTo  uint64 // records that were looked through
	life  uint64
}

// begin finds where the client is.
func (f *follower) begin(after string) error {
	var length uint64
	err := f.k.read(f.j.key, func(_ *journal, s *session.Session) error {
		length, f.life = s.At.Len, s.At.Life
		return nil
	})
	if err != nil {
		return err
	}
	f.at, f.upTo = cursor{seq: length, index: math.MaxInt32}, length
	if after == "" {
		return nil
	}
	c, ok := parseCursor(after)
	if !ok || c.seq == 0 || c.seq > length {
		return fault.New(fault.BadRequest, "", "%.100q is not the id of an event of this session", after).
			WithTry("use the id of an event you were sent, or none to begin now")
	}
	f.at, f.upTo = c, c.seq-1
	return nil
}

func (f *follower) send(turn, typ string, data any) bool {
	raw := mustJSON(data)
	if typ != EventAccepted && turn != "" {
		raw = json.RawMessage(`{"turn_id":` + string(mustJSON(turn)) + "," + string(raw[1:]))
		if raw[len(raw)-2] == ',' { // there was nothing else
			raw = json.RawMessage(string(raw[:len(raw)-2]) + "}")
		}
	}
	return f.yield(Event{ID: f.at.String(), Type: typ, Data: raw}, nil)
}

func (f *follower) run(ctx context.Context) {
	for {
		changed, now, err := f.journaled(ctx)
		if err != nil {
			if !errors.Is(err, errLeft) {
				f.yield(Event{}, err)
			}
			return
		}
		next, text, reset, more := f.j.live.since(now.Ref, f.at)
		f.at = next
		typ := EventDelta
		if reset {
			typ = EventReset
		}
		if (reset || text != "") && !f.send(now.String(), typ, map[string]string{"step": next.step, "text": text}) {
			return
		}
		select {
		case <-changed:
		case <-more:
		case <-ctx.Done():
			f.yield(Event{}, context.Cause(ctx))
			return
		case <-f.k.ctx.Done():
			f.yield(Event{}, fault.New(fault.Unavailable, "", "this replica stopped; resume at another"))
			return
		}
	}
}

// errLeft says that the reader has had enough.
var errLeft = errors.New("the reader left")

// journaled sends what the journal holds after the cursor. changed is closed when there is more; now is the turn that
// runs, zero when none does.
func (f *follower) journaled(ctx context.Context) (changed <-chan struct{}, now session.TurnID, err error) {
	var length uint64
	ids := map[session.Ref]session.TurnID{}
	err = f.j.view(func(s *session.Session) error {
		if s.Erased || f.j.tomb != nil || s.At.Life != f.life {
			return fault.New(fault.Gone, "", "session %s was erased", f.j.key.ID)
		}
		changed, length = f.j.changed, s.At.Len
		for _, t := range s.Turns {
			ids[t.Ref] = t.ID
		}
		if t := s.Current(); t != nil {
			now = t.ID
		}
		return nil
	})
	for err == nil && f.upTo < length {
		var records []passed
		if records, err = f.j.recordsFrom(ctx, f.upTo+1); len(records) == 0 {
			break
		}
		for _, p := range records {
			if !f.record(p, ids) {
				return changed, now, errLeft
			}
		}
	}
	return changed, now, err
}

// record sends what one record holds; false when the reader has had enough.
func (f *follower) record(p passed, ids map[session.Ref]session.TurnID) bool {
	f.upTo = p.seq
	for i, e := range p.events {
		if p.seq < f.at.seq || p.seq == f.at.seq && i <= f.at.index {
			continue
		}
		ref := e.Turn
		if e.Type == session.TurnAccepted {
			ref = session.Ref{Seq: p.seq, Index: i}
		}
		id := ids[ref]
		typ, data := describe(e, id)
		if typ == "" || id.IsZero() {
			continue
		}
		f.at = cursor{seq: p.seq, index: i}
		if !f.send(id.String(), typ, data) {
			return false
		}
	}
	return true
}
