package chaos

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
)

// store is where the servers of a place keep their sessions: a file, or a server that was started for the tests.
type store struct {
	name  string
	block func(t *testing.T, p *place) string // what the configuration says under session, for a part of its own
	init  bool                                // whether `ak store init` has to be run first
	env   []string                            // of its clients
	trouble
}

// trouble is what can be done to a store's server, which keeps its data. A file has none of it.
type trouble struct {
	freeze, thaw, kill, restart func()
}

// networkStores are those that replicas on several machines can share, fleetStores those that the longest tests run on.
var (
	networkStores = []string{"redis", "postgres", "dynamodb"}
	fleetStores   = []string{"redis"}
)

// everyStore are all that several processes can share.
func everyStore() []string { return append([]string{"sqlite"}, networkStores...) }

// onStore runs a test on each of these stores.
func onStore(t *testing.T, names []string, test func(t *testing.T, st *store)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) { test(t, openStore(t, name)) })
	}
}

// parts counts the places, each of which has a part of its store that no other one has.
var parts atomic.Int64

// openStore starts a store that lives as long as the test.
func openStore(t *testing.T, name string) *store {
	t.Helper()
	switch name {
	case "sqlite":
		return &store{name: name, block: func(_ *testing.T, p *place) string {
			return fmt.Sprintf("type: sqlite, sqlite: {path: %q}", filepath.Join(p.dir, "ak.db"))
		}}
	case "redis":
		r := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
		return &store{
			name: name,
			block: func(*testing.T, *place) string {
				return fmt.Sprintf("type: redis, accept_loss: true, redis: {url: %q, prefix: \"chaos:%d:\"}", r.URL, parts.Add(1))
			},
			trouble: trouble{func() { r.Freeze() }, func() { r.Thaw() }, func() { r.Kill() }, func() { r.Start() }},
		}
	case "postgres":
		s := servers.Postgres(t, "max_connections=300")
		return &store{
			name: name,
			block: func(*testing.T, *place) string {
				return fmt.Sprintf("type: postgres, accept_loss: true, postgres: {url: %q, schema: chaos_%d, max_conns: 8}", s.URL(), parts.Add(1))
			},
			trouble: trouble{s.Freeze, s.Thaw, s.Kill, s.Start},
		}
	case "dynamodb":
		d := servers.Dynalite(t) // it keeps nothing, so it is not killed
		return &store{
			name: name, init: true, env: []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"},
			block: func(*testing.T, *place) string {
				return fmt.Sprintf("type: dynamodb, accept_loss: true, dynamodb: {table_name: chaos-%d, endpoint: %q, region: eu-west-1}", parts.Add(1), d.Endpoint)
			},
			trouble: trouble{freeze: d.Freeze, thaw: d.Thaw},
		}
	}
	t.Fatalf("these tests know no store %q", name)
	return nil
}
