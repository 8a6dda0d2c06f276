package redis

import (
	"context"
	"fmt"
)

// Init writes what the store is made with, unless it is there already; see session.Initializer. Redis needs nothing else.
func (s *Store) Init(ctx context.Context) ([]string, error) {
	const op = "redis.Init"
	if err := s.ready(ctx, op); err != nil {
		return nil, err
	}
	m, _, err := s.readMeta(ctx, op, false)
	if err != nil || !s.made.Swap(false) {
		return nil, err
	}
	return []string{fmt.Sprintf("Made the store under the prefix %s: format %d, %d buckets.", m.Prefix, m.Format, m.Buckets)}, nil
}
