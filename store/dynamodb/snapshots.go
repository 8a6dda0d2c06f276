package dynamodb

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// PutSnapshot keeps the newest snapshot; see session.Snapshots. Its content is put first, under a name of its own; then
// the head is made to lead to it. One that covers records which the store does not have is refused like one of another
// life.
func (s *Store) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	const op = "dynamodb.PutSnapshot"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	pk := partition(key)
	name := snapshotAt(snap.Life, snap.Seq) + nonce()
	c := newChange()
	c.sets(snapAttr, num(snap.Seq))
	c.sets(snapNameAttr, str(name))
	c.inLife(snap.Life)
	c.iff(c.name(lenAttr) + " >= :new_" + snapAttr)
	c.iff("(attribute_not_exists(" + c.name(snapAttr) + ") OR " + c.name(snapAttr) + " <= :new_" + snapAttr + ")")
	before, err := s.head(ctx, key)
	if err != nil {
		return writeErr(op, neverSent(err))
	}
	if before.Life != snap.Life || before.Len < snap.Seq || before.Len == 0 {
		return conflict(op)
	}
	if err := s.put(ctx, putting(content(pk, name, snap.Data, nil)...)); err != nil {
		return writeErr(op, neverSent(err)) // the head was not touched and will not be
	}
	_, err = call(ctx, s, ifRefused, (*dynamodb.Client).UpdateItem, c.update(s.table, pk, headKey))
	f := asFailure(err)
	switch {
	case err == nil:
		s.dropOlder(ctx, pk, snap, before.snapName)
		return nil
	case f.unsent:
		_ = s.removeValue(ctx, pk, name)
	}
	if f.conflict {
		h, err := readHead(key, f.was)
		if f.was == nil {
			h, err = s.head(ctx, key)
		}
		if err != nil {
			return writeErr(op, neverSent(err))
		}
		if h.Life == snap.Life && h.Len >= snap.Seq && h.snap > snap.Seq {
			return nil // a newer one is kept
		}
	}
	return writeErr(op, err)
}

// dropOlder deletes the snapshots that were replaced, and what is left of those that never were one. Errors do not
// matter: the next snapshot tries again.
func (s *Store) dropOlder(ctx context.Context, pk string, snap session.Snapshot, replaced string) {
	_ = s.remove(ctx, between{pk: pk, from: inLife(snap.Life, "p"), to: snapshotAt(snap.Life, snap.Seq)})
	if replaced >= snapshotAt(snap.Life, snap.Seq) {
		_ = s.removeValue(ctx, pk, replaced) // as new as this one
	}
}

// Snapshot returns the newest snapshot; see session.Snapshots.
func (s *Store) Snapshot(ctx context.Context, key session.Key) (session.Snapshot, error) {
	const op = "dynamodb.Snapshot"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return session.Snapshot{}, readErr(given, op, err)
	}
	defer end()
	missed := ""
	for range conflictsHere {
		h, err := s.head(ctx, key)
		if err != nil {
			return session.Snapshot{}, readErr(given, op, err)
		}
		if h.snapName == "" {
			return session.Snapshot{}, noValue(op)
		}
		if h.snapName == missed {
			return session.Snapshot{}, readErr(given, op, corrupt("the snapshot of session %s is missing", key))
		}
		data, whole, err := s.value(ctx, partition(key), h.snapName)
		if err != nil {
			return session.Snapshot{}, readErr(given, op, err)
		}
		if whole {
			return session.Snapshot{Life: h.Life, Seq: h.snap, Data: bytes.Clone(data)}, nil
		}
		missed = h.snapName // replaced since the head was read, or lost
	}
	return session.Snapshot{}, &fault.Error{Op: op, Kind: fault.Unavailable, Msg: "the snapshot changes faster than it can be read"}
}

// Trim deletes records that the newest snapshot covers; see session.Snapshots. Before anything is deleted the head says
// which record is the first.
func (s *Store) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	const op = "dynamodb.Trim"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	h, err := s.head(ctx, key)
	if err != nil {
		return writeErr(op, neverSent(err))
	}
	if h.Len == 0 || h.Life != life || h.snapName == "" {
		return nil
	}
	upTo = min(upTo, h.snap, h.Len-1)
	pk := partition(key)
	if upTo >= h.first {
		c := newChange()
		c.sets(firstAttr, num(upTo+1))
		c.inLife(life)
		c.iff("(attribute_not_exists(" + c.name(firstAttr) + ") OR " + c.name(firstAttr) + " < :new_" + firstAttr + ")")
		_, err := call(ctx, s, ifRefused, (*dynamodb.Client).UpdateItem, c.update(s.table, pk, headKey))
		if err != nil && asFailure(err).conflict {
			return nil // erased, or trimmed further, by somebody else
		}
		if err != nil {
			return writeErr(op, err)
		}
		h.first = upTo + 1
	}
	if h.first == 1 {
		return nil
	}
	err = s.remove(ctx, between{pk: pk, from: recordAt(life, 0), to: recordAt(life, h.first-1) + last})
	if err != nil {
		f := *asFailure(err)
		f.unsent = false
		return writeErr(op, &f)
	}
	return nil
}
