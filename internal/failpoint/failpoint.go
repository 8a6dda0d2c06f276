// Package failpoint names the places at which a process may die, stall or lose an answer, so that tests can enumerate
// all of them. A nil *Set, which is what production uses, does nothing.
//
// Every place is a constant in this file; a test finds the calls in the source and fails when a constant is never hit.
package failpoint

import "time"

// Name is a place in the kernel. "before" means that nothing of the effect has happened, "after" that all of it has but
// the kernel does not know yet.
type Name string

const (
	AppendBefore    Name = "append.before"    // a record is about to be sent to the store
	AppendAfter     Name = "append.after"     // the store committed it, the answer is on its way
	ModelBefore     Name = "model.before"     // a model is about to be called
	ModelAfter      Name = "model.after"      // it answered, nothing is journaled
	ToolBefore      Name = "tool.before"      // a tool is about to be dispatched, its intent is journaled if its class needs that
	ToolAfter       Name = "tool.after"       // it acted and answered, nothing is journaled
	StepBefore      Name = "step.before"      // a user's step is about to run
	StepAfter       Name = "step.after"       // it ran, nothing is journaled
	ReconcileBefore Name = "reconcile.before" // a tool is about to be asked what happened
	ReconcileAfter  Name = "reconcile.after"  // it said so, nothing is journaled
	BeatBefore      Name = "beat.before"      // the replica is about to show that it lives
	EraseBefore     Name = "erase.before"     // session.erased is journaled, nothing is deleted
	EraseAfter      Name = "erase.after"      // everything is deleted, nobody was told
)

// All lists every place.
var All = []Name{
	AppendBefore, AppendAfter, ModelBefore, ModelAfter, ToolBefore, ToolAfter, StepBefore, StepAfter,
	ReconcileBefore, ReconcileAfter, BeatBefore, EraseBefore, EraseAfter,
}

// Set decides what happens at the places of one kernel.
type Set struct {
	// On is called at every hit. It may block (a stall), never return (a crash, to everyone else), or return an
	// error: at AppendAfter that is a lost answer, elsewhere it is ignored.
	On func(Name) error
	// Clock, if set, is the clock of leases: the machine's does not follow the virtual time of a test.
	Clock func() time.Duration
}

// Hit says that the kernel is at a place.
func (s *Set) Hit(n Name) error {
	if s == nil || s.On == nil {
		return nil
	}
	return s.On(n)
}

// ClockOr is the set's clock, or the one that is used where there is none.
func (s *Set) ClockOr(other func() time.Duration) func() time.Duration {
	if s == nil || s.Clock == nil {
		return other
	}
	return s.Clock
}
