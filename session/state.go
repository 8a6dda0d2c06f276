package session

// TurnState is where a turn stands.
type TurnState string

// The states of a turn. The last three are terminal.
const (
	Accepted  TurnState = "accepted"  // durable, and in the queue
	Running   TurnState = "running"   // its time has come, whether or not it has an owner just now
	Waiting   TurnState = "waiting"   // for a signal or a time; nobody owns it
	Completed TurnState = "completed" // it has a reply
	Failed    TurnState = "failed"    // it has a failure
	Cancelled TurnState = "cancelled" // it has neither
)

// Ended reports whether the state is terminal.
func (s TurnState) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

// Valid reports whether there is such a state.
func (s TurnState) Valid() bool {
	switch s {
	case Accepted, Running, Waiting, Completed, Failed, Cancelled:
		return true
	}
	return false
}

// Transition is one row of the state table. From is empty for the turn's beginning.
type Transition struct {
	From TurnState
	On   Trigger
	To   TurnState
}

// Trigger is what moves a turn: an event's type or, where one type does several things, a narrower name.
type Trigger string

const (
	onAccept   = Trigger(TurnAccepted)
	onClaim    = Trigger(SessionClaimed) // the turn is first in the queue of a session that has an owner
	onWait     = Trigger(TurnWaiting)
	onSignal   = Trigger(TurnSignaled) // a signal that only leaves word
	onResume   = Trigger("turn.signaled:resume")
	onResolve  = Trigger(StepResolved)
	onStep     = Trigger("step.*") // progress
	onComplete = Trigger(TurnCompleted)
	onFail     = Trigger(TurnFailed)
	onCancel   = Trigger(TurnCancelled)
)

// Transitions is the whole state table: what is not in it does not happen, and a journal that says so is corrupt.
var Transitions = []Transition{
	{"", onAccept, Accepted},

	{Accepted, onClaim, Running},
	{Accepted, onSignal, Accepted},
	{Accepted, onCancel, Cancelled},
	{Accepted, onFail, Failed}, // its agent is gone, or it waited too long

	{Running, onClaim, Running}, // taken over
	{Running, onStep, Running},
	{Running, onResolve, Running},
	{Running, onSignal, Running},
	{Running, onWait, Waiting},
	{Running, onComplete, Completed},
	{Running, onFail, Failed},
	{Running, onCancel, Cancelled},

	{Waiting, onSignal, Waiting},
	{Waiting, onResume, Running},
	{Waiting, onResolve, Running}, // it waited for that
	{Waiting, onFail, Failed},     // discarded, or the wait reached its end
	{Waiting, onStep, Waiting},
	{Waiting, onCancel, Cancelled},
}

type tableKey struct {
	from TurnState
	on   Trigger
}

var table = func() map[tableKey]TurnState {
	m := make(map[tableKey]TurnState, len(Transitions))
	for _, t := range Transitions {
		m[tableKey{t.From, t.On}] = t.To
	}
	return m
}()

// next is the state after trigger on, and whether the table has such a row.
func (s TurnState) next(on Trigger) (TurnState, bool) {
	to, ok := table[tableKey{s, on}]
	return to, ok
}

// StepState is where a step stands.
type StepState string

// The states of a step.
const (
	StepOpen    StepState = "open"     // it may be dispatched: never started, or resolved so
	StepBegun   StepState = "started"  // dispatched, or about to be, by the epoch of its Start
	StepUnclear StepState = "in_doubt" // dispatched, outcome unknown
	StepDone    StepState = "done"     // its result is in the journal
)
