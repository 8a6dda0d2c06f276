package scripted

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// AnyModel is the name under which Faults holds the faults of every model.
const AnyModel = "*"

// Faults are the faults of each model, by the model's name or [AnyModel]. A model's own faults are looked at first.
type Faults map[string][]Fault

// Fault makes chosen calls of Generate go wrong. Of several that match a call the first one acts; all of them count it.
type Fault struct {
	Contains string     `json:"contains,omitempty"`     // matches calls whose last user message contains this; empty: all
	Nth      int        `json:"nth,omitempty"`          // acts from the nth matching call on, counted from 1; 0: the first
	Times    int        `json:"times,omitempty"`        // acts on so many calls; 0: one if Nth is set, otherwise all
	Wait     Duration   `json:"wait,omitempty"`         // wait so long first
	Chunks   int        `json:"after_chunks,omitempty"` // then stream so many pieces of the true answer
	Block    bool       `json:"block,omitempty"`        // then hang until the call's context ends
	Kind     fault.Kind `json:"kind,omitempty"`         // or fail with this kind; empty: go on and answer
	After    Duration   `json:"retry_after,omitempty"`  // the hint that the failure carries
}

// check says everything that is wrong with f.
func (f Fault) check() error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(f.Nth < 0, "nth: %d is less than 0", f.Nth)
	bad(f.Times < 0, "times: %d is less than 0", f.Times)
	bad(f.Chunks < 0, "after_chunks: %d is less than 0", f.Chunks)
	bad(f.Wait < 0, "wait: is less than 0")
	bad(f.After < 0, "retry_after: is less than 0")
	bad(f.Kind != "" && !slices.Contains(fault.Kinds(), f.Kind), "kind: %q is not a kind of failure", f.Kind)
	bad(f.Block && f.Kind != "", "kind: a call that blocks ends only as cancelled")
	bad(f.After > 0 && f.Kind == "", "retry_after: means nothing without a kind")
	bad(f.Chunks > 0 && f.Kind == "" && !f.Block, "after_chunks: means nothing without a kind or block")
	bad(f.Wait == 0 && f.Kind == "" && !f.Block, "has no effect: give it a kind, block or wait")
	return errors.Join(errs...)
}

// counter applies Faults; it is the only state of this package.
type counter struct {
	mu     sync.Mutex
	faults Faults
	seen   map[string][]int
}

func newCounter(faults Faults) (*counter, error) {
	var errs []error
	c := &counter{faults: Faults{}, seen: map[string][]int{}}
	for name, list := range faults {
		for i, f := range list {
			if err := f.check(); err != nil {
				errs = append(errs, fmt.Errorf("faults[%q][%d].%w", name, i, err))
			}
		}
		c.faults[name] = slices.Clone(list)
		c.seen[name] = make([]int, len(list))
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, fault.New(fault.Config, "scripted.New", "%w", errors.Join(errs...))
	}
	return c, nil
}

// next counts a call and returns the fault that it meets, the zero Fault if none.
func (c *counter) next(req *model.Request) Fault {
	if len(c.faults) == 0 {
		return Fault{}
	}
	s, _, _ := situation(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	var hit *Fault
	names := []string{req.Model, AnyModel}
	if req.Model == AnyModel {
		names = names[:1]
	}
	for _, name := range names {
		for i := range c.faults[name] {
			f := &c.faults[name][i]
			if !strings.Contains(s.text, f.Contains) {
				continue
			}
			c.seen[name][i]++
			if hit == nil && f.acts(c.seen[name][i]) {
				hit = f
			}
		}
	}
	if hit == nil {
		return Fault{}
	}
	return *hit
}

func (f *Fault) acts(n int) bool {
	from := max(f.Nth, 1)
	times := f.Times
	if times == 0 && f.Nth > 0 {
		times = 1
	}
	return n >= from && (times == 0 || n < from+times)
}
