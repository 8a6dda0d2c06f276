package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// Harness opens the store under test.
type Harness struct {
	// Place prepares a fresh, empty place for data and returns how to open a store there. Every call of open gives a
	// handle of its own on the same data. Required.
	Place func(tb testing.TB) (open func(context.Context) (session.Store, error))

	// Shared says that open may be called while another handle is open, as a second process would.
	Shared bool

	// Durable says that open may be called again after all handles were closed, and finds everything.
	Durable bool

	// AgendaLag is how long Due may lag behind the heads; 0 for not at all.
	AgendaLag time.Duration
}

// timeout ends a check whose store hangs.
const timeout = time.Minute

// check is one promise of the contract.
type check struct {
	name string
	run  func(*run)
	// needs reports why a harness cannot be asked; nil when every one can.
	needs func(Harness) string
}

func shared(h Harness) string {
	if h.Shared {
		return ""
	}
	return "the store has no second handle"
}

func durable(h Harness) string {
	if h.Durable {
		return ""
	}
	return "the store is not durable"
}

// Run checks every promise of the contract, each in a subtest. It fails when nothing was checked.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Place == nil {
		t.Fatal("sessiontest: Harness.Place is required; nothing was checked")
	}
	looked := 0
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != nil {
				if why := c.needs(h); why != "" {
					t.Skip(why)
				}
			}
			r := perform(t, h, c)
			looked += r.looked
			for _, p := range r.problems {
				t.Error(p)
			}
		})
	}
	if looked == 0 {
		t.Error("sessiontest: nothing was checked")
	}
}

// checks lists all of them.
func checks() []check {
	var all []check
	for _, part := range [][]check{journalChecks, eraseChecks, keptChecks, agendaChecks, sharedChecks, raceChecks, lifeChecks, historyChecks} {
		all = append(all, part...)
	}
	return all
}

// run is one check at work. It collects violations instead of failing a test, so that the suite can be tested too.
type run struct {
	tb       testing.TB
	h        Harness
	ctx      context.Context
	open     func(context.Context) (session.Store, error)
	s        session.Store // the first handle
	looked   int
	problems []string
}

// stop ends a check that cannot go on.
type stop struct{}

// perform runs one check on a fresh store.
func perform(tb testing.TB, h Harness, c check) *run {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r := &run{tb: tb, h: h, ctx: ctx}
	func() {
		defer r.recovered()
		r.open = h.Place(tb)
		r.s = r.handle()
		defer r.s.Close()
		r.looked = 0 // opening is no check
		c.run(r)
	}()
	if r.looked == 0 && len(r.problems) == 0 {
		r.problems = append(r.problems, "nothing was checked")
	}
	return r
}

// recovered makes a panic of the store a violation.
func (r *run) recovered() {
	switch p := recover().(type) {
	case nil, stop:
	default:
		r.problems = append(r.problems, fmt.Sprintf("the store panicked: %v", p))
	}
}

// handle opens a handle on the data.
func (r *run) handle() session.Store {
	s, err := r.open(r.ctx)
	r.need(err, "open the store")
	return s
}

// second is another handle on the same data, or the first one when there can be no other. The caller need not close it.
func (r *run) second() session.Store {
	if !r.h.Shared {
		return r.s
	}
	s := r.handle()
	r.tb.Cleanup(func() { _ = s.Close() })
	return s
}

// want counts one look at the store and notes a violation unless ok.
func (r *run) want(ok bool, format string, args ...any) bool {
	r.looked++
	if !ok {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
	return ok
}

// need ends the check when err is set: what follows would only repeat it.
func (r *run) need(err error, format string, args ...any) {
	if !r.want(err == nil, "%s: %v", fmt.Sprintf(format, args...), err) {
		panic(stop{})
	}
}

// wantErr checks that err wraps target.
func (r *run) wantErr(err, target error, format string, args ...any) {
	r.want(errors.Is(err, target), "%s: got error %q, want one that wraps %q", fmt.Sprintf(format, args...), errText(err), target)
}

func errText(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}
