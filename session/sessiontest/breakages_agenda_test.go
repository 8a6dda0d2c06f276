package sessiontest

import (
	"context"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// dues bends what Due returns.
func dues(alter func([]session.Head) []session.Head) func(*broken) {
	return func(b *broken) {
		b.due = func(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
			out, err := b.Store.Due(ctx, owner, before, limit)
			return alter(out), err
		}
	}
}

// queries bends what List is asked.
func queries(alter func(*session.Query)) func(*broken) {
	return func(b *broken) {
		b.list = func(ctx context.Context, q session.Query) ([]session.Head, error) {
			alter(&q)
			return b.Store.List(ctx, q)
		}
	}
}

var agendaBreakages = []breakage{
	{"the tenants are those of erased sessions too", func(b *broken) {
		b.tenants = func(ctx context.Context) ([]string, error) {
			found, err := b.Store.Tenants(ctx)
			return append([]string{"gone"}, found...), err
		}
	}},
	{"due returns the newest first", dues(func(h []session.Head) []session.Head { slices.Reverse(h); return h })},
	{"due forgets one", dues(func(h []session.Head) []session.Head { return h[min(len(h), 1):] })},
	{"due returns heads without their attention", dues(func(h []session.Head) []session.Head {
		for i := range h {
			h[i].Due = 0
		}
		return h
	})},
	{"due stops before the time", func(b *broken) {
		b.due = func(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
			return b.Store.Due(ctx, owner, before-1, limit)
		}
	}},
	{"due ignores the limit", func(b *broken) {
		b.due = func(ctx context.Context, owner string, before session.Millis, _ int) ([]session.Head, error) {
			return b.Store.Due(ctx, owner, before, 1000)
		}
	}},
	{"due ignores the owner", func(b *broken) {
		b.due = func(ctx context.Context, _ string, before session.Millis, limit int) ([]session.Head, error) {
			return b.Store.Due(ctx, "", before, limit)
		}
	}},
	{"list ignores the tenant", queries(func(q *session.Query) { q.Tenant = "" })},
	{"list ignores the search", queries(func(q *session.Query) { q.Search = "" })},
	{"list ignores the keyset", queries(func(q *session.Query) { q.After = "" })},
	{"list ignores the limit", queries(func(q *session.Query) { q.Limit = 1000 })},
	{"list has no default limit", queries(func(q *session.Query) {
		if q.Limit == 0 {
			q.Limit = 1000
		}
	})},
	{"list ignores unfinished", queries(func(q *session.Query) { q.Unfinished = false })},
	{"list searches for a pattern", queries(func(q *session.Query) { q.Search = strings.Trim(q.Search, "%_*") })},
	{"list cuts before it searches", func(b *broken) {
		b.list = func(ctx context.Context, q session.Query) (found []session.Head, err error) {
			all, err := b.Store.List(ctx, session.Query{Tenant: q.Tenant, After: q.After, Limit: q.Limit, Unfinished: q.Unfinished})
			for _, h := range all {
				if strings.Contains(h.Key.ID, q.Search) {
					found = append(found, h)
				}
			}
			return found, err
		}
	}},
	{"list is not sorted", func(b *broken) {
		b.list = func(ctx context.Context, q session.Query) ([]session.Head, error) {
			out, err := b.Store.List(ctx, q)
			slices.Reverse(out)
			return out, err
		}
	}},
}
