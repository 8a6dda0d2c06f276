//go:build unix

package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// victim is a store on real servers, and one way to hurt them.
type victim struct {
	store  string // with its level
	fault  string
	by     string // what does it
	open   func(context.Context) (session.Store, error)
	hurt   func(round int) (heal func())
	rounds int // how often the fault strikes
	// slow says that the fault makes calls slow, so that not all of them fail.
	slow bool
	// loses says that the store, so set up, may lose acknowledged writes to this fault: what is found is told, and is no
	// failure.
	loses bool
}

func (v victim) nemesis(_ context.Context, c *sessiontest.Course) {
	for round := range v.rounds {
		c.Won(60)
		healed := c.Hurt(v.fault)
		heal := v.hurt(round)
		if v.slow {
			c.Ended(4 * c.Clients())
		} else {
			c.Failed(2 * c.Clients())
		}
		heal()
		healed()
	}
	c.Won(60)
}

// endure runs a history and adds a line to the table.
func (v victim) endure(t *testing.T, table *table) {
	t.Helper()
	cfg := sessiontest.HistoryConfig{Pace: 4 * time.Millisecond, Timeout: time.Second, Calls: 50}
	report := sessiontest.RecordHistory(t.Context(), v.open, v.nemesis, cfg)
	table.add(v, report)
	for _, p := range report.Problems {
		if v.loses {
			t.Logf("%s, %s: %s", v.store, v.fault, p)
		} else {
			t.Errorf("%s, %s: %s", v.store, v.fault, p)
		}
	}
}
