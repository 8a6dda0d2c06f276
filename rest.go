package agentkernel

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// A turn that cannot go on without a person or before a time comes to rest. Calls that are under way beside the one that
// must wait are finished first, and their results recorded; then one event says what the turn waits for, and the replica
// lets go of the session. The signal that ends the wait makes the turn runnable again, here or elsewhere, and it is run
// from the top, with the journal's answers.
//
// Nobody who waits holds anything but the journal's record of it: not a goroutine, not a connection.

// errRest is the error with which everything between a step that must wait and the top of the turn gives way.
var errRest = errors.New("the turn waits")

// rest notes that the turn must wait. It comes to rest once the runner has returned, whatever it returns.
func (t *Turn) rest(w session.Wait) error {
	t.shared.Lock()
	defer t.shared.Unlock()
	t.wait = mergeWaits(t.wait, w)
	return errRest
}

func (t *Turn) resting() bool {
	t.shared.Lock()
	defer t.shared.Unlock()
	return t.wait != nil
}

// urgency orders reasons to wait: what is asked first when there are several.
var urgency = map[session.WaitReason]int{
	session.WaitQuarantined: 4, session.WaitInDoubt: 3, session.WaitApproval: 2, session.WaitTimer: 1,
}

// mergeWaits is the one wait of a turn that has two. Approvals are asked for together; of anything else the more urgent
// one is asked first, and the other one when the turn comes to it again.
func mergeWaits(a *session.Wait, b session.Wait) *session.Wait {
	if a == nil {
		return &b
	}
	if a.Reason == session.WaitApproval && b.Reason == session.WaitApproval {
		a.Asks = append(a.Asks, b.Asks...)
		a.Until = min(a.Until, b.Until)
		return a
	}
	if urgency[b.Reason] > urgency[a.Reason] {
		return &b
	}
	return a
}

// settleDown puts the turn to rest. A cancel that the fold holds comes first.
func (t *Turn) settleDown() error {
	t.shared.Lock()
	w := *t.wait
	t.shared.Unlock()
	longest := now() + millis(t.k.cfg.WaitMax)
	if w.Until == 0 || w.Until > longest {
		w.Until = longest
	}
	slices.SortFunc(w.Asks, func(a, b session.Ask) int { return strings.Compare(a.Step, b.Step) })
	e := t.event(session.TurnWaiting, "")
	e.Waiting = &w
	events := t.take()
	if err := t.commit(claiming, append(events[:len(events):len(events)], e)); err != nil {
		t.add(events...)
		return err
	}
	t.k.obs.Rested(t.agent.Name, w.Reason)
	if w.Reason == session.WaitTimer {
		time.AfterFunc(time.Duration(max(0, w.Until-now()))*time.Millisecond, t.k.sweepSoon)
	}
	return nil
}

// Sleep lets d pass. The turn rests meanwhile: it survives the process, and counts as waiting, not running. It wakes up
// within one sweep interval of its time. d may not be longer than the kernel's WaitMax.
func (t *Turn) Sleep(ctx context.Context, d time.Duration) error {
	key := t.path + "z" + strconv.Itoa(t.sleeps)
	t.sleeps++
	if d > t.k.cfg.WaitMax {
		return fault.New(fault.Budget, "", "a sleep of %s is longer than a turn may wait, %s", d, t.k.cfg.WaitMax)
	}
	st, err := t.recorded(ctx, key)
	if err != nil || d <= 0 || st != nil && st.Word != nil {
		return err
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	return t.rest(session.Wait{Reason: session.WaitTimer, Step: key, Until: now() + millis(d), Detail: "until its time comes"})
}

// awake ends a sleep whose time has come.
func (k *Kernel) awake(s *session.Session, t *session.Turn, d *draft) []session.Event {
	e := signal(t, session.SignalWake, k.id, "")
	e.Step = t.Wait.Step
	events := []session.Event{e}
	if s.Owner == "" && k.mayClaim() {
		events = append(events, k.claim(s, d, "resume"))
	}
	return events
}
