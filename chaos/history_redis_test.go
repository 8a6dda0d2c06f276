//go:build unix

package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// redisHandles opens handles on one place in a Redis.
func redisHandles(url string, cfg redis.Config) func(context.Context) (session.Store, error) {
	return func(ctx context.Context) (session.Store, error) { return redis.Open(ctx, url, cfg) }
}

func TestHistoriesOnRedisUnderKillPauseAndPartitionHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	server := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	const store = "redis, async, appendfsync always"
	victim{
		store: store, by: "kill -9 and start of redis-server", rounds: 3, open: redisHandles(server.URL, redis.Config{Prefix: "kill:"}),
		faults: one("kill", func(int) func() { server.Kill(); return server.Start }),
	}.endure(t, table)
	victim{
		store: store, by: "SIGSTOP of redis-server", rounds: 3, open: redisHandles(server.URL, redis.Config{Prefix: "pause:"}),
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
	s := servers.Sentinel(t, 2, "--appendonly", "yes")
	level := redis.Config{Prefix: "kill:", Durability: redis.Replicated}
	victim{
		store: "redis sentinel, replicated", by: "kill -9 of the primary", rounds: 2, open: redisHandles(s.URL, level),
		faults: one("failover", func(int) func() {
			old := whole(t, s)
			old.Kill()
			return func() {
				replaced(t, s, old)
				old.Start()
			}
		}),
	}.endure(t, table)
	level.Prefix = "freeze:"
	victim{
		store: "redis sentinel, replicated", by: "SIGSTOP of the primary, which wakes up later", rounds: 1, open: redisHandles(s.URL, level), loses: true,
		faults: one("failover", func(int) func() {
			old := whole(t, s)
			old.Freeze()
			return func() {
				replaced(t, s, old)
				old.Thaw()
			}
		}),
	}.endure(t, table)
}

func TestHistoriesOnRedisClusterUnderFailoverHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	c := servers.Cluster(t, 3, 2, "--appendonly", "yes")
	level := redis.Config{Prefix: "kill:", Durability: redis.Replicated}
	victim{
		store: "redis cluster, replicated", by: "kill -9 of a master", rounds: 3, open: redisHandles(c.URL, level),
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
		store: "redis cluster, replicated", by: "SIGSTOP of a master, which wakes up later", rounds: 3, open: redisHandles(c.URL, level), loses: true,
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

// replaced waits until every sentinel knows the new primary, and returns. A server that comes back before, empty or with old
// data, is taken for the primary still by a sentinel that has not heard of its successor, which then makes replicas copy it.
func replaced(t *testing.T, s *servers.RedisSentinel, old *servers.RedisServer) {
	t.Helper()
	primary := s.Promoted(old)
	_, port, _ := strings.Cut(primary.Addr, ":")
	for _, r := range s.Sentinels {
		servers.WaitUntil(t, "all sentinels know the new primary", func(ctx context.Context) error {
			answer, err := r.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.Name)
			if pair, _ := answer.([]any); err == nil && (len(pair) != 2 || pair[1] != port) {
				err = fmt.Errorf("sentinel %s says %v", r.Addr, answer)
			}
			return err
		})
	}
}

// whole waits until all other servers copy the primary and returns it: what is shown is one failover after the other, not
// the loss of two copies at once.
func whole(t *testing.T, s *servers.RedisSentinel) *servers.RedisServer {
	t.Helper()
	primary := s.Primary()
	for _, r := range s.Servers {
		if r == primary {
			continue
		}
		servers.WaitUntil(t, "a server follows the primary", func(ctx context.Context) error {
			role, err := r.Info(ctx, "replication", "role")
			if err != nil || role != "slave" {
				return fmt.Errorf("%s has the role %q: %w", r.Addr, role, err)
			}
			link, err := r.Info(ctx, "replication", "master_link_status")
			if err != nil || link != "up" {
				return fmt.Errorf("the link of %s is %q: %w", r.Addr, link, err)
			}
			return nil
		})
	}
	return primary
}
