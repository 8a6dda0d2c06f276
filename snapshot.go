package agentkernel

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Opening a session takes as long whatever it has been through: it reads the newest snapshot and the records behind it.
// Whoever writes a session's records puts a snapshot every so many of them, beside the turn and not in its way. Records
// that a snapshot covers are deleted when they are older than the retention time, but never those of an unfinished turn.
//
// A snapshot is only a short cut. One that cannot be read, or that the records do not go on from, is passed over as long
// as the records before it are still there; then the session is unreadable or corrupt, like one with a record that is.
// So that nothing is deleted on the word of a snapshot that nobody could read, its maker thaws it before putting it, and
// reads it back from the store before trimming.
//
// While replicas of another release run that would not understand a snapshot, none is put.

const (
	firstPage  = 64 // records; a session that has no more is opened with one read
	fetchTries = 5  // a reader starts again so often when the session is trimmed or erased under it
	scanRecord = 256
)

// fetched is a session as the store has it.
type fetched struct {
	s       *session.Session
	tomb    *session.Tombstone
	records []session.Record // the newest ones that were read
	snapped uint64           // up to where the newest snapshot goes
	lost    uint64           // so many records less than a snapshot has seen
}

// readRecords asks the store for a page of records above after; a limit of 0 is all of them.
func (k *Kernel) readRecords(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.StoreTimeout)
	defer cancel()
	head, records, err := k.store.Read(ctx, key, after, limit)
	return head, records, err
}

// errMoved says that what was read does not fit together, because the session moved on meanwhile.
var errMoved = errors.New("the session changed while it was read")

// fetch reads and folds a session. No lock is needed.
func (k *Kernel) fetch(key session.Key) (f *fetched, err error) {
	for range fetchTries {
		if f, err = k.fetchOnce(key); !errors.Is(err, session.ErrTrimmed) && !errors.Is(err, errMoved) {
			break
		}
	}
	if errors.Is(err, session.ErrTrimmed) || errors.Is(err, errMoved) {
		err = fault.New(fault.Corrupt, "", "session %s: its head, snapshot and records do not belong together: %w", key.ID, err)
	}
	if err != nil {
		return nil, fault.New(kindOfStore(err), "", "the session cannot be read: %w", err).WithAfter(time.Second)
	}
	return f, nil
}

func (k *Kernel) fetchOnce(key session.Key) (*fetched, error) {
	head, page, err := k.readRecords(k.ctx, key, 0, firstPage)
	switch {
	case err == nil && uint64(len(page)) == head.Len:
		return replay(head, &session.Session{Key: key}, page)
	case err != nil && !errors.Is(err, session.ErrTrimmed):
		return nil, err
	}
	snap, base, serr := k.newest(key)
	if base == nil && serr != nil && kindOfStore(serr) == fault.Unavailable {
		return nil, serr
	}
	if base != nil {
		head, tail, rerr := k.readRecords(k.ctx, key, base.At.Len, 0)
		if rerr != nil {
			return nil, rerr
		}
		f, ferr := replay(head, base, tail)
		if ferr == nil {
			f.snapped = snap.Seq
			return f, nil
		}
		if serr = ferr; kindOfStore(ferr) != fault.Corrupt {
			return nil, ferr // newer than this release
		}
	}
	if err != nil { // what the snapshot covers is gone
		if serr != nil {
			err = serr
		}
		return nil, err
	}
	if serr != nil {
		k.log.Warn("a snapshot is passed over", "session", key.ID, "error", serr)
	}
	head, rest, err := k.readRecords(k.ctx, key, uint64(len(page)), 0)
	if err != nil {
		return nil, err
	}
	f, err := replay(head, &session.Session{Key: key}, append(page, rest...))
	if err == nil && serr != nil && snap.Life == head.Life && snap.Seq > head.Len {
		f.lost = snap.Seq - head.Len
	}
	return f, err
}

// newest reads the newest snapshot; neither a state nor an error means that there is none.
func (k *Kernel) newest(key session.Key) (session.Snapshot, *session.Session, error) {
	ctx, cancel := k.opCtx()
	defer cancel()
	snap, err := k.store.Snapshot(ctx, key)
	if errors.Is(err, session.ErrNoValue) {
		return snap, nil, nil
	}
	if err != nil {
		return snap, nil, err
	}
	s, err := session.Thaw(key, snap)
	return snap, s, err
}

// replay folds records onto s, which must end where the head says.
func replay(head session.Head, s *session.Session, records []session.Record) (*fetched, error) {
	if s.At.Len > 0 && (s.At.Life != head.Life || s.At.Len > head.Len) {
		return nil, fault.New(fault.Corrupt, "", "%w: a snapshot is of record %d.%d, the head of record %d.%d", errMoved, s.At.Life, s.At.Len, head.Life, head.Len)
	}
	for _, r := range records {
		if err := s.Apply(r); err != nil {
			return nil, err
		}
	}
	if head.Len == 0 {
		s.At = session.Position{Life: head.Life}
	} else if s.At != head.Position {
		return nil, fault.New(fault.Corrupt, "", "%w: its records end at %d, its head says %d", errMoved, s.At.Len, head.Len)
	}
	return &fetched{s: s, tomb: head.Tomb, records: records}, nil
}

// snapshotSoon puts a snapshot in the background if it is time for one. j.mu is held.
func (j *journal) snapshotSoon() {
	k := j.k
	if j.snapping || j.s.Erased || j.s.At.Len < j.snapped+uint64(k.cfg.SnapshotEvery) || !k.snapshotsReadable() {
		return
	}
	copied := j.s.Copy()
	if j.snapping = k.background(func() { j.snapshot(copied) }); j.snapping {
		j.pins++
	}
}

// snapshot puts a snapshot, and tidies up behind it. It is tried once: the next one does as well.
func (j *journal) snapshot(s *session.Session) {
	if err := j.k.keep(s); err != nil && j.k.ctx.Err() == nil {
		j.k.log.Warn("a snapshot could not be put, or what it covers not be trimmed", "session", j.key.ID, "error", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.snapping, j.snapped = false, max(j.snapped, s.At.Len)
	j.unpinLocked()
}

func (k *Kernel) keep(s *session.Session) error {
	data, err := session.Freeze(s)
	if err != nil {
		return err
	}
	snap := session.Snapshot{Life: s.At.Life, Seq: s.At.Len, Data: data}
	thawed, err := session.Thaw(s.Key, snap)
	if err != nil {
		return err
	}
	if again, err := session.Freeze(thawed); err != nil || !bytes.Equal(again, data) {
		return fault.New(fault.Internal, "", "a snapshot does not say what it was made of: %v", err)
	}
	ctx, cancel := k.opCtx()
	err = k.store.PutSnapshot(ctx, s.Key, snap)
	cancel()
	if errors.Is(err, session.ErrConflict) {
		return nil // it was erased
	}
	if err != nil {
		return err
	}
	return k.trim(s, data)
}

// trim deletes what is old enough and what only it named. data is the snapshot of s.
func (k *Kernel) trim(s *session.Session, data []byte) error {
	to := s.TrimTo(now() - millis(k.cfg.Retention))
	if k.cfg.Retention <= 0 || to == 0 {
		return nil
	}
	ctx, cancel := k.opCtx()
	defer cancel()
	stored, err := k.store.Snapshot(ctx, s.Key)
	if errors.Is(err, session.ErrNoValue) || err == nil && !bytes.Equal(stored.Data, data) {
		return nil // erased, or another replica's, who trims
	}
	if err == nil {
		err = k.store.Trim(ctx, s.Key, s.At.Life, to)
	}
	if err != nil {
		return err
	}
	return k.collect(s.Key, s.At.Life, to, data)
}

// fate is what became of a record whose place in the journal was trimmed: the fold, made anew, remembers the ids of the
// newest records. nil: it is there; ErrConflict: another one stands in its place; OutcomeUnknown: it is too long ago to
// tell, and must not be written again. j.mu is held, but not while the store is asked.
func (j *journal) fate(at session.Position, rec session.Record) error {
	j.s = nil
	if err := j.load(); err != nil {
		return err
	}
	if j.s.At.Life != rec.Life {
		return session.ErrConflict
	}
	switch wrote, known := j.s.Wrote(rec.Seq, rec.ID); {
	case wrote:
		return nil
	case known:
		return session.ErrConflict
	}
	return fault.New(fault.OutcomeUnknown, "", "what became of record %d was trimmed; the journal is at %d", at.Len+1, j.s.At.Len)
}

// oldest is the number of the oldest record that is kept above after. The store says of any place whether it was
// trimmed.
func (k *Kernel) oldest(ctx context.Context, key session.Key, after, length uint64) (uint64, error) {
	lo, hi := after, length // lo is trimmed, hi is not
	for lo+1 < hi {
		mid := lo + (hi-lo)/2
		_, _, err := k.readRecords(ctx, key, mid-1, 1)
		switch {
		case errors.Is(err, session.ErrTrimmed):
			lo = mid
		case err != nil:
			return 0, err
		default:
			hi = mid
		}
	}
	return hi, nil
}

// readKept is readRecords, from the oldest kept record on where those asked for were trimmed.
func (k *Kernel) readKept(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	head, records, err := k.readRecords(ctx, key, after, limit)
	for tries := 0; errors.Is(err, session.ErrTrimmed) && tries < fetchTries; tries++ {
		heads, herr := k.store.Heads(ctx, []session.Key{key})
		if herr != nil {
			return head, nil, herr
		}
		first, ferr := k.oldest(ctx, key, after+1, heads[0].Len)
		if ferr != nil {
			return head, nil, ferr
		}
		head, records, err = k.readRecords(ctx, key, first-1, limit)
	}
	return head, records, err
}

// newestOf are the last records of a list that fit into the bounds of what a journal holds on to.
func newestOf(records []session.Record) []session.Record {
	size, n := 0, len(records)
	for n > 0 && len(records)-n < holdRecords && size < holdBytes {
		n--
		size += len(records[n].Data)
	}
	return slices.Clone(records[n:])
}
