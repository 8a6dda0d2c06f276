package redis_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/redis"
)

// The thread that starts servers stays as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/agentkernel/agentkernel/internal/servers.init.func1.1"))
}

var places atomic.Int64

// conform runs the suite on the servers behind a URL, each check under a prefix of its own.
func conform(t *testing.T, url string, cfg redis.Config) {
	t.Helper()
	sessiontest.Run(t, sessiontest.Harness{
		Shared: true, Durable: true,
		Place: func(testing.TB) func(context.Context) (session.Store, error) {
			cfg := cfg
			cfg.OpTimeout, cfg.WaitTimeout = 30*time.Second, 10*time.Second // the machine may be busy
			cfg.Prefix = fmt.Sprintf("test:%d:%d:", os.Getpid(), places.Add(1))
			return func(ctx context.Context) (session.Store, error) { return redis.Open(ctx, url, cfg) }
		},
	})
}

func TestItKeepsTheContractOfStoresOnOneServer(t *testing.T) {
	conform(t, servers.Redis(t).URL, redis.Config{})
}

func TestItKeepsTheContractOfStoresWithAReplica(t *testing.T) {
	primary := servers.Redis(t)
	servers.Replica(t, primary)
	conform(t, primary.URL, redis.Config{Durability: redis.Replicated})
}

func TestItKeepsTheContractOfStoresBehindSentinels(t *testing.T) {
	conform(t, servers.Sentinel(t, 2).URL, redis.Config{Durability: redis.Replicated})
}

func TestItKeepsTheContractOfStoresOnACluster(t *testing.T) {
	cluster := servers.Cluster(t, 3, 1)
	for _, level := range []redis.Level{redis.Async, redis.Replicated} {
		t.Run(string(level), func(t *testing.T) { conform(t, cluster.URL, redis.Config{Durability: level}) })
	}
}

// The environment may name a real server, sentinels or a Cluster: the same suite runs there too.
func TestItKeepsTheContractOfStoresAtTheGivenPlace(t *testing.T) {
	url := os.Getenv("AK_TEST_REDIS_URL")
	if url == "" {
		url = servers.Redis(t, "--appendonly", "yes").URL
	}
	conform(t, url, redis.Config{})
}
