package chaos

import (
	"fmt"
	"path/filepath"
	"testing"
)

// store is where the servers of a place keep their sessions: a file, or a server that was started for the tests.
type store struct {
	name  string
	block func(t *testing.T, p *place) string // what the configuration says under session, for a part of its own
	init  bool                                // whether `ak store init` has to be run first
	trouble
}

// trouble is what can be done to a store's server. A file has none of it.
type trouble struct {
	freeze, thaw, kill, restart func()
}

// networkStores are those that replicas on several machines can share.
var networkStores = []string{}

// fleetStores are those that the longest tests run on.
var fleetStores = []string{"sqlite"}

// everyStore are all that several processes can share.
func everyStore() []string { return append([]string{"sqlite"}, networkStores...) }

// onStore runs a test on each of these stores.
func onStore(t *testing.T, names []string, test func(t *testing.T, st *store)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) { test(t, openStore(t, name)) })
	}
}

// openStore starts a store that lives as long as the test. Each place in it has a part of its own.
func openStore(t *testing.T, name string) *store {
	t.Helper()
	switch name {
	case "sqlite":
		return &store{name: name, block: func(_ *testing.T, p *place) string {
			return fmt.Sprintf("type: sqlite, sqlite: {path: %q}", filepath.Join(p.dir, "ak.db"))
		}}
	}
	t.Fatalf("these tests know no store %q", name)
	return nil
}
