package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/session"
)

// Init writes what the store is made with, unless it is there already; see session.Initializer.
func (s *Store) Init(ctx context.Context) ([]string, error) {
	_, _, err := s.readMeta(ctx, "redis.Init", true)
	return nil, err
}

// Examine judges the servers' set-up; see session.Examiner.
func (s *Store) Examine(ctx context.Context) ([]session.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.OpTimeout)
	defer cancel()
	_ = time.Now
	return nil, s.each(ctx, func(c *goredis.Client) error { return nil })
}
