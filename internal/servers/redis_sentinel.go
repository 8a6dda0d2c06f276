//go:build unix

package servers

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// RedisSentinel is a primary with its replicas and three sentinels, any two of which replace a primary that is gone.
type RedisSentinel struct {
	Name      string         // what the sentinels call the primary
	URL       string         // redis+sentinel://host:port,host:port,host:port/NAME
	Servers   []*RedisServer // the first one begins as the primary
	Sentinels []*RedisServer

	tb testing.TB
}

// downAfter is how long a primary is silent before a sentinel takes it for dead. Never lower: at 200 ms sentinels replace
// primaries that live, again and again.
const downAfter = "1000" // milliseconds

// Sentinel starts a primary with its replicas, and three sentinels, and waits until all know each other and every replica
// follows. Arguments are for each redis-server: "--min-replicas-to-write", "1".
func Sentinel(tb testing.TB, replicas int, args ...string) *RedisSentinel {
	tb.Helper()
	s := &RedisSentinel{Name: "agents", tb: tb}
	args = append([]string{"--repl-ping-replica-period", "1"}, args...)
	s.Servers = append(s.Servers, Redis(tb, args...))
	for range replicas {
		s.Servers = append(s.Servers, Replica(tb, s.Servers[0], args...))
	}
	program := Find(tb, "redis-sentinel", "redis-sentinel")
	var addresses []string
	for range 3 {
		r := &RedisServer{tb: tb, program: program}
		r.place(Port(tb), []string{
			"--sentinel", "monitor", s.Name, "127.0.0.1", s.Servers[0].port(), "2",
			"--sentinel", "down-after-milliseconds", s.Name, downAfter,
			"--sentinel", "failover-timeout", s.Name, "4000",
			"--sentinel", "parallel-syncs", s.Name, "9",
		})
		r.Start()
		s.Sentinels = append(s.Sentinels, r)
		addresses = append(addresses, r.Addr)
	}
	s.URL = "redis+sentinel://" + strings.Join(addresses, ",") + "/" + s.Name
	WaitUntil(tb, "the sentinels know each other and the replicas", func(ctx context.Context) error {
		for _, r := range s.Sentinels {
			if err := s.knowsAll(ctx, r); err != nil {
				return fmt.Errorf("sentinel %s: %w", r.Addr, err)
			}
		}
		return nil
	})
	return s
}

func (s *RedisSentinel) knowsAll(ctx context.Context, sentinel *RedisServer) error {
	if _, err := sentinel.Do(ctx, "SENTINEL", "CKQUORUM", s.Name); err != nil {
		return err
	}
	sentinels, err := sentinel.Do(ctx, "SENTINEL", "SENTINELS", s.Name)
	if list, _ := sentinels.([]any); err != nil || len(list) != len(s.Sentinels)-1 {
		return fmt.Errorf("%d other sentinels: %w", len(list), err)
	}
	replicas, err := sentinel.Do(ctx, "SENTINEL", "REPLICAS", s.Name)
	list, _ := replicas.([]any)
	if err != nil || len(list) != len(s.Servers)-1 {
		return fmt.Errorf("%d replicas: %w", len(list), err)
	}
	for _, one := range list { // names and values by turns
		pairs, _ := one.([]any)
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == "flags" && pairs[i+1] != "slave" || pairs[i] == "master-link-status" && pairs[i+1] != "ok" {
				return fmt.Errorf("a replica has %s %s", pairs[i], pairs[i+1])
			}
		}
	}
	return nil
}

// Primary is the server that two sentinels or more take for the primary now. Where they do not agree, which is so for a
// moment in a failover, it waits until they do.
func (s *RedisSentinel) Primary() *RedisServer {
	s.tb.Helper()
	var primary *RedisServer
	WaitUntil(s.tb, "the sentinels agree on a primary", func(ctx context.Context) error {
		votes := map[string]int{}
		for _, r := range s.Sentinels {
			answer, err := r.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.Name)
			if pair, _ := answer.([]any); err == nil && len(pair) == 2 {
				votes[fmt.Sprintf("%s:%s", pair[0], pair[1])]++
			}
		}
		for _, r := range s.Servers {
			if votes[r.Addr] >= 2 {
				primary = r
				return nil
			}
		}
		return fmt.Errorf("votes: %v", votes)
	})
	return primary
}

// Promoted waits until the sentinels name a primary other than old, and that one serves as such, and returns it.
func (s *RedisSentinel) Promoted(old *RedisServer) *RedisServer {
	s.tb.Helper()
	var next *RedisServer
	WaitUntil(s.tb, "a replica is promoted", func(ctx context.Context) error {
		if next = s.Primary(); next == old {
			return fmt.Errorf("%s is the primary still", old.Addr)
		}
		return next.serves(ctx)
	})
	return next
}

// serves is nil for a server that is a primary.
func (r *RedisServer) serves(ctx context.Context) error {
	role, err := r.Info(ctx, "replication", "role")
	if err == nil && role != "master" {
		err = fmt.Errorf("%s is a replica", r.Addr)
	}
	return err
}
