package kerneltest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
)

// Agent is an agent, or several that work together, and a conversation. New and Turns are required.
type Agent struct {
	// New makes the configuration of one replica: agents, tools, models. It is called for every replica, as every process
	// makes its own. Failpoints, AcceptLoss, LeaseTTL and SweepInterval are set by this package.
	New func() agentkernel.Config
	// Turns are the requests, sent one after the other. A request without a session goes into one that all of them
	// share, and one without an idempotency key gets one.
	Turns []agentkernel.Request

	// Effects reads what the tools did to the outside world, nil if there is nothing to read. Values are compared with
	// reflect.DeepEqual and shown as JSON.
	Effects func() any
	// Reset puts the outside world back to where it was, before each run.
	Reset func()
	// Check is asked at the end of each run for what must hold in every one of them.
	Check func() error
	// Normalize removes from an outcome what may differ between two runs.
	Normalize func(o *Outcome)

	// Decide answers for a person when a turn waits. Without it approvals are given, and a call in doubt is an error of
	// the test.
	Decide func(i *agentkernel.TurnInfo) Word

	Real bool // use real time and real sleeping, for tools that need a network
}

// Word is a person's answer. The zero Word is none, which is an error of the test.
type Word struct {
	verb    verb
	outcome session.Outcome
	text    string
}

type verb int

const (
	silent verb = iota
	approve
	deny
	resolve
)

// Approve says yes to everything that the turn asks.
func Approve() Word { return Word{verb: approve} }

// Deny says no to everything that the turn asks.
func Deny(note string) Word { return Word{verb: deny, text: note} }

// Happened says that the call in doubt took place, with that result.
func Happened(result string) Word {
	return Word{verb: resolve, outcome: session.Happened, text: result}
}

// DidNotHappen says that the call in doubt did not take place; the model is told so.
func DidNotHappen() Word { return Word{verb: resolve, outcome: session.DidNotHappen} }

// RunAgain has the call in doubt made again, with the same key.
func RunAgain() Word { return Word{verb: resolve, outcome: session.RunAgain} }

const (
	virtualLimit = 2 * time.Hour // for one run, in the time of a bubble
	realLimit    = time.Minute
)

// Survive crashes the agent at every place and reports every difference. With a *testing.T each crash is a subtest, named
// after its place, the how-maniest time it was passed, and the way of the crash: "tool.after/1/crash".
func Survive(t testing.TB, a Agent) {
	t.Helper()
	if a.New == nil || len(a.Turns) == 0 {
		t.Fatal("kerneltest: New and Turns are required")
	}
	l := &lab{a: a, log: t.Logf}
	if tt, ok := t.(*testing.T); ok {
		l.virtual = !a.Real
		l.each = func(name string, f func(report)) bool {
			return tt.Run(name, func(t *testing.T) {
				if a.Real {
					f(t.Errorf)
					return
				}
				synctest.Test(t, func(t *testing.T) { f(t.Errorf) })
			})
		}
	} else {
		l.each = func(name string, f func(report)) bool {
			good := true
			f(func(format string, args ...any) {
				good = false
				t.Errorf("%s: %s", name, fmt.Sprintf(format, args...))
			})
			return good
		}
	}
	if crashes := l.run(); crashes == 0 && !t.Failed() {
		t.Error("kerneltest: no place was passed, so nothing was tested")
	}
}

// report tells of a difference.
type report func(format string, args ...any)

// lab runs one agent again and again.
type lab struct {
	a       Agent
	virtual bool
	log     func(format string, args ...any)
	each    func(name string, f func(report)) bool // runs a part of the test under a name
	loose   int                                    // runs that ended in another way, as they may
	missed  int                                    // runs that did not come to the place where they were to stop
}

// run does all of it and returns how many crashes there were.
func (l *lab) run() int {
	var want *Outcome
	var hits []failpoint.Name
	good := l.each("undisturbed", func(r report) {
		w := l.world(r)
		if want, hits = w.undisturbed(); want == nil {
			return
		}
		again, _ := l.world(r).undisturbed()
		if again == nil {
			return
		}
		if d := diff(want, again); d != "" {
			r("two runs that nothing disturbed differ, so that a crash cannot be told from chance.\n%s\n"+
				"Put what is decided by chance, time or memory into a step, and keep the outside world behind Reset.", d)
		}
	})
	if !good || want == nil {
		return 0
	}
	crashes := 0
	nth := map[failpoint.Name]int{}
	for _, name := range hits {
		nth[name]++
		n := nth[name]
		for _, mode := range modesOf(name) {
			crashes++
			l.each(fmt.Sprintf("%s/%d/%s", name, n, mode), func(r report) {
				l.world(r).disturbed(place{name, n, mode}, want)
			})
		}
	}
	l.log("%d crashes at %d kinds of places; %d runs ended in another way, as they may; %d did not come to their place",
		crashes, len(nth), l.loose, l.missed)
	if 2*l.missed > crashes {
		l.each("places", func(r report) {
			r("%d of %d runs did not come to the place where they were to stop: the agent does another thing each time", l.missed, crashes)
		})
	}
	return crashes
}

// place is where a replica stops, and how.
type place struct {
	name failpoint.Name
	nth  int
	mode mode
}

type mode string

const (
	crash mode = "crash" // it is never heard of again
	lost  mode = "lost"  // it does not hear the store's answer
)

func modesOf(n failpoint.Name) []mode {
	if n == failpoint.AppendAfter {
		return []mode{crash, lost}
	}
	return []mode{crash}
}

// meaning is a place in words, for reports.
var meaning = map[failpoint.Name]string{
	failpoint.AppendBefore:    "before a record was written",
	failpoint.AppendAfter:     "after a record was written",
	failpoint.ModelBefore:     "before a model was called",
	failpoint.ModelAfter:      "after a model answered, with nothing recorded",
	failpoint.ToolBefore:      "before a tool was called",
	failpoint.ToolAfter:       "after a tool acted, with nothing recorded",
	failpoint.StepBefore:      "before a step ran",
	failpoint.StepAfter:       "after a step ran, with nothing recorded",
	failpoint.ReconcileBefore: "before a tool was asked what became of a call",
	failpoint.ReconcileAfter:  "after a tool said what became of a call",
}

func (p place) String() string {
	what := meaning[p.name]
	if what == "" {
		what = "at " + string(p.name)
	}
	if p.mode == lost {
		return fmt.Sprintf("the store's answer was lost %s (%s, time %d)", what, p.name, p.nth)
	}
	return fmt.Sprintf("the process died %s (%s, time %d)", what, p.name, p.nth)
}
