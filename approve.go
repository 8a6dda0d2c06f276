package agentkernel

import (
	"context"
	"iter"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Decision is a person's yes or no to what a turn asks.
type Decision struct {
	Step   string // empty when the turn asks one thing
	Digest string // of what the person was shown, as the Ask has it; empty leaves the check to the journal
	Note   string // told to the model with a no
}

// Approve says yes to a call that a turn waits with; once all that it asks is decided, the turn goes on.
func (k *Kernel) Approve(ctx context.Context, ref TurnRef, d Decision) (*Handle, error) {
	return nil, fault.New(fault.Internal, "", "not built yet")
}

// Deny says no; the model is told, with the note.
func (k *Kernel) Deny(ctx context.Context, ref TurnRef, d Decision) (*Handle, error) {
	return nil, fault.New(fault.Internal, "", "not built yet")
}

// SessionEvents tells what happens in a session from after the event with id after (empty: from now on), turn by turn,
// until ctx ends. The events are those of [Handle.Events], each with its turn's id in Data as turn_id.
func (k *Kernel) SessionEvents(ctx context.Context, key session.Key, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { yield(Event{}, fault.New(fault.Internal, "", "not built yet")) }
}
