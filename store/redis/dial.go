package redis

import (
	"context"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// reload is how old the map of a Cluster may become. go-redis learns of a new primary only by loading it: where the old one
// is dead, nobody is left to redirect.
const reload = 500 * time.Millisecond

// quiet: go-redis prints what it meets to the standard error output. Whoever calls us is told, and decides what to print.
var quiet sync.Once

// dial makes the client; it connects when it is used. Why these settings: docs/adr/0019-redis-client.md.
func (s *Store) dial(t target) {
	quiet.Do(logging.Disable)
	switch t.kind {
	case "cluster":
		s.cluster = goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: t.addrs, Username: t.user, Password: t.password, TLSConfig: t.tlsConfig(),
			Protocol: 2, DisableIdentity: true, PipelinePoolSize: -1,
			MaintNotificationsConfig:   &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			ClusterStateReloadInterval: reload,
			MaxRetries:                 -1, MaxRedirects: -1, DialerRetries: 1,
			DialTimeout: s.cfg.DialTimeout, ReadTimeout: s.cfg.OpTimeout, WriteTimeout: s.cfg.OpTimeout,
			PoolSize: s.cfg.Conns, PoolTimeout: s.cfg.OpTimeout, ContextTimeoutEnabled: true,
		})
		s.subscriber = s.cluster
	case "sentinel":
		s.single = goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: t.master, SentinelAddrs: t.addrs, SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
			Username: t.user, Password: t.password, DB: t.db, TLSConfig: t.tlsConfig(),
			Protocol: 2, DisableIdentity: true, PipelinePoolSize: -1,
			MaxRetries: -1, DialerRetries: 1,
			DialTimeout: s.cfg.DialTimeout, ReadTimeout: s.cfg.OpTimeout, WriteTimeout: s.cfg.OpTimeout,
			PoolSize: s.cfg.Conns, PoolTimeout: s.cfg.OpTimeout, ContextTimeoutEnabled: true,
		})
		s.subscriber = s.single
	default:
		s.single = goredis.NewClient(&goredis.Options{
			Addr: t.addrs[0], Username: t.user, Password: t.password, DB: t.db, TLSConfig: t.tlsConfig(),
			Protocol: 2, DisableIdentity: true, PipelinePoolSize: -1,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			MaxRetries:               -1, DialerRetries: 1,
			DialTimeout: s.cfg.DialTimeout, ReadTimeout: s.cfg.OpTimeout, WriteTimeout: s.cfg.OpTimeout,
			PoolSize: s.cfg.Conns, PoolTimeout: s.cfg.OpTimeout, ContextTimeoutEnabled: true,
		})
		s.subscriber = s.single
	}
}

// route is the client of the server that has a key.
func (s *Store) route(ctx context.Context, key string) (*goredis.Client, error) {
	if s.cluster == nil {
		return s.single, nil
	}
	return s.cluster.MasterForKey(ctx, key)
}

// redirected is the client of the server that a MOVED or ASK names, or else of the one that has the key in a map loaded just
// now.
func (s *Store) redirected(ctx context.Context, key string, err error) *goredis.Client {
	addr, ok := goredis.IsMovedError(err)
	if !ok {
		addr, _ = goredis.IsAskError(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	var mu sync.Mutex
	var found, samePort *goredis.Client
	_ = s.cluster.ForEachShard(ctx, func(_ context.Context, c *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Options().Addr == addr {
			found = c
		}
		if _, p, _ := net.SplitHostPort(c.Options().Addr); p == port {
			samePort = c
		}
		return nil
	})
	if found != nil {
		return found
	}
	if node, err := s.cluster.MasterForKey(ctx, key); err == nil {
		return node
	}
	return samePort
}

// each calls f with every primary, one after the other.
func (s *Store) each(ctx context.Context, f func(*goredis.Client) error) error {
	if s.cluster == nil {
		return f(s.single)
	}
	var mu sync.Mutex
	return s.cluster.ForEachMaster(ctx, func(_ context.Context, c *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return f(c)
	})
}
