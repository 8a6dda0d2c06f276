//go:build unix

package chaos

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// table is what the histories of one store came to.
type table struct {
	tb    testing.TB
	lines []string
}

func newTable(tb testing.TB) *table {
	t := &table{tb: tb}
	tb.Cleanup(t.print)
	return t
}

func (t *table) add(v victim, r sessiontest.HistoryReport) {
	verdict := "linearizable"
	var faults []string
	for _, b := range v.faults {
		faults = append(faults, fmt.Sprintf("%d x %s", r.Faults[b.name], b.name))
	}
	switch {
	case len(r.Problems) > 0 && v.loses:
		verdict = fmt.Sprintf("%d sessions without an order, as declared", len(r.Problems))
	case len(r.Problems) > 0:
		verdict = fmt.Sprintf("%d PROBLEMS", len(r.Problems))
	}
	t.lines = append(t.lines, fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d (%d)\t%d\t%d\t%s\t%s\n", v.store, strings.Join(faults, ", "), v.by, r.Struck, r.Sessions, r.Calls, r.Won, r.Claims, r.Conflicts, r.Unknown, r.Landed, r.Lost, r.NotSent, r.Recovered.Round(time.Millisecond), verdict))
}

func (t *table) print() {
	if len(t.lines) == 0 {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "store\tfaults\tby\tcalls struck\tsessions\tcalls\tappends\tclaims\tconflicts\tunknown (landed)\tlost\tnot sent\tback after\thistory\n")
	fmt.Fprint(w, strings.Join(t.lines, ""))
	_ = w.Flush()
	t.tb.Log("\n" + b.String())
}
