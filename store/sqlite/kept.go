package sqlite

import (
	"context"
	"database/sql"
	"math"

	"github.com/agentkernel/agentkernel/session"
)

// PutSnapshot keeps the newest snapshot; see session.Snapshots. One that covers records which the store does not have
// is refused like one of another life.
func (s *Store) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	return s.write(ctx, "sqlite.PutSnapshot", func(c *conns) error {
		sid, at, found, err := standing(c, key)
		if err != nil {
			return err
		}
		if !found || at.Life != snap.Life || at.Len < snap.Seq {
			return errConflict
		}
		const put = `INSERT INTO snapshots (sid, seq, data) VALUES (?, ?, ?)
			ON CONFLICT (sid) DO UPDATE SET seq = excluded.seq, data = excluded.data WHERE excluded.seq >= snapshots.seq`
		_, err = c.exec(put, sid, int64(snap.Seq), bytesOf(snap.Data))
		return err
	})
}

// Snapshot returns the newest snapshot; see session.Snapshots.
func (s *Store) Snapshot(ctx context.Context, key session.Key) (snap session.Snapshot, err error) {
	const op = "sqlite.Snapshot"
	err = s.view(ctx, op, func(r *reader) error {
		found := false
		err := r.query(readSnapshot, []any{key.Tenant, key.ID}, func(rows *sql.Rows) error {
			found = true
			var life, seq int64
			err := rows.Scan(&life, &seq, &snap.Data)
			snap.Life, snap.Seq = uint64(life), uint64(seq)
			return err
		})
		if err == nil && !found {
			return noValue(op)
		}
		return err
	})
	return snap, err
}

// Trim deletes records that the newest snapshot covers; see session.Snapshots.
func (s *Store) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	return s.write(ctx, "sqlite.Trim", func(c *conns) error {
		sid, at, found, err := standing(c, key)
		if err != nil || !found || at.Life != life {
			return err
		}
		var covered int64 // stays 0 without a snapshot
		if _, err := c.row("SELECT seq FROM snapshots WHERE sid = ?", []any{sid}, &covered); err != nil {
			return err
		}
		_, err = c.exec("DELETE FROM records WHERE sid = ? AND seq <= ?", sid, int64(min(upTo, uint64(covered), at.Len-1)))
		return err
	})
}

// Due returns heads that need attention; see session.Agenda. A limit of 0 means all.
func (s *Store) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	return s.heads(ctx, "sqlite.Due", readDue, owner, int64(before), limit)
}

// List selects sessions of one tenant; see session.Directory.
func (s *Store) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	return s.heads(ctx, "sqlite.List", readList, q.Tenant, q.After, q.Search, q.Unfinished, q.Limit)
}

// Tenants lists the tenants that have sessions.
func (s *Store) Tenants(ctx context.Context) (tenants []string, err error) {
	err = s.view(ctx, "sqlite.Tenants", func(r *reader) error {
		return r.query(readTenants, nil, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			tenants = append(tenants, name)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return tenants, nil
}

func (s *Store) heads(ctx context.Context, op string, stmt int, args ...any) (heads []session.Head, err error) {
	err = s.view(ctx, op, func(r *reader) error {
		return r.query(stmt, args, func(rows *sql.Rows) error {
			var h session.Head
			err := scanHead(rows, &h)
			heads = append(heads, h)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// Beat writes a replica's counter and info, and drops hints and tombstones whose time has passed: the beats of the
// replicas are the store's only clockwork.
func (s *Store) Beat(ctx context.Context, r session.Replica) error {
	return s.write(ctx, "sqlite.Beat", func(c *conns) error {
		const put = `INSERT INTO replicas (id, counter, info) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET counter = excluded.counter, info = excluded.info`
		if _, err := c.exec(put, r.ID, int64(r.Counter), []byte(r.Info)); err != nil {
			return err
		}
		if _, err := c.exec("DELETE FROM hints WHERE until <= ?", now()); err != nil {
			return err
		}
		_, err := c.exec("DELETE FROM tombstones WHERE until < ?", now())
		return err
	})
}

// Replicas lists the entries in the order of their ids.
func (s *Store) Replicas(ctx context.Context) (out []session.Replica, err error) {
	err = s.view(ctx, "sqlite.Replicas", func(r *reader) error {
		return r.query(readReplicas, nil, func(rows *sql.Rows) error {
			var rep session.Replica
			var counter int64
			err := rows.Scan(&rep.ID, &counter, (*[]byte)(&rep.Info))
			rep.Counter = uint64(counter)
			out = append(out, rep)
			return err
		})
	})
	return out, err
}

// Leave removes a replica's entry.
func (s *Store) Leave(ctx context.Context, id string) error {
	return s.write(ctx, "sqlite.Leave", func(c *conns) error {
		_, err := c.exec("DELETE FROM replicas WHERE id = ?", id)
		return err
	})
}

// PutHint replaces the hint of that name.
func (s *Store) PutHint(ctx context.Context, h session.Hint) error {
	return s.write(ctx, "sqlite.PutHint", func(c *conns) error {
		const put = `INSERT INTO hints (name, value, until) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, until = excluded.until`
		_, err := c.exec(put, h.Name, h.Value, int64(h.Until))
		return err
	})
}

// Hints lists the hints whose name has the prefix and whose time has not passed, in the order of their names.
func (s *Store) Hints(ctx context.Context, prefix string) (out []session.Hint, err error) {
	err = s.view(ctx, "sqlite.Hints", func(r *reader) error {
		return r.query(readHints, []any{prefix, now()}, func(rows *sql.Rows) error {
			var h session.Hint
			err := rows.Scan(&h.Name, &h.Value, (*int64)(&h.Until))
			out = append(out, h)
			return err
		})
	})
	return out, err
}
