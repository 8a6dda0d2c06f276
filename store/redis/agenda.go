package redis

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/agentkernel/agentkernel/session"
)

// entry is a session as an index names it. The head decides.
type entry struct {
	key    session.Key
	due    int64
	member string // in the owned set, "" from the other one
}

// Due returns heads that need attention; see session.Agenda. A limit of 0 means all.
func (s *Store) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	const op = "redis.Due"
	if err := s.ready(ctx, op); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = math.MaxInt32
	}
	entries, errs := s.entries(ctx, op, owner, before, limit)
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.key.Tenant, b.key.Tenant), cmp.Compare(a.key.ID, b.key.ID))
	})
	failed := s.partial(op, "parts of the agenda", errs)
	var out []session.Head
	for len(entries) > 0 && len(out) < limit {
		n := min(len(entries), limit-len(out), maxBatch)
		keys, owned := make([]session.Key, n), make([]string, n)
		for i, e := range entries[:n] {
			keys[i], owned[i] = e.key, e.member
		}
		entries = entries[n:]
		heads, errs := s.headsOf(ctx, op, keys, "*", s.share(2), owned...)
		for _, h := range heads {
			if h.Key.ID != "" && h.Len > 0 && h.Owner == owner && h.Due != 0 && h.Due <= before {
				out = append(out, h)
			}
		}
		if err := s.partial(op, "heads", errs); err != nil {
			failed = cmp.Or[error](failed, err)
			if ctx.Err() != nil {
				break
			}
		}
	}
	return out, failed
}

// maxBatch is how many heads are read in one go.
const maxBatch = 1000

// entries asks every bucket for what an owner, or nobody, has due.
func (s *Store) entries(ctx context.Context, op, owner string, before session.Millis, limit int) ([]entry, []error) {
	calls := make([]*call, s.cfg.Buckets)
	for n := range calls {
		b := s.keys.bucket(n)
		if owner == "" {
			calls[n] = &call{name: "zrangebyscore", keys: []string{b.due}, args: []any{"-inf", millis(before), "withscores", "limit", 0, limit}}
			continue
		}
		from, to := ownedRange(owner, before)
		calls[n] = &call{name: "zrangebylex", keys: []string{b.owned}, args: []any{from, to, "limit", 0, limit}}
	}
	s.do(ctx, s.share(2), calls...)
	var out []entry
	errs := make([]error, len(calls))
	for n, c := range calls {
		if c.err != nil {
			errs[n] = s.told(ctx, op, c.err)
			continue
		}
		members, ok := texts(c.reply)
		if !ok {
			errs[n] = odd(op)
			continue
		}
		for i := 0; i < len(members); i++ {
			e := entry{member: members[i]}
			if owner == "" {
				score, err := strconv.ParseFloat(members[i+1], 64)
				e, ok = entry{key: session.ParseKey(members[i]), due: int64(score)}, err == nil
				i++
			} else {
				e.due, e.key, ok = splitOwned(members[i])
			}
			if !ok {
				errs[n] = odd(op)
				continue
			}
			out = append(out, e)
		}
	}
	return out, errs
}
