package sessiontest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// HistoryConfig says how much is done to the store. The zero value works.
type HistoryConfig struct {
	Clients  int           // each with a handle of its own; 0 means 6
	Sessions int           // that are worked on at a time; 0 means 4
	Calls    int           // about one session before a new one takes its place; 0 means 60
	AtLeast  int           // calls in all, also when the nemesis is done sooner; 0 means 1000
	Pace     time.Duration // one call of a client in this time, at most; 0 means as fast as the store answers
	Timeout  time.Duration // of one call; 0 means 2 s
	Recovery time.Duration // within which every handle must append again, and the store be read, once all is healed; 0 means 60 s
	Longest  time.Duration // of the nemesis; 0 means 3 min
	Search   time.Duration // for an order of the calls about one session; 0 means 20 s
	Seed     uint64        // of what the clients do; 0 means 1

	erases bool // sessions are erased, and there is no last read
}

func (c HistoryConfig) filled() HistoryConfig {
	for _, n := range []struct {
		v  *int
		or int
	}{{&c.Clients, 6}, {&c.Sessions, 4}, {&c.Calls, 60}, {&c.AtLeast, 1000}} {
		if *n.v <= 0 {
			*n.v = n.or
		}
	}
	for _, d := range []struct {
		v  *time.Duration
		or time.Duration
	}{{&c.Timeout, 2 * time.Second}, {&c.Recovery, time.Minute}, {&c.Longest, 3 * time.Minute}, {&c.Search, 20 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.or
		}
	}
	c.Seed = max(c.Seed, 1)
	return c
}

// HistoryReport is what a history was made of, and what was wrong with it.
type HistoryReport struct {
	Sessions  int // with at least one call
	Calls     int // that ended, whatever they answered
	Won       int // appends that were acknowledged
	Claims    int // of those, that changed the owner and raised the epoch
	Conflicts int
	NotSent   int // writes that did not reach the store
	Unknown   int // writes of unknown outcome
	Landed    int // of those, whose record is there at the end
	Lost      int // appends that were acknowledged, and whose record is not there at the end
	Reads     int // reads and looks at heads that answered
	Failed    int // reads and looks at heads that did not

	Faults    map[string]int // by name, as the nemesis told
	Struck    int            // calls that were under way while something was hurt
	Recovered time.Duration  // from the last healing until every handle had appended again

	Unordered int      // sessions without an order that explains the answers
	Problems  []string // one for each of them, and what else was wrong, or kept the run from showing anything
}

// String is the report in one line, without the problems.
func (r HistoryReport) String() string {
	faults, names := "no faults", []string{}
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		names = append(names, fmt.Sprintf("%d x %s", r.Faults[name], name))
	}
	if len(names) > 0 {
		faults = strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d calls on %d sessions: %d appends done (%d claims), %d conflicts, %d not sent, %d unknown (%d of them landed), %d acknowledged and lost, %d reads (%d failed); %s, %d calls struck, all handles back after %s",
		r.Calls, r.Sessions, r.Won, r.Claims, r.Conflicts, r.NotSent, r.Unknown, r.Landed, r.Lost, r.Reads, r.Failed, faults, r.Struck, r.Recovered.Round(time.Millisecond))
}
