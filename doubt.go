package agentkernel

import (
	"context"
	"fmt"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
)

// A call in doubt was dispatched, or may have been, and nobody recorded what came of it. What follows depends on what it
// may do.
//
//   - A read-only or idempotent call is dispatched again, with the same key.
//   - An at-most-once call is recorded as in doubt, and its reconcile hook is asked. "It happened" completes the step.
//     "It did not happen" is believed if the hook also refuses the key from then on, or if the hook was asked so late
//     that the call cannot still be on its way: its time-out and one lease TTL after this replica first saw it.
//   - A call that did not happen is dispatched again if the tool declares that it refuses duplicates or stale owners;
//     else the model is told, and may ask for it anew.
//   - A call nobody can tell about is dispatched again under the same condition, once; else the tool's policy decides.
//     A retry of a turn that failed for such a call asks, whatever the policy.

// firstAsk is how long the asker waits between two questions at first; the wait doubles up to maxAsk.
const (
	firstAsk = 500 * time.Millisecond
	maxAsk   = 5 * time.Second
)

// settle takes a call in doubt to a result, to another dispatch, or to a wait.
func (c *call) settle(ctx context.Context, why string) {
	if !c.once {
		c.dispatch(ctx)
		return
	}
	if c.step == nil || c.step.State != session.StepUnclear {
		e := c.t.event(session.StepInDoubt, c.key)
		e.Doubt = &session.Doubt{Why: why}
		if c.err = c.t.commit(working, []session.Event{e}); c.err != nil {
			return
		}
		c.t.k.obs.InDoubt(c.tool.Name)
	}
	if ctx.Err() != nil {
		c.err = context.Cause(ctx)
		return
	}
	found, err := c.inquire(ctx)
	if err != nil {
		c.err = err
		return
	}
	switch found.Outcome {
	case session.Happened:
		c.solve(session.Happened, "reconcile", found.Result, false)
	case session.DidNotHappen:
		if c.mayRepeat() {
			c.repeat(ctx, "reconcile")
			return
		}
		c.solve(session.DidNotHappen, "reconcile", "the call was interrupted and did not take place", true)
	default:
		c.byPolicy(ctx, why)
	}
}

// mayRepeat reports whether the tool keeps a second dispatch from having a second effect.
func (c *call) mayRepeat() bool { return c.tool.Refuses != RefusesNothing }

// inherited reports that the doubt comes from a turn that this one retries: whoever retried it can be asked.
func (c *call) inherited() bool {
	return c.t.root != c.t.id && c.step != nil && c.step.State == session.StepUnclear
}

// byPolicy decides about a call that nobody can tell about.
func (c *call) byPolicy(ctx context.Context, why string) {
	tried := c.repeated || c.step != nil && c.step.Solved != nil
	switch {
	case c.mayRepeat() && !tried:
		c.repeat(ctx, "policy")
	case c.tool.OnDoubt == Tell:
		c.solve(session.StaysUnknown, "policy", "it is not known whether the call took place: "+why, true)
	case c.tool.OnDoubt == FailTurn && !c.inherited():
		c.err = fault.New(fault.InDoubt, "", "it is not known whether %s took place: %s", c.tool.Name, why).
			WithTry("retry the turn: it will ask you what became of the call")
	default:
		c.err = c.t.rest(session.Wait{
			Reason: session.WaitInDoubt, Step: c.key,
			Detail: fmt.Sprintf("did %s take place? %s", c.tool.Name, why),
		})
	}
}

// solve records what became of the call.
func (c *call) solve(o session.Outcome, by, text string, isError bool) {
	c.result = c.t.spill(c.resultOf(text, isError))
	e := c.t.event(session.StepResolved, c.key)
	e.Resolved = &session.Resolution{Outcome: o, By: by, Value: mustJSON(c.result)}
	c.err = c.t.commit(working, []session.Event{e})
}

// repeat records that the call is dispatched again, with this owner's intent, and does it.
func (c *call) repeat(ctx context.Context, by string) {
	e := c.t.event(session.StepResolved, c.key)
	e.Resolved = &session.Resolution{Outcome: session.RunAgain, By: by, Note: "the tool refuses " + string(c.tool.Refuses)}
	if c.err = c.t.commit(working, []session.Event{e, c.start()}); c.err != nil {
		return
	}
	c.repeated = true
	c.step = nil
	c.dispatch(ctx)
}

// inquire asks the reconcile hook until it gives an answer that can be believed, or until it is clear that none comes.
func (c *call) inquire(ctx context.Context) (Finding, error) {
	unknown := Finding{Outcome: session.StaysUnknown}
	if c.tool.Reconcile == nil {
		return unknown, nil
	}
	seen := c.t.k.cfg.boot()
	late := c.tool.Timeout + c.t.k.cfg.LeaseTTL
	for wait := firstAsk; ; wait = min(2*wait, maxAsk) {
		asked := c.t.k.cfg.boot() - seen
		f := c.reconcile(ctx)
		switch {
		case ctx.Err() != nil:
			return unknown, context.Cause(ctx)
		case f.Outcome == session.Happened:
			return f, nil
		case f.Outcome == session.DidNotHappen && (f.Fenced || asked > late):
			return f, nil
		case asked > late:
			return unknown, nil
		}
		if left := late - asked; wait > left {
			wait = left + time.Millisecond
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return unknown, context.Cause(ctx)
		}
	}
}

// reconcile asks once. A hook that fails knows nothing.
func (c *call) reconcile(ctx context.Context) (f Finding) {
	ctx, cancel := context.WithTimeout(ctx, c.tool.Timeout)
	defer cancel()
	f = Finding{Outcome: session.StaysUnknown}
	defer func() {
		if p := recover(); p != nil {
			c.t.k.log.Error("a reconcile hook panicked", "tool", c.tool.Name, "panic", fmt.Sprintf("%T", p))
			f = Finding{Outcome: session.StaysUnknown}
		}
	}()
	_ = c.t.k.fp.Hit(failpoint.ReconcileBefore)
	found, err := c.tool.Reconcile(ctx, c.toolCall())
	_ = c.t.k.fp.Hit(failpoint.ReconcileAfter)
	if err != nil {
		c.t.k.log.Warn("a reconcile hook failed", "tool", c.tool.Name, "error", err)
		return f
	}
	return found
}
