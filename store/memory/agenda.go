package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// Due returns heads that need attention; see session.Agenda. A limit of 0 means all.
func (s *Store) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	if err := s.enter(ctx, "memory.Due"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []session.Head
	for _, e := range s.sessions {
		if e.head.Owner == owner && e.head.Due != 0 && e.head.Due <= before {
			out = append(out, e.head)
		}
	}
	slices.SortFunc(out, func(a, b session.Head) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Key.Tenant, b.Key.Tenant), cmp.Compare(a.Key.ID, b.Key.ID))
	})
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

// List selects sessions of one tenant; see session.Directory.
func (s *Store) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	if err := s.enter(ctx, "memory.List"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []session.Head
	for k, e := range s.sessions {
		if k.Tenant == q.Tenant && k.ID > q.After && strings.Contains(k.ID, q.Search) && !(q.Unfinished && e.head.Idle()) {
			out = append(out, e.head)
		}
	}
	slices.SortFunc(out, func(a, b session.Head) int { return cmp.Compare(a.Key.ID, b.Key.ID) })
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	if len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

// Tenants lists the tenants that have sessions.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx, "memory.Tenants"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for k := range s.sessions {
		seen[k.Tenant] = true
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// Beat writes a replica's counter and info, and drops hints and tombstones whose time has passed.
func (s *Store) Beat(ctx context.Context, r session.Replica) error {
	if err := s.enterWrite(ctx, "memory.Beat"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	r.Info = bytes.Clone(r.Info)
	s.replicas[r.ID] = r
	s.dropExpired()
	return nil
}

// dropExpired removes what has an end that has passed; s.mu is held.
func (s *Store) dropExpired() {
	t := now()
	for name, h := range s.hints {
		if h.Until <= t {
			delete(s.hints, name)
		}
	}
	for id, tomb := range s.tombs {
		if tomb.Until < t {
			delete(s.tombs, id)
		}
	}
}

// Replicas lists the entries in the order of their ids.
func (s *Store) Replicas(ctx context.Context) ([]session.Replica, error) {
	if err := s.enter(ctx, "memory.Replicas"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]session.Replica, 0, len(s.replicas))
	for _, r := range s.replicas {
		r.Info = bytes.Clone(r.Info)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b session.Replica) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Leave removes a replica's entry.
func (s *Store) Leave(ctx context.Context, id string) error {
	if err := s.enterWrite(ctx, "memory.Leave"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.replicas, id)
	return nil
}

// PutHint replaces the hint of that name.
func (s *Store) PutHint(ctx context.Context, h session.Hint) error {
	if err := s.enterWrite(ctx, "memory.PutHint"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	h.Value = bytes.Clone(h.Value)
	s.hints[h.Name] = h
	return nil
}

// Hints lists the hints whose name has the prefix and whose time has not passed, in the order of their names.
func (s *Store) Hints(ctx context.Context, prefix string) ([]session.Hint, error) {
	if err := s.enter(ctx, "memory.Hints"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	t := now()
	var out []session.Hint
	for _, h := range s.hints {
		if strings.HasPrefix(h.Name, prefix) && h.Until > t {
			h.Value = bytes.Clone(h.Value)
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b session.Hint) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
