package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Numbers without a sign are stored as the signed number with the same bits: epochs may use all of them.

// Append adds rec after at; see session.Journal.
func (s *Store) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	const op = "sqlite.Append"
	if !follows(rec, at) {
		return notSent(op, fault.New(fault.Internal, op, "record %d.%d does not follow position %d.%d", rec.Life, rec.Seq, at.Life, at.Len))
	}
	return s.write(ctx, op, func(c *conns) error {
		if at.Len == 0 {
			if err := begins(c, key, at, rec, next); err != nil {
				return err
			}
		} else {
			const move = `UPDATE sessions SET len = ?, last_id = ?, owner = ?, epoch = ?, due = ?, expiry = ?, updated = ?
				WHERE tenant = ? AND id = ? AND life = ? AND len = ? AND last_id = ?`
			n, err := c.exec(move, int64(rec.Seq), rec.ID, next.Owner, int64(next.Epoch), int64(next.Due), int64(next.Expiry), now(),
				key.Tenant, key.ID, int64(at.Life), int64(at.Len), at.LastID)
			if err != nil {
				return err
			}
			if n != 1 {
				return errConflict
			}
		}
		const add = `INSERT INTO records (sid, seq, id, data) SELECT sid, ?, ?, ? FROM sessions WHERE tenant = ? AND id = ?`
		_, err := c.exec(add, int64(rec.Seq), rec.ID, bytesOf(rec.Data), key.Tenant, key.ID)
		return err
	})
}

// begins makes the row of a session with its first record, in place of a tombstone if there is one.
func begins(c *conns, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	life, hash, err := tombLife(c, key)
	if err != nil {
		return err
	}
	if at.LastID != "" || life != at.Life {
		return errConflict
	}
	const make = `INSERT INTO sessions (tenant, id, life, len, last_id, owner, epoch, due, expiry, updated)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	n, err := c.exec(make, key.Tenant, key.ID, int64(rec.Life), int64(rec.Seq), rec.ID,
		next.Owner, int64(next.Epoch), int64(next.Due), int64(next.Expiry), now())
	if err != nil {
		return err
	}
	if n != 1 {
		return errConflict
	}
	_, err = c.exec("DELETE FROM tombstones WHERE hash = ?", hash)
	return err
}

// tombLife is the last life of an erased session, 0 without a tombstone, and the tombstone's key.
func tombLife(c *conns, key session.Key) (uint64, []byte, error) {
	hash := tombHash(key)
	var life int64
	_, err := c.row("SELECT life FROM tombstones WHERE hash = ?", []any{hash}, &life)
	return uint64(life), hash, err
}

// standing reads the session's row and position; found is false when it has none, and the position is then that of the
// tombstone.
func standing(c *conns, key session.Key) (sid int64, at session.Position, found bool, err error) {
	const query = "SELECT sid, life, len, last_id FROM sessions WHERE tenant = ? AND id = ?"
	var life, length int64
	found, err = c.row(query, []any{key.Tenant, key.ID}, &sid, &life, &length, &at.LastID)
	at.Life, at.Len = uint64(life), uint64(length)
	if err == nil && !found {
		at.Life, _, err = tombLife(c, key)
	}
	return sid, at, found, err
}

// Erase deletes the session and leaves a tombstone; see session.Journal.
func (s *Store) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	keys, err := json.Marshal(tomb.Keys)
	if err != nil {
		return notSent("sqlite.Erase", err)
	}
	return s.submit(ctx, &request{op: "sqlite.Erase", erase: true, run: func(c *conns) error {
		sid, stored, found, err := standing(c, key)
		if err != nil {
			return err
		}
		if stored != at {
			return errConflict
		}
		if found {
			for _, q := range []string{"DELETE FROM records WHERE sid = ?", "DELETE FROM snapshots WHERE sid = ?", "DELETE FROM sessions WHERE sid = ?"} {
				if _, err := c.exec(q, sid); err != nil {
					return err
				}
			}
		}
		if err := dropBlobs(c, "tenant = ? AND id = ?", key.Tenant, key.ID); err != nil {
			return err
		}
		if _, err := c.exec("UPDATE meta SET value = value + 1 WHERE name = 'unscrubbed'"); err != nil {
			return err
		}
		const put = "INSERT OR REPLACE INTO tombstones (hash, life, until, keys) VALUES (?, ?, ?, ?)"
		_, err = c.exec(put, tombHash(key), int64(at.Life), int64(tomb.Until), string(keys))
		return err
	}})
}

// Read returns the head and the records above after; see session.Journal.
func (s *Store) Read(ctx context.Context, key session.Key, after uint64, limit int) (head session.Head, records []session.Record, err error) {
	const op = "sqlite.Read"
	if limit <= 0 {
		limit = math.MaxInt32
	}
	err = s.view(ctx, op, func(r *reader) error {
		if head, err = r.head(key); err != nil || after >= head.Len {
			return err
		}
		err = r.query(readRecords, []any{key.Tenant, key.ID, int64(after), limit}, func(rows *sql.Rows) error {
			rec := session.Record{Life: head.Life}
			var seq int64
			err := rows.Scan(&seq, &rec.ID, &rec.Data)
			rec.Seq = uint64(seq)
			records = append(records, rec)
			return err
		})
		if err == nil && (len(records) == 0 || records[0].Seq != after+1) {
			return r.trimmed(key, after+1)
		}
		return err
	})
	if err != nil {
		return session.Head{}, nil, err
	}
	return head, records, nil
}

// trimmed explains why record want is missing.
func (r *reader) trimmed(key session.Key, want uint64) error {
	var first int64
	if err := r.query(readFirst, []any{key.Tenant, key.ID}, func(rows *sql.Rows) error { return rows.Scan(&first) }); err != nil {
		return err
	}
	if uint64(first) < want {
		return fault.New(fault.Corrupt, "", "record %d is missing between others", want)
	}
	return &fault.Error{Kind: fault.Gone, Err: fmt.Errorf("%w: record %d was asked for, the oldest kept is %d", session.ErrTrimmed, want, first)}
}

// Heads returns the head of each key; see session.Journal.
func (s *Store) Heads(ctx context.Context, keys []session.Key) (heads []session.Head, err error) {
	err = s.view(ctx, "sqlite.Heads", func(r *reader) error {
		heads = make([]session.Head, len(keys))
		for i, key := range keys {
			if heads[i], err = r.head(key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// head reads a session's row, or else its tombstone.
func (r *reader) head(key session.Key) (head session.Head, err error) {
	found := false
	err = r.query(readHead, []any{key.Tenant, key.ID}, func(rows *sql.Rows) error {
		found = true
		return scanHead(rows, &head)
	})
	if err != nil || found {
		return head, err
	}
	head.Key = key
	err = r.query(readTomb, []any{tombHash(key)}, func(rows *sql.Rows) error {
		var life, until int64
		var keys []byte
		if err := rows.Scan(&life, &until, &keys); err != nil {
			return err
		}
		head.Life, head.Tomb = uint64(life), &session.Tombstone{Until: session.Millis(until)}
		if err := json.Unmarshal(keys, &head.Tomb.Keys); err != nil {
			return fault.New(fault.Corrupt, "", "tombstone: %w", err)
		}
		return nil
	})
	return head, err
}

func scanHead(rows *sql.Rows, h *session.Head) error {
	var life, length, epoch int64
	err := rows.Scan(&h.Key.Tenant, &h.Key.ID, &life, &length, &h.LastID, &h.Owner, &epoch, (*int64)(&h.Due), (*int64)(&h.Expiry), (*int64)(&h.Updated))
	h.Life, h.Len, h.Epoch = uint64(life), uint64(length), uint64(epoch)
	return err
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

func now() int64 { return time.Now().UnixMilli() }
