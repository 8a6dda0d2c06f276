package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Method names a method of session.Store.
type Method string

// Methods of session.Store that [Faulty] counts and can make fail.
const (
	Append      Method = "Append"
	Read        Method = "Read"
	Heads       Method = "Heads"
	Erase       Method = "Erase"
	Due         Method = "Due"
	Beat        Method = "Beat"
	Replicas    Method = "Replicas"
	Leave       Method = "Leave"
	PutSnapshot Method = "PutSnapshot"
	GetSnapshot Method = "Snapshot"
	Trim        Method = "Trim"
	PutBlob     Method = "PutBlob"
	GetBlob     Method = "Blob"
	BlobList    Method = "BlobList"
	DropBlob    Method = "DropBlob"
	PutHint     Method = "PutHint"
	Hints       Method = "Hints"
	List        Method = "List"
	Tenants     Method = "Tenants"
	Meta        Method = "Meta"
	Raise       Method = "RaiseGeneration"
)

// ErrInjected is wrapped by every error that [Faulty] makes up.
var ErrInjected = errors.New("injected fault")

// Fault is what happens to one call. The zero Fault lets it pass.
type Fault struct {
	kind  faultKind
	gate  <-chan struct{}
	delay time.Duration
	err   error
}

type faultKind int

const (
	pass faultKind = iota
	notSent
	vanish
	lose
	late
	block
	wait
	fail
)

// Pass lets the call through. It holds a place in a script.
func Pass() Fault { return Fault{} }

// NotSent refuses the call before it reaches the store: the error wraps session.ErrNotSent.
func NotSent() Fault { return Fault{kind: notSent} }

// Vanish drops the call and answers that its outcome is unknown.
func Vanish() Fault { return Fault{kind: vanish} }

// Lose performs the call, and then answers that its outcome is unknown.
func Lose() Fault { return Fault{kind: lose} }

// Late answers at once that the outcome is unknown, and performs the call when release is closed. [Faulty.Settle] waits
// until it has been performed. The call is forgotten when the wrapper is closed first.
func Late(release <-chan struct{}) Fault { return Fault{kind: late, gate: release} }

// Block holds the call back until release is closed, and then performs it. When the context ends first, the call has
// not been sent.
func Block(release <-chan struct{}) Fault { return Fault{kind: block, gate: release} }

// Delay performs the call after d. When the context ends first, the call has not been sent.
func Delay(d time.Duration) Fault { return Fault{kind: wait, delay: d} }

// Fail answers with err and performs nothing.
func Fail(err error) Fault { return Fault{kind: fail, err: err} }

// Faulty is a store that does what its script says. It is safe for concurrent use.
type Faulty struct {
	inner session.Store

	mu      sync.Mutex
	script  map[Method][]Fault
	always  map[Method]Fault
	decide  func(Method, session.Key) Fault
	counts  map[Method]int
	pending sync.WaitGroup // late calls
	closing chan struct{}
	closed  bool
}

var (
	_ session.Store   = (*Faulty)(nil)
	_ session.Watcher = (*Faulty)(nil)
)

// NewFaulty wraps inner. Without a script every call passes.
func NewFaulty(inner session.Store) *Faulty {
	return &Faulty{
		inner:   inner,
		script:  map[Method][]Fault{},
		always:  map[Method]Fault{},
		counts:  map[Method]int{},
		closing: make(chan struct{}),
	}
}

// Next adds faults to the script of m: the next calls of m meet them, one each, in order.
func (f *Faulty) Next(m Method, faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script[m] = append(f.script[m], faults...)
}

// Always lets every call of the methods meet fault once their scripts are used up; [Pass] ends it. Without methods it
// means all of them, which is what a store that is down looks like.
func (f *Faulty) Always(fault Fault, methods ...Method) {
	if len(methods) == 0 {
		methods = allMethods
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range methods {
		f.always[m] = fault
	}
}

// Decide has each call that no script and no Always is about decided by decide, for seeded simulations. The key is zero
// where a method has none, and the first one for Heads. It is called by one goroutine at a time.
func (f *Faulty) Decide(decide func(Method, session.Key) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide = decide
}

// Count is how often the methods were called since the last [Faulty.Reset], whatever became of the calls; without
// methods, all of them together.
func (f *Faulty) Count(methods ...Method) (n int) {
	if len(methods) == 0 {
		methods = allMethods
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range methods {
		n += f.counts[m]
	}
	return n
}

// Reset sets the counters to 0 and leaves the faults.
func (f *Faulty) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.counts)
}

// Settle waits until every [Late] call was performed. It blocks while one is not released.
func (f *Faulty) Settle() { f.pending.Wait() }

var allMethods = []Method{
	Append, Read, Heads, Erase, Due, Beat, Replicas, Leave, PutSnapshot, GetSnapshot, Trim,
	PutBlob, GetBlob, BlobList, DropBlob, PutHint, Hints, List, Meta, Raise,
}

// next counts a call and picks what happens to it.
func (f *Faulty) next(m Method, key session.Key) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[m]++
	if q := f.script[m]; len(q) > 0 {
		f.script[m] = q[1:]
		return q[0]
	}
	if a, ok := f.always[m]; ok && a.kind != pass {
		return a
	}
	if f.decide != nil {
		return f.decide(m, key)
	}
	return Fault{}
}

// call carries out one call of m, with do as the real one.
func (f *Faulty) call(ctx context.Context, m Method, key session.Key, do func(context.Context) error) error {
	flt := f.next(m, key)
	op := "sessiontest." + string(m)
	unknown := &fault.Error{Op: op, Kind: fault.OutcomeUnknown, Err: ErrInjected}
	switch flt.kind {
	case notSent:
		return &fault.Error{Op: op, Kind: fault.Unavailable, Err: fmt.Errorf("%w: %w", session.ErrNotSent, ErrInjected)}
	case vanish:
		return unknown
	case fail:
		return flt.err
	case lose:
		if err := do(ctx); errors.Is(err, session.ErrNotSent) {
			return err // it never got there, so there is no answer to lose
		}
		return unknown
	case late:
		if err := f.later(ctx, flt.gate, do); err != nil {
			return err
		}
		return unknown
	case block:
		if err := held(ctx, op, flt.gate); err != nil {
			return err
		}
	case wait:
		timer := time.NewTimer(flt.delay)
		defer timer.Stop()
		if err := held(ctx, op, timer.C); err != nil {
			return err
		}
	}
	return do(ctx)
}

// held waits for gate or the end of ctx.
func held[T any](ctx context.Context, op string, gate <-chan T) error {
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return &fault.Error{Op: op, Kind: fault.KindOf(ctx.Err()), Err: fmt.Errorf("%w: %w", session.ErrNotSent, ctx.Err())}
	}
}

// later performs do when gate opens, unless the wrapper is closed before.
func (f *Faulty) later(ctx context.Context, gate <-chan struct{}, do func(context.Context) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return &fault.Error{Kind: fault.Unavailable, Err: fmt.Errorf("%w: the store is closed", session.ErrNotSent)}
	}
	f.pending.Go(func() {
		select {
		case <-gate:
			_ = do(context.WithoutCancel(ctx)) // nobody is left to hear of it
		case <-f.closing:
		}
	})
	return nil
}
