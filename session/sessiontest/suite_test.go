package sessiontest

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// around is a harness whose handles are memory stores on the same data, each broken anew by bend.
func around(bend func(*broken)) Harness {
	return Harness{
		Shared: true,
		Place: func(testing.TB) func(context.Context) (session.Store, error) {
			s := memory.New()
			return func(context.Context) (session.Store, error) {
				b := &broken{Store: s}
				bend(b)
				return b, nil
			}
		},
	}
}

func TestACorrectStorePassesEveryCheckAndEveryCheckLooks(t *testing.T) {
	h := around(func(*broken) {})
	for _, c := range checks() {
		if c.needs != nil && c.needs(h) != "" {
			continue
		}
		r := perform(t, h, c)
		for _, p := range r.problems {
			t.Errorf("%s: %s", c.name, p)
		}
		if r.looked == 0 {
			t.Errorf("%s: looked at nothing", c.name)
		}
	}
}

func TestBrokenStoresAreCaught(t *testing.T) {
	for _, parts := range [][]breakage{journalBreakages, keptBreakages, agendaBreakages, sharedBreakages} {
		for _, b := range parts {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				for _, c := range checks() {
					h := around(b.bend)
					if c.needs != nil && c.needs(h) != "" {
						continue
					}
					if r := perform(t, h, c); len(r.problems) > 0 {
						if strings.Contains(r.problems[0], "panicked") {
							t.Errorf("%s: %s; the copy must be wrong, not crash", c.name, r.problems[0])
						}
						t.Logf("caught by %q: %s", c.name, r.problems[0])
						return
					}
				}
				t.Error("the suite found nothing wrong with it")
			})
		}
	}
}

func TestACheckThatLooksAtNothingIsAViolation(t *testing.T) {
	r := perform(t, around(func(*broken) {}), check{name: "empty", run: func(*run) {}})
	if len(r.problems) == 0 {
		t.Error("a check that looked at nothing passed")
	}
}

func TestAPanicOfTheStoreIsAViolation(t *testing.T) {
	h := around(func(b *broken) {
		b.heads = func(context.Context, []session.Key) ([]session.Head, error) { panic("at the disco") }
	})
	r := perform(t, h, journalChecks[0])
	if len(r.problems) != 1 || !strings.Contains(r.problems[0], "at the disco") {
		t.Errorf("problems %q, want the panic", r.problems)
	}
}
