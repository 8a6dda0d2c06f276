package redis

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// List selects sessions of one tenant; see session.Directory. Every bucket knows its own sessions in order, so the buckets are
// read side by side, a little of each at a time, and the least of their next ids is the next one.
func (s *Store) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	const op = "redis.List"
	if err := s.ready(ctx, op); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	w := walk{s: s, q: q, at: make([]cursor, s.cfg.Buckets), page: 2 + q.Limit/s.cfg.Buckets}
	if q.Search != "" || q.Unfinished {
		w.page *= 4
	}
	var out []session.Head
	for len(out) < q.Limit {
		ids, err := w.next(ctx, op, min(q.Limit-len(out)+8, maxBatch))
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			break
		}
		keys := make([]session.Key, len(ids))
		for i, id := range ids {
			keys[i] = session.Key{Tenant: q.Tenant, ID: id}
		}
		heads, errs := s.headsOf(ctx, op, keys, "*", s.cfg.OpTimeout)
		if err := s.partial(op, "heads", errs); err != nil {
			return nil, err
		}
		for _, h := range heads {
			if h.Len > 0 && !(q.Unfinished && h.Idle()) && len(out) < q.Limit {
				out = append(out, h)
			}
		}
	}
	return out, nil
}

// walk goes over the names of one tenant in all buckets.
type walk struct {
	s    *Store
	q    session.Query
	at   []cursor
	page int // names to read of a bucket at a time
}

// cursor is where a walk stands in one bucket.
type cursor struct {
	ids  []string // read and not used yet
	last string   // the last one read
	done bool     // there are no more
}

// next returns some of the next ids that the query's search fits; none at the end.
func (w *walk) next(ctx context.Context, op string, n int) ([]string, error) {
	var out []string
	for len(out) < n {
		if err := w.fill(ctx, op); err != nil {
			return nil, err
		}
		least := -1
		for i, c := range w.at {
			if len(c.ids) > 0 && (least < 0 || c.ids[0] < w.at[least].ids[0]) {
				least = i
			}
		}
		if least < 0 {
			break
		}
		id := w.at[least].ids[0]
		w.at[least].ids = w.at[least].ids[1:]
		if strings.Contains(id, w.q.Search) {
			out = append(out, id)
		}
	}
	return out, nil
}

// fill reads on in the buckets of which nothing is left.
func (w *walk) fill(ctx context.Context, op string) error {
	var calls []*call
	var where []int
	for i, c := range w.at {
		if len(c.ids) > 0 || c.done {
			continue
		}
		from := "(" + w.q.Tenant + "\x00" + max(c.last, w.q.After)
		calls = append(calls, &call{
			name: "zrangebylex", keys: []string{w.s.keys.bucket(i).names},
			args: []any{from, "(" + w.q.Tenant + "\x01", "limit", 0, w.page},
		})
		where = append(where, i)
	}
	if len(calls) == 0 {
		return nil
	}
	w.s.do(ctx, w.s.cfg.OpTimeout, calls...)
	for n, c := range calls {
		if c.err != nil {
			return w.s.told(ctx, op, c.err)
		}
		members, ok := texts(c.reply)
		if !ok {
			return odd(op)
		}
		at := &w.at[where[n]]
		at.done = len(members) < w.page
		for _, m := range members {
			_, id, _ := strings.Cut(m, "\x00")
			at.ids, at.last = append(at.ids, id), id
		}
	}
	return nil
}

// Tenants lists the tenants that have sessions, in order.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	const op = "redis.Tenants"
	if err := s.ready(ctx, op); err != nil {
		return nil, err
	}
	calls := make([]*call, s.cfg.Buckets)
	for n := range calls {
		calls[n] = &call{verb: verbTenants, keys: []string{s.keys.bucket(n).names}}
	}
	s.do(ctx, s.cfg.OpTimeout, calls...)
	seen := map[string]bool{}
	for _, c := range calls {
		_, reply, err := s.readAnswer(ctx, op, c)
		if err != nil {
			return nil, err
		}
		names, ok := texts(reply[0])
		if !ok {
			return nil, odd(op)
		}
		for _, name := range names {
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}
