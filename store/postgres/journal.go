package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Numbers without a sign are stored as the signed number with the same bits: epochs may use all of them.

// Append adds rec after at; see session.Journal.
func (s *Store) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	const op = "postgres.Append"
	if !follows(rec, at) {
		return notSent(ctx, op, fault.New(fault.Internal, op, "record %d.%d does not follow position %d.%d", rec.Life, rec.Seq, at.Life, at.Len))
	}
	args := []any{
		hashOf(key), key.Tenant, key.ID, int64(rec.Seq), rec.ID, next.Owner, int64(next.Epoch), int64(next.Due), int64(next.Expiry),
		bytesOf(rec.Data), int64(at.Life),
	}
	stmt := stMove
	switch {
	case at.Len > 0:
		args = append(args, int64(at.Len), at.LastID)
	case at.LastID != "":
		if err := ctx.Err(); err != nil {
			return notSent(ctx, op, err)
		}
		return conflict(op) // no head is like that
	case at.Life == 0:
		stmt = stBegin
	default:
		stmt = stAgain
	}
	n, err := s.exec(ctx, op, stmt, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return conflict(op)
	}
	s.news.tell()
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

// bytesOf makes an empty value of none, which SQL would store as NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Erase deletes the session and leaves a tombstone; see session.Journal.
func (s *Store) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	hash := hashOf(key)
	keys := tomb.Keys
	if keys == nil {
		keys = []string{}
	}
	err := s.locked(ctx, "postgres.Erase", key, true, func(c *change) error {
		stmt, args := stErase, []any{hash, int64(at.Life), int64(at.Len), at.LastID, int64(tomb.Until), keys}
		if at == (session.Position{}) {
			stmt, args = stEraseUnused, []any{hash, int64(tomb.Until), keys}
		}
		var sid int64
		if found, err := c.row(stmt, args, &sid); err != nil || !found {
			if err == nil {
				err = session.ErrConflict
			}
			return err
		}
		for _, d := range []struct {
			stmt int
			of   any
		}{{stDropRecords, sid}, {stDropSnapshot, sid}, {stDropParts, hash}, {stDropBlobs, hash}} {
			if _, err := c.exec(d.stmt, d.of); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.news.tell()
	}
	return err
}

// Read returns the head and the records above after; see session.Journal. Both come from one statement, so they are of
// one moment.
func (s *Store) Read(ctx context.Context, key session.Key, after uint64, limit int) (head session.Head, records []session.Record, err error) {
	const op = "postgres.Read"
	if limit <= 0 {
		limit = math.MaxInt32
	}
	head = session.Head{Key: key}
	args := []any{hashOf(key), int64(min(after, math.MaxInt64)), limit}
	err = s.query(ctx, op, stRead, args, func(rows pgx.Rows) error {
		var rec session.Record
		var seq *int64
		var id *string
		if err := scanHead(rows, &head, &seq, &id, &rec.Data); err != nil {
			return err
		}
		if seq != nil {
			rec.Life, rec.Seq, rec.ID = head.Life, uint64(*seq), *id
			records = append(records, rec)
		}
		return nil
	})
	if err == nil && after < head.Len && (len(records) == 0 || records[0].Seq != after+1) {
		err = s.trimmed(ctx, op, key, after+1)
	}
	if err != nil {
		return session.Head{}, nil, err
	}
	return head, records, nil
}

// trimmed explains why record want is missing.
func (s *Store) trimmed(ctx context.Context, op string, key session.Key, want uint64) error {
	var first int64
	err := s.query(ctx, op, stFirst, []any{hashOf(key)}, func(rows pgx.Rows) error { return rows.Scan(&first) })
	switch {
	case err != nil:
		return err
	case first != 0 && uint64(first) < want:
		return fault.New(fault.Corrupt, op, "record %d is missing between others", want)
	}
	// Without a first record the session was erased since; the reader that starts again sees it.
	return &fault.Error{Op: op, Kind: fault.Gone, Err: fmt.Errorf("%w: record %d was asked for, the oldest kept is %d", session.ErrTrimmed, want, first)}
}

// Heads returns the head of each key; see session.Journal.
func (s *Store) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	heads := make([]session.Head, len(keys))
	hashes := make([][]byte, len(keys))
	places := make(map[string][]int, len(keys))
	for i, key := range keys {
		heads[i].Key, hashes[i] = key, hashOf(key)
		places[string(hashes[i])] = append(places[string(hashes[i])], i)
	}
	err := s.query(ctx, "postgres.Heads", stHeads, []any{hashes}, func(rows pgx.Rows) error {
		var h session.Head
		var hash []byte
		if err := scanHead(rows, &h, &hash); err != nil {
			return err
		}
		for _, i := range places[string(hash)] {
			key := heads[i].Key
			heads[i] = h
			heads[i].Key = key
			if h.Tomb != nil {
				tomb := *h.Tomb
				tomb.Keys = append([]string(nil), tomb.Keys...)
				heads[i].Tomb = &tomb
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// scanHead reads headColumns and what follows them. An erased session's row does not know its key, which then stays as
// it is.
func scanHead(rows pgx.Rows, h *session.Head, more ...any) error {
	var tenant, id *string
	var life, length, epoch int64
	var until *int64
	var keys []string
	err := rows.Scan(append([]any{
		&tenant, &id, &life, &length, &h.LastID, &h.Owner, &epoch, (*int64)(&h.Due), (*int64)(&h.Expiry), (*int64)(&h.Updated), &until, &keys,
	}, more...)...)
	if err != nil {
		return err
	}
	h.Life, h.Len, h.Epoch = uint64(life), uint64(length), uint64(epoch)
	if id != nil {
		h.Key = session.Key{Tenant: *tenant, ID: *id}
	}
	if until != nil {
		h.Tomb = &session.Tombstone{Until: session.Millis(*until)}
		if len(keys) > 0 {
			h.Tomb.Keys = keys
		}
	}
	return nil
}
