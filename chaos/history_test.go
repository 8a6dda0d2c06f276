//go:build unix

package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// victim is a store on real servers, and how to hurt them.
type victim struct {
	store  string // with its level
	by     string // what hurts it
	open   func(context.Context) (session.Store, error)
	rounds int // in which each of the faults strikes once
	faults []blow
	// loses says that the store, so set up, may lose acknowledged writes to this: what is found is told, and is no failure.
	loses bool
}

// blow is one fault.
type blow struct {
	name string
	hurt func(round int) (heal func())
}

// one is a single fault.
func one(name string, hurt func(round int) (heal func())) []blow { return []blow{{name, hurt}} }

func (v victim) nemesis(_ context.Context, c *sessiontest.Course) {
	for round := range v.rounds {
		for _, b := range v.faults {
			c.Won(60)
			healed := c.Hurt(b.name)
			heal := b.hurt(round)
			c.Failed(c.Clients())
			heal()
			healed()
		}
	}
	c.Won(60)
}

// callTime is how long a call of a history may take.
const callTime = 500 * time.Millisecond

// endure runs a history and adds a line to the table.
func (v victim) endure(t *testing.T, table *table) {
	t.Helper()
	cfg := sessiontest.HistoryConfig{Pace: 4 * time.Millisecond, Timeout: callTime, Calls: 50}
	report := sessiontest.RecordHistory(t.Context(), v.open, v.nemesis, cfg)
	table.add(v, report)
	forgiven := v.loses && len(report.Problems) == report.Unordered
	for _, p := range report.Problems {
		if forgiven {
			t.Logf("%s, %s: %s", v.store, v.by, p)
		} else {
			t.Errorf("%s, %s: %s", v.store, v.by, p)
		}
	}
}
