package sessiontest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// Nemesis hurts a store while clients use it, and has healed everything when it returns: it kills and starts again,
// freezes and thaws, cuts the network. It tells the [Course] of each fault. It must end when ctx does, which happens
// only when it takes too long.
type Nemesis func(ctx context.Context, c *Course)

// Course is a history in the making, as a [Nemesis] sees it. A nemesis waits for what the clients do, not for time to
// pass, so that faults last long enough on a slow machine too.
type Course struct {
	ctx context.Context
	r   *recorder
}

// Hurt notes that a fault begins now. The function it returns notes that it has ended; call both around what is done.
func (c *Course) Hurt(fault string) (healed func()) {
	s := &spell{fault: fault, begin: c.r.now(), end: forever}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.spells = append(c.r.spells, s)
	return func() {
		c.r.mu.Lock()
		defer c.r.mu.Unlock()
		s.end = c.r.now()
	}
}

// Ended waits until the clients' calls have ended n more times, whatever they answered.
func (c *Course) Ended(n int) { c.wait(n, func(r *HistoryReport) int { return r.Calls }) }

// Won waits until n more appends were acknowledged.
func (c *Course) Won(n int) { c.wait(n, func(r *HistoryReport) int { return r.Won }) }

// Failed waits until n more calls have failed: were not sent, have an unknown outcome, or are reads without an answer.
func (c *Course) Failed(n int) {
	c.wait(n, func(r *HistoryReport) int { return r.NotSent + r.Unknown + r.Failed })
}

// Clients is how many there are.
func (c *Course) Clients() int { return c.r.cfg.Clients }

func (c *Course) wait(n int, count func(*HistoryReport) int) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	for until := count(&c.r.report) + n; count(&c.r.report) < until; {
		if c.r.moved == nil {
			c.r.moved = make(chan struct{})
		}
		moved := c.r.moved
		c.r.mu.Unlock()
		select {
		case <-moved:
		case <-c.ctx.Done():
		}
		c.r.mu.Lock()
		if c.ctx.Err() != nil {
			return
		}
	}
}

// Histories is [RecordHistory] that logs the report and fails the test with the problems.
func Histories(tb testing.TB, open func(context.Context) (session.Store, error), nemesis Nemesis, cfg HistoryConfig) HistoryReport {
	tb.Helper()
	report := RecordHistory(tb.Context(), open, nemesis, cfg)
	tb.Log(report)
	for _, p := range report.Problems {
		tb.Error(p)
	}
	return report
}

// RecordHistory has clients work on a few sessions until the nemesis (nil: there is none) is done and enough calls were
// made, and checks that an order of the calls explains their answers. open is called once for each client before
// anything is hurt, and once more after everything is healed; all handles see the same data, in which no session has
// this run's ids. The report names every session without such an order, and says when the run has shown nothing: when
// too few appends were acknowledged, no call met a fault, or a handle did not recover.
func RecordHistory(ctx context.Context, open func(context.Context) (session.Store, error), nemesis Nemesis, cfg HistoryConfig) HistoryReport {
	r := newRecorder(cfg)
	clients := make([]*client, 0, r.cfg.Clients)
	defer func() {
		for _, c := range clients {
			_ = c.s.Close()
		}
	}()
	for n := range r.cfg.Clients {
		s, err := open(ctx)
		if err != nil {
			r.problem("client %d: open the store: %v", n, err)
			return r.report
		}
		clients = append(clients, r.client(n, s))
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.suffer(ctx, nemesis)
	}()
	r.work(ctx, clients, func(*client) bool {
		select {
		case <-over:
			return ctx.Err() != nil || r.enough()
		default:
			return false
		}
	})
	r.recover(ctx, clients)
	r.readAll(ctx, open)
	r.conclude(nemesis != nil)
	return r.report
}

// suffer lets the nemesis do its work.
func (r *recorder) suffer(ctx context.Context, nemesis Nemesis) {
	if nemesis == nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, r.cfg.Longest)
	defer cancel()
	nemesis(bounded, &Course{ctx: bounded, r: r})
	if bounded.Err() != nil {
		r.problem("the nemesis was not done after %s", r.cfg.Longest)
	}
}

// work has every client make calls until done.
func (r *recorder) work(ctx context.Context, clients []*client, done func(*client) bool) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			pace := newPace(r.cfg.Pace)
			defer pace.stop()
			for !done(c) {
				c.act(ctx)
				pace.wait(ctx)
			}
		})
	}
	wg.Wait()
}

// pace holds a client back.
type pace struct{ tick *time.Ticker }

func newPace(d time.Duration) pace {
	if d <= 0 {
		return pace{}
	}
	return pace{time.NewTicker(d)}
}

func (p pace) wait(ctx context.Context) {
	if p.tick == nil {
		runtime.Gosched() // else one client may do everything, where the store has nothing to wait for
		return
	}
	select {
	case <-p.tick.C:
	case <-ctx.Done():
	}
}

func (p pace) stop() {
	if p.tick != nil {
		p.tick.Stop()
	}
}

// recover has every client append to a session of its own through the handle that it had all the time.
func (r *recorder) recover(ctx context.Context, clients []*client) {
	healed := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Recovery)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range clients {
		key := session.Key{ID: fmt.Sprintf("%s-after-%d", r.name, c.n)}
		wg.Go(func() {
			pace := newPace(max(r.cfg.Pace, time.Millisecond))
			defer pace.stop()
			for !c.write(ctx, key) {
				if ctx.Err() != nil {
					r.problem("client %d: its handle did not append again within %s", c.n, r.cfg.Recovery)
					return
				}
				c.read(ctx, key, 0, 0)
				pace.wait(ctx)
			}
		})
	}
	wg.Wait()
	r.report.Recovered = time.Since(healed)
}

// readAll reads every session once more, through a fresh handle. A read that fails is tried again for a while.
func (r *recorder) readAll(ctx context.Context, open func(context.Context) (session.Store, error)) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Recovery)
	defer cancel()
	s, err := open(ctx)
	if err != nil {
		r.problem("open the store after everything: %v", err)
		return
	}
	defer s.Close()
	c := r.client(r.cfg.Clients, s)
	pace := newPace(20 * time.Millisecond)
	defer pace.stop()
	for _, key := range r.keys() {
		for !c.take(ctx, finishes, key, 0, 0) {
			if ctx.Err() != nil {
				r.problem("session %s cannot be read after everything: %v", key, c.last)
				return
			}
			pace.wait(ctx)
		}
	}
}

// conclude looks for an order in each session, and asks whether anything was shown.
func (r *recorder) conclude(hurt bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := &r.report
	rep.Sessions = len(r.ops)
	for _, key := range r.order {
		if ops := r.ops[key]; len(ops) > 0 {
			r.compare(ops)
			if p := explain(key, ops, r.cfg.Search); p != "" {
				rep.Unordered++
				rep.Problems = append(rep.Problems, p)
			}
		}
	}
	rep.Faults = map[string]int{}
	for _, s := range r.spells {
		rep.Faults[s.fault]++
	}
	rep.Struck = r.struck()
	if enough := r.cfg.AtLeast / 20; rep.Won < max(1, enough) || rep.Reads < max(1, enough) {
		rep.Problems = append(rep.Problems, fmt.Sprintf("of %d calls only %d were acknowledged appends and %d reads that answered: too little was checked", rep.Calls, rep.Won, rep.Reads))
	}
	if hurt && rep.Struck == 0 {
		rep.Problems = append(rep.Problems, fmt.Sprintf("no call met any of the %d faults: nothing was checked", len(r.spells)))
	}
}

// newRand is the source of one client's choices.
func newRand(seed uint64, client int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(client))) }
