package agentkernel

import (
	"errors"
	"fmt"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// A store that goes back loses records that it had acknowledged: a failover to a replica that lagged behind, a restore, a
// disk that lied. It is noticed by whoever holds a fold that the store does not continue: the head is shorter than the
// fold, or has another id at its place, in the same life.
//
// A replica keeps the newest raw records of the sessions in its cache. When the store now stands where one of them
// stands, or right before the first of them, what is missing is appended again, byte for byte, one by one: the records
// name each other, so they fit nowhere else. Each append is guarded like any other. If somebody else wrote in between,
// the history has parted and nothing more is appended.
//
// When the records are not at hand, or the history has parted, the session goes on from what the store has, but not
// silently: its unfinished turn may have had effects that nothing tells of any more. The next time this replica would
// run that turn, it is quarantined, and a person decides.
//
// A head that says that the id was never used is what a rollback to the very beginning looks like, and also what is left
// of an erased session when its tombstone has gone. The fold is appended again only if it is so young that a tombstone
// would still be there.

const (
	holdRecords = 64        // raw records per session
	holdBytes   = 256 << 10 // of them, unless the newest one alone is larger
)

// loss says that the store lost records of a session, and which turn must not run because of it.
type loss struct {
	turn session.Ref
	n    uint64
}

// hold keeps a record for the case that the store loses it. j.mu is held.
func (j *journal) hold(rec session.Record) {
	j.held = append(j.held, rec)
	j.heldSize += len(rec.Data)
	if len(j.held) > holdRecords+holdRecords/2 || j.heldSize > 2*holdBytes {
		j.holdOnly(j.held)
	}
}

func (j *journal) holdOnly(records []session.Record) {
	j.held, j.heldSize = newestOf(records), 0
	for _, r := range j.held {
		j.heldSize += len(r.Data)
	}
}

// restart drops a fold that the store does not continue, unless the store can be made to. j.mu is held, but not while
// the store is asked.
func (j *journal) restart(head session.Head) error {
	if j.mending != nil { // by someone else; what they come to holds
		done := j.mending
		j.mu.Unlock()
		<-done
		j.mu.Lock()
		return j.load()
	}
	old := j.s
	back := head.Life == old.At.Life || head.Life < old.At.Life && now() < old.Updated+millis(j.k.cfg.IdempotencyTTL)/2
	if !back || head.Tomb != nil || old.Erased {
		return j.drop()
	}
	j.mending = make(chan struct{})
	defer func() {
		close(j.mending)
		j.mending = nil
	}()
	held := j.held
	j.mu.Unlock()
	again, has, whole, err := j.k.mend(old.Key, old.At, held)
	j.mu.Lock()
	switch {
	case err != nil && kindOfStore(err) == fault.Unavailable:
		return err // the fold stays, and whoever compares it with the store next tries again
	case err != nil:
		return errors.Join(err, j.drop())
	case whole && again == 0:
		return nil // someone was faster
	case whole:
		j.k.rolledBack(j.key, old.At.Len, has-uint64(again), again)
		return nil
	}
	lost := uint64(1) // at least, where another history is as long
	if has < old.At.Len {
		lost = old.At.Len - has
	}
	j.k.rolledBack(j.key, old.At.Len, has, again)
	if err := j.drop(); err != nil {
		return err
	}
	j.park(lost)
	return nil
}

// drop forgets the fold, stops the tenure, and makes the fold anew. j.mu is held.
func (j *journal) drop() error {
	j.s = nil
	if j.run != nil {
		j.run.stop(errFenced)
	}
	return j.load()
}

// park keeps the unfinished turn from being run here before a person has looked. j.mu is held.
func (j *journal) park(n uint64) {
	if t := j.s.Current(); t != nil {
		j.lost = &loss{turn: t.Ref, n: n}
	}
}

// unpark forgets about a turn that waits for its person now, or has ended. j.mu is held.
func (j *journal) unpark() {
	if j.lost == nil {
		return
	}
	t := j.s.Turn(j.lost.turn)
	if t == nil || t.State.Ended() || t.State == session.Waiting && t.Wait.Reason == session.WaitQuarantined {
		j.lost = nil
	}
}

// parked is why a turn must not run, empty when it may. j.mu is held.
func (j *journal) parked(ref session.Ref) string {
	if j.lost == nil || j.lost.turn != ref {
		return ""
	}
	return fmt.Sprintf("the store lost %d records of this session that it had acknowledged; what the turn did in them is not known", j.lost.n)
}

// mend appends what the store lost of a session, as far as the held records tell; last is where the fold stands. It
// returns how many records it appended, how many the store has in the end, and whether they are all. An error means that
// the store did not answer or holds something unreadable. No lock is held.
func (k *Kernel) mend(key session.Key, last session.Position, held []session.Record) (again int, has uint64, whole bool, err error) {
	for range 2 * holdRecords {
		f, err := k.fetch(key)
		if err != nil {
			return again, has, false, err
		}
		has = f.s.At.Len
		if wrote, _ := f.s.Wrote(last.Len, last.LastID); wrote && f.s.At.Life == last.Life {
			return again, has, true, nil
		}
		missing := heldAfter(f.s.At, held)
		if len(missing) == 0 {
			return again, has, false, nil
		}
		for _, rec := range missing {
			err := k.reappend(f.s, rec)
			if errors.Is(err, session.ErrConflict) {
				break // someone writes: what, the next look tells
			}
			if err != nil {
				return again, has, false, err
			}
			again++
		}
	}
	return again, has, false, nil
}

// heldAfter are the held records that follow position at, none if at is not one of theirs.
func heldAfter(at session.Position, held []session.Record) []session.Record {
	if len(held) == 0 {
		return nil
	}
	for i, r := range held {
		if r.Position() == at {
			return held[i+1:]
		}
	}
	first, err := held[0].Decode()
	if err == nil && at.Len == first.Seq-1 && at.LastID == first.Prev && (at.Life == first.Life || at.Len == 0 && at.Life+1 == first.Life) {
		return held
	}
	return nil
}

// reappend appends a record once more, and folds it onto s. An answer that was lost is for the next look to find out.
func (k *Kernel) reappend(s *session.Session, rec session.Record) error {
	b, err := rec.Decode()
	if err != nil {
		return err
	}
	next, err := s.Preview(rec, b, millis(k.cfg.SessionTTL))
	if err != nil {
		return err
	}
	if err := k.append(s.Key, s.At, rec, next); err != nil {
		if errors.Is(err, session.ErrNotSent) {
			return fault.New(fault.Unavailable, "", "the store does not take back what it lost: %w", err).WithAfter(retryStore)
		}
		return session.ErrConflict
	}
	return s.ApplyBatch(rec, b)
}

// rolledBack says that the store lost records.
func (k *Kernel) rolledBack(key session.Key, had, has uint64, again int) {
	k.obs.StoreRolledBack(again)
	k.rollbacks.Add(1)
	k.reappended.Add(int64(again))
	k.log.Error("store_rollback: the store lost records that it had acknowledged", "session", key.ID,
		"had", had, "has", has, "reappended", again)
}
