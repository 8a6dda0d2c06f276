package memory

import (
	"bytes"
	"context"
	"fmt"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Append adds rec after at; see session.Journal.
func (s *Store) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	const op = "memory.Append"
	if !follows(rec, at) {
		return &fault.Error{Op: op, Kind: fault.Internal, Err: fmt.Errorf("%w: record %d.%d does not follow position %d.%d",
			session.ErrNotSent, rec.Life, rec.Seq, at.Life, at.Len)}
	}
	if err := s.enterWrite(ctx, op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.head(key).Position != at {
		return conflict(op)
	}
	e := s.sessions[key]
	if e == nil {
		e = new(entry)
		s.sessions[key] = e
		delete(s.tombs, tombOf(key))
	}
	rec.Data = bytes.Clone(rec.Data)
	e.records = append(e.records, rec)
	e.head = session.Head{Key: key, Position: rec.Position(), Attention: next, Updated: now()}
	s.changed()
	return nil
}

// follows reports that rec is the record after at: the next number of the same life, or the first of the next life.
func follows(rec session.Record, at session.Position) bool {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	return rec.ID != "" && rec.Life == life && rec.Seq == at.Len+1
}

// Read returns the head and the records above after; see session.Journal.
func (s *Store) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	const op = "memory.Read"
	if err := s.enter(ctx, op); err != nil {
		return session.Head{}, nil, err
	}
	defer s.mu.Unlock()
	head := s.head(key)
	if after >= head.Len {
		return head, nil, nil
	}
	kept := s.sessions[key].records
	first := kept[0].Seq // the last record always stays
	if after+1 < first {
		return session.Head{}, nil, &fault.Error{
			Op: op, Kind: fault.Gone,
			Err: fmt.Errorf("%w: record %d was asked for, the oldest kept is %d", session.ErrTrimmed, after+1, first),
		}
	}
	kept = kept[after+1-first:]
	if limit > 0 && len(kept) > limit {
		kept = kept[:limit]
	}
	out := make([]session.Record, len(kept))
	for i, r := range kept {
		r.Data = bytes.Clone(r.Data)
		out[i] = r
	}
	return head, out, nil
}

// Heads returns the head of each key; see session.Journal.
func (s *Store) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	if err := s.enter(ctx, "memory.Heads"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]session.Head, len(keys))
	for i, k := range keys {
		out[i] = s.head(k)
	}
	return out, nil
}

// Erase deletes the session and leaves a tombstone; see session.Journal.
func (s *Store) Erase(ctx context.Context, key session.Key, at session.Position, t session.Tombstone) error {
	const op = "memory.Erase"
	if err := s.enterWrite(ctx, op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.head(key).Position != at {
		return conflict(op)
	}
	delete(s.sessions, key)
	delete(s.blobs, key)
	t.Keys = append([]string(nil), t.Keys...)
	s.tombs[tombOf(key)] = tomb{life: at.Life, Tombstone: t}
	s.changed()
	return nil
}

// PutSnapshot keeps the newest snapshot; see session.Snapshots. One that covers records which the store does not have
// is refused like one of another life.
func (s *Store) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	const op = "memory.PutSnapshot"
	if err := s.enterWrite(ctx, op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.sessions[key]
	if e == nil || e.head.Life != snap.Life || e.head.Len < snap.Seq {
		return conflict(op)
	}
	if e.snap != nil && e.snap.Seq > snap.Seq {
		return nil
	}
	snap.Data = bytes.Clone(snap.Data)
	e.snap = &snap
	return nil
}

// Snapshot returns the newest snapshot; see session.Snapshots.
func (s *Store) Snapshot(ctx context.Context, key session.Key) (session.Snapshot, error) {
	const op = "memory.Snapshot"
	if err := s.enter(ctx, op); err != nil {
		return session.Snapshot{}, err
	}
	defer s.mu.Unlock()
	e := s.sessions[key]
	if e == nil || e.snap == nil {
		return session.Snapshot{}, noValue(op)
	}
	snap := *e.snap
	snap.Data = bytes.Clone(snap.Data)
	return snap, nil
}

// Trim deletes records that the newest snapshot covers; see session.Snapshots.
func (s *Store) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	if err := s.enterWrite(ctx, "memory.Trim"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.sessions[key]
	if e == nil || e.head.Life != life || e.snap == nil {
		return nil
	}
	upTo = min(upTo, e.snap.Seq, e.head.Len-1)
	if first := e.records[0].Seq; upTo >= first {
		e.records = append([]session.Record(nil), e.records[upTo+1-first:]...) // a new array, so that the old one is freed
	}
	return nil
}

func noValue(op string) error {
	return &fault.Error{Op: op, Kind: fault.NotFound, Err: session.ErrNoValue}
}
