package kerneltest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// world is one run: a store, the replicas over it, and what the tools were asked to do.
type world struct {
	l      *lab
	report report
	store  *memory.Store
	began  time.Time
	reqs   []agentkernel.Request

	mu    sync.Mutex
	calls []*calls
	again bool // a person had a call made again
}

// calls are the dispatches of one call.
type calls struct {
	tool   *agentkernel.Tool
	key    string
	number int
	done   bool // one of them returned a result
}

func (c *calls) effect() session.Effect { return cmp.Or(c.tool.Effect, session.AtMostOnce) }

const defaultSession = "kerneltest"

func (l *lab) world(r report) *world {
	w := &world{l: l, report: r, store: memory.New(), began: time.Now().Add(-time.Hour)}
	for i, req := range l.a.Turns {
		if req.Session == "" {
			req.Session = defaultSession
		}
		if req.Key == "" {
			req.Key = fmt.Sprint("kerneltest-", i+1)
		}
		w.reqs = append(w.reqs, req)
	}
	if l.a.Reset != nil {
		l.a.Reset()
	}
	return w
}

func (w *world) context() (context.Context, context.CancelFunc) {
	limit := realLimit
	if w.l.virtual {
		limit = virtualLimit
	}
	return context.WithTimeout(context.Background(), limit)
}

// undisturbed runs the conversation on one replica. The outcome is nil when that did not work.
func (w *world) undisturbed() (*Outcome, []failpoint.Name) {
	ctx, cancel := w.context()
	defer cancel()
	r, err := w.open(place{})
	if err != nil {
		w.report("the agent cannot be opened: %v", err)
		return nil, nil
	}
	o, err := w.finish(ctx, r)
	r.stop()
	if err != nil {
		w.report("without any crash: %v", err)
		return nil, nil
	}
	w.observe(o)
	return o, r.hits
}

// disturbed runs the conversation with a crash, and compares.
func (w *world) disturbed(at place, want *Outcome) {
	ctx, cancel := w.context()
	defer cancel()
	first, err := w.open(at)
	if err != nil {
		w.report("the agent cannot be opened: %v", err)
		return
	}
	gone := make(chan struct{})
	go func() { // the client of the first replica; what it hears from a dying one does not matter
		defer close(gone)
		_ = w.talk(ctx, first)
	}()
	select {
	case <-first.struck:
	case <-gone: // calls that end together may pass a place less often than before
		if at.mode == crash && !first.isDead() {
			w.l.missed++
		}
	}
	second, err := w.open(place{})
	if err != nil {
		w.report("the agent cannot be opened a second time: %v", err)
		first.stop()
		return
	}
	got, err := w.finish(ctx, second)
	cancel()
	first.stop()
	<-gone
	second.stop()
	if err != nil {
		w.report("%s. After that, %v", at, err)
		return
	}
	w.observe(got)
	if w.excused(at) {
		w.l.loose++
	} else if d := diff(want, got); d != "" {
		w.report("%s. That changed the outcome (- undisturbed, + with the crash):\n%s%s", at, d, w.repeated())
	}
	if v := w.acted(); v != "" {
		w.report("%s. %s", at, v)
	}
}

// finish has the whole conversation and reads what came of it.
func (w *world) finish(ctx context.Context, r *replica) (*Outcome, error) {
	if err := w.talk(ctx, r); err != nil {
		return nil, err
	}
	return w.outcome(ctx, r)
}

// talk sends the requests one after the other, each when the one before has ended.
func (w *world) talk(ctx context.Context, r *replica) error {
	for i, req := range w.reqs {
		if err := w.turn(ctx, r, req); err != nil {
			return fmt.Errorf("turn %d (%.60q): %w", i+1, req.Prompt, err)
		}
	}
	return nil
}

// maxWaits bounds how often one turn may ask.
const maxWaits = 100

func (w *world) turn(ctx context.Context, r *replica, req agentkernel.Request) error {
	for range maxWaits {
		h, err := r.Start(ctx, req)
		if err != nil {
			return fmt.Errorf("the request was refused: %w", err)
		}
		i, err := h.Settle(ctx)
		if err != nil {
			return fmt.Errorf("it does not end: %w", err)
		}
		if i.State.Ended() {
			return nil
		}
		if err := w.answer(ctx, r, req.Tenant, i); err != nil {
			return err
		}
	}
	return fmt.Errorf("it asked %d times and did not end", maxWaits)
}

// answer speaks for the person that a turn waits for.
func (w *world) answer(ctx context.Context, r *replica, tenant string, i *agentkernel.TurnInfo) error {
	wait := i.Waiting
	var word Word
	switch {
	case wait == nil:
		return fmt.Errorf("it is %s and waits for nothing", i.State)
	case wait.Reason == session.WaitTimer || wait.Reason == session.WaitProvider:
		select {
		case <-time.After(max(time.Until(time.UnixMilli(int64(wait.Until))), 0) + 100*time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case wait.Reason != session.WaitApproval && wait.Reason != session.WaitInDoubt:
		return fmt.Errorf("it waits (%s): %s", wait.Reason, wait.Detail)
	case w.l.a.Decide != nil:
		word = w.l.a.Decide(i)
	case wait.Reason == session.WaitApproval:
		word = Approve()
	}
	if word.verb == silent {
		return fmt.Errorf("it waits for a person (%s, step %s): %s; give the tool a reconcile hook, or let Decide answer", wait.Reason, wait.Step, wait.Detail)
	}
	ref := agentkernel.TurnRef{Tenant: tenant, ID: i.ID, By: "kerneltest"}
	if word.verb == resolve {
		if word.outcome == session.RunAgain {
			w.mu.Lock()
			w.again = true
			w.mu.Unlock()
		}
		_, err := r.Resolve(ctx, ref, agentkernel.Resolution{Step: wait.Step, Outcome: word.outcome, Result: word.text})
		return err
	}
	say := r.Approve
	if word.verb == deny {
		say = r.Deny
	}
	for _, ask := range wait.Asks {
		if _, err := say(ctx, ref, agentkernel.Decision{Step: ask.Step, Digest: ask.Digest, Note: word.text}); err != nil {
			return err
		}
	}
	return nil
}

// dispatched notes that a call is made.
func (w *world) dispatched(t *agentkernel.Tool, c agentkernel.ToolCall) *calls {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.calls, func(o *calls) bool { return o.key == c.Key })
	if i < 0 {
		i = len(w.calls)
		w.calls = append(w.calls, &calls{tool: t, key: c.Key})
	}
	w.calls[i].number++
	return w.calls[i]
}

// returned notes what a call returned.
func (w *world) returned(c *calls, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.done = c.done || err == nil
}

// acted is what at-most-once tools were asked to do that they must not be, empty if there is nothing.
func (w *world) acted() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.effect() == session.AtMostOnce && c.number > 1 && c.tool.Refuses == agentkernel.RefusesNothing && !w.again {
			return fmt.Sprintf("The at-most-once tool %s was dispatched %d times with key %s.", c.tool.Name, c.number, c.key)
		}
	}
	return ""
}

// repeated names the calls that were made more than once: where effects differ, one of them is a likely cause.
func (w *world) repeated() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, c := range w.calls {
		if c.number > 1 {
			fmt.Fprintf(&b, "\n%s, declared %s, was called %d times with one key: it must do no more than once.", c.tool.Name, c.effect(), c.number)
		}
	}
	return b.String()
}
