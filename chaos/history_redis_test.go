//go:build unix

package chaos

import (
	"context"
	"errors"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// openRedis opens handles on one place in a Redis.
func openRedis(url string, cfg redis.Config) func(context.Context) (session.Store, error) {
	return func(ctx context.Context) (session.Store, error) { return redis.Open(ctx, url, cfg) }
}

func TestHistoriesOnRedisUnderKillPauseAndPartitionHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	server := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	const store = "redis, async, appendfsync always"
	victim{
		store: store, by: "kill -9 and start of redis-server", rounds: 3, open: openRedis(server.URL, redis.Config{Prefix: "kill:"}),
		faults: one("kill", func(int) func() { server.Kill(); return server.Start }),
	}.endure(t, table)
	victim{
		store: store, by: "SIGSTOP of redis-server", rounds: 3, open: openRedis(server.URL, redis.Config{Prefix: "pause:"}),
		faults: one("pause", func(int) func() { server.Freeze(); return server.Thaw }),
	}.endure(t, table)
	w := newWires(t, server.Addr)
	victim{
		store: store, by: "toxiproxy before each handle", rounds: 2, faults: w.faults(),
		open: func(ctx context.Context) (session.Store, error) {
			addr, err := w.next()
			if err != nil {
				return nil, err
			}
			return redis.Open(ctx, "redis://"+addr, redis.Config{Prefix: "cut:"})
		},
	}.endure(t, table)
}

func TestHistoriesOnRedisSentinelUnderFailoverHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	s := servers.Sentinel(t, 2)
	level := redis.Config{Prefix: "kill:", Durability: redis.Replicated}
	victim{
		store: "redis sentinel, replicated", by: "kill -9 of the primary", rounds: 2, open: openRedis(s.URL, level),
		faults: one("failover", func(int) func() {
			old := s.Primary()
			old.Kill()
			return func() {
				primary := s.Promoted(old)
				old.Start()
				follow(t, primary)
			}
		}),
	}.endure(t, table)
	level.Prefix = "freeze:"
	victim{
		store: "redis sentinel, replicated", by: "SIGSTOP of the primary, which wakes up later", rounds: 2, open: openRedis(s.URL, level), loses: true,
		faults: one("failover", func(int) func() {
			old := s.Primary()
			old.Freeze()
			return func() {
				primary := s.Promoted(old)
				old.Thaw()
				follow(t, primary)
			}
		}),
	}.endure(t, table)
}

func TestHistoriesOnRedisClusterUnderFailoverHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	c := servers.Cluster(t, 3, 2)
	level := redis.Config{Prefix: "kill:", Durability: redis.Replicated}
	victim{
		store: "redis cluster, replicated", by: "kill -9 of a master", rounds: 3, open: openRedis(c.URL, level),
		faults: one("failover", func(round int) func() {
			slot := round * 5500
			old := c.PrimaryOf(slot)
			old.Kill()
			return func() {
				c.Promoted(slot, old)
				old.Start()
			}
		}),
	}.endure(t, table)
	level.Prefix = "freeze:"
	victim{
		store: "redis cluster, replicated", by: "SIGSTOP of a master, which wakes up later", rounds: 3, open: openRedis(c.URL, level), loses: true,
		faults: one("failover", func(round int) func() {
			slot := round * 5500
			old := c.PrimaryOf(slot)
			old.Freeze()
			return func() {
				c.Promoted(slot, old)
				old.Thaw()
			}
		}),
	}.endure(t, table)
}

// follow waits until one of the other servers copies the primary: without one nothing could take its place, and no append
// at this level would count.
func follow(t *testing.T, primary *servers.RedisServer) {
	t.Helper()
	servers.WaitUntil(t, "a server follows the new primary", func(ctx context.Context) error {
		n, err := primary.Info(ctx, "replication", "connected_slaves")
		if err == nil && n == "0" {
			err = errors.New("none does")
		}
		return err
	})
}
