package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/agentkernel/agentkernel/session"
)

// Due returns heads that need attention; see session.Agenda. A limit of 0 means all.
func (s *Store) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	const op = "dynamodb.Due"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	var parts []string
	if owner != "" {
		parts = []string{agenda("", owner)}
	} else {
		for n := range agendas {
			parts = append(parts, free(n))
		}
	}
	all, failed := s.merged(ctx, parts, before, limit)
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.pk, b.pk)) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	keys := make([]item, len(all))
	for i, f := range all {
		keys[i] = at(f.pk, headKey)
	}
	items, err := s.getAll(ctx, keys)
	failed = errors.Join(failed, err)
	var out []session.Head
	for _, i := range items {
		h, err := readHead(keyIn(i), i)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if h.Tomb == nil && h.Owner == owner && h.Due != 0 && h.Due <= before { // else the index is behind
			out = append(out, h.clone())
		}
	}
	slices.SortFunc(out, func(a, b session.Head) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Key.Tenant, b.Key.Tenant), cmp.Compare(a.Key.ID, b.Key.ID))
	})
	return out, readErr(given, op, failed)
}

// merged asks several parts of the index at once. With an error comes what the others said.
func (s *Store) merged(ctx context.Context, parts []string, before session.Millis, limit int) ([]found, error) {
	var mu sync.Mutex
	var all []found
	var failed error
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() {
			some, err := s.indexed(ctx, part, before, limit)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, some...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	return all, failed
}

func keyIn(i item) session.Key {
	a := holder{item: i}
	return session.Key{Tenant: a.str(tenantAttr), ID: a.str(idAttr)}
}

// List selects sessions of one tenant; see session.Directory.
func (s *Store) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	const op = "dynamodb.List"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	out, err := s.list(ctx, q)
	return out, readErr(given, op, err)
}

func (s *Store) list(ctx context.Context, q session.Query) ([]session.Head, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	from := "!" // before all ids
	if q.After != "" {
		from = behind(q.After)
	}
	var out []session.Head
	newest := "" // ids whose lives are all in the directory come one after the other
	err := s.query(ctx, between{pk: directory(q.Tenant), from: from, to: last, page: 1000}, func(page []item) (bool, error) {
		var keys []session.Key
		for _, i := range page {
			if id := idOf(sortKey(i)); id != newest {
				newest = id
				if strings.Contains(id, q.Search) {
					keys = append(keys, session.Key{Tenant: q.Tenant, ID: id})
				}
			}
		}
		for len(keys) > 0 && len(out) < limit {
			n := min(len(keys), batchGets)
			heads, err := s.heads(ctx, keys[:n])
			if err != nil {
				return false, err
			}
			for _, k := range keys[:n] {
				h := heads[k]
				if h.Len > 0 && !(q.Unfinished && h.Idle()) && len(out) < limit {
					out = append(out, h.clone())
				}
			}
			keys = keys[n:]
		}
		return len(out) < limit, nil
	})
	return out, err
}

// Tenants lists the tenants that have sessions. A tenant's name stays in the table when its last session is erased, and
// is then not returned.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	const op = "dynamodb.Tenants"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	items, err := s.all(ctx, between{pk: tenants, from: "t#", to: "t#" + last})
	if err != nil {
		return nil, readErr(given, op, err)
	}
	out := []string{}
	for _, i := range items {
		tenant := strings.TrimPrefix(sortKey(i), "t#")
		heads, err := s.list(ctx, session.Query{Tenant: tenant, Limit: 1})
		if err != nil {
			return nil, readErr(given, op, err)
		}
		if len(heads) > 0 {
			out = append(out, tenant)
		}
	}
	return out, nil
}
