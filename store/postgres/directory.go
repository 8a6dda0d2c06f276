package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/session"
)

// Due returns heads that need attention; see session.Agenda. A limit of 0 means all.
func (s *Store) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	return s.heads(ctx, "postgres.Due", stDue, owner, int64(before), limit)
}

// List selects sessions of one tenant; see session.Directory.
func (s *Store) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	return s.heads(ctx, "postgres.List", stList, q.Tenant, q.After, q.Search, q.Unfinished, q.Limit)
}

func (s *Store) heads(ctx context.Context, op string, stmt int, args ...any) (heads []session.Head, err error) {
	err = s.query(ctx, op, stmt, args, func(rows pgx.Rows) error {
		var h session.Head
		err := scanHead(rows, &h)
		heads = append(heads, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// Tenants lists the tenants that have sessions.
func (s *Store) Tenants(ctx context.Context) (tenants []string, err error) {
	err = s.query(ctx, "postgres.Tenants", stTenants, nil, func(rows pgx.Rows) error {
		var name string
		err := rows.Scan(&name)
		tenants = append(tenants, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tenants, nil
}

// Beat writes a replica's counter and info. Once a minute it also deletes tombstones and hints whose time has passed: the
// beats of the replicas are the store's only clockwork.
func (s *Store) Beat(ctx context.Context, r session.Replica) error {
	if _, err := s.exec(ctx, "postgres.Beat", stBeat, r.ID, int64(r.Counter), []byte(r.Info)); err != nil {
		return err
	}
	s.clean(ctx)
	return nil
}

const (
	cleanEvery = time.Minute
	cleanMost  = 1000 // rows of a table at once, so that a beat is never late for it
)

// clean deletes what has ended. A failure is no failure of the beat, which is written; another beat cleans again.
func (s *Store) clean(ctx context.Context) {
	was, now := s.cleaned.Load(), time.Now().UnixMilli()
	if now-was < cleanEvery.Milliseconds() || !s.cleaned.CompareAndSwap(was, now) {
		return
	}
	for _, stmt := range []int{stCleanTombs, stCleanHints} {
		if _, err := s.exec(ctx, "postgres.Beat", stmt, cleanMost); err != nil {
			s.cleaned.Store(0)
			return
		}
	}
}

// Replicas lists the entries in the order of their ids.
func (s *Store) Replicas(ctx context.Context) (out []session.Replica, err error) {
	err = s.query(ctx, "postgres.Replicas", stReplicas, nil, func(rows pgx.Rows) error {
		var rep session.Replica
		var counter int64
		err := rows.Scan(&rep.ID, &counter, (*[]byte)(&rep.Info))
		rep.Counter = uint64(counter)
		out = append(out, rep)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Leave removes a replica's entry.
func (s *Store) Leave(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "postgres.Leave", stLeave, id)
	return err
}

// PutHint replaces the hint of that name.
func (s *Store) PutHint(ctx context.Context, h session.Hint) error {
	_, err := s.exec(ctx, "postgres.PutHint", stPutHint, h.Name, h.Value, int64(h.Until))
	return err
}

// Hints lists the hints whose name has the prefix and whose time has not passed, in the order of their names.
func (s *Store) Hints(ctx context.Context, prefix string) (out []session.Hint, err error) {
	err = s.query(ctx, "postgres.Hints", stHints, []any{prefix}, func(rows pgx.Rows) error {
		var h session.Hint
		err := rows.Scan(&h.Name, &h.Value, (*int64)(&h.Until))
		out = append(out, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
