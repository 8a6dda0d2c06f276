package session

import (
	"encoding/json"

	"github.com/agentkernel/agentkernel/fault"
)

// EventType names what happened.
type EventType string

// The types of events. The table in state.go says which of them may follow which.
const (
	TurnAccepted    EventType = "turn.accepted"    // a request was taken; the event's place names the turn
	SessionClaimed  EventType = "session.claimed"  // a replica became the owner
	SessionReleased EventType = "session.released" // the owner gave the session up at a step boundary
	StepStarted     EventType = "step.started"     // a call is about to be dispatched, and must not be twice
	StepCompleted   EventType = "step.completed"   // a step has its result
	StepInDoubt     EventType = "step.in_doubt"    // nobody recorded what became of a dispatched call
	StepResolved    EventType = "step.resolved"    // it was found out, or decided
	TurnWaiting     EventType = "turn.waiting"     // the turn rests until a signal or a time
	TurnSignaled    EventType = "turn.signaled"    // someone outside told the turn something
	StateSet        EventType = "state.set"        // the turn changed the session's state, as of its end
	TurnCompleted   EventType = "turn.completed"   // the turn has its reply
	TurnFailed      EventType = "turn.failed"      // the turn ended without one
	TurnCancelled   EventType = "turn.cancelled"   // the turn was ended from outside
	SessionCleared  EventType = "session.cleared"  // the session expired; what follows starts anew
	SessionErased   EventType = "session.erased"   // the session is to be deleted; nothing follows
)

// Millis is a time in milliseconds since 1970 UTC; 0 means none.
type Millis int64

// Event is one thing that happened. Type says which; exactly the payload that belongs to the type is set. Turn is set on
// turn.* and step.* events except turn.accepted, whose turn is named by the event's own place; Step on step.* events and
// on signals about a step.
type Event struct {
	Type EventType `json:"type"`
	Turn Ref       `json:"turn,omitzero"`
	Step string    `json:"step,omitempty"`

	Accepted *Request    `json:"accepted,omitempty"`
	Claim    *Claim      `json:"claim,omitempty"`
	Release  *Release    `json:"release,omitempty"`
	Start    *Start      `json:"start,omitempty"`
	Result   *StepResult `json:"result,omitempty"`
	Doubt    *Doubt      `json:"doubt,omitempty"`
	Resolved *Resolution `json:"resolved,omitempty"`
	Waiting  *Wait       `json:"waiting,omitempty"`
	Signal   *Signal     `json:"signal,omitempty"`
	Set      *Setting    `json:"set,omitempty"`
	Reply    *Reply      `json:"reply,omitempty"`
	Failure  *Failure    `json:"failure,omitempty"`
}

// Request is the request that a turn answers.
type Request struct {
	Agent    string          `json:"agent"`
	Input    json.RawMessage `json:"input"`               // what the user said
	Extra    json.RawMessage `json:"extra,omitempty"`     // further request fields, not for models
	Key      string          `json:"key,omitempty"`       // the client's idempotency key
	Digest   string          `json:"digest,omitempty"`    // of the request, as far as it must be equal under one key
	KeyUntil Millis          `json:"key_until,omitempty"` // how long the key is remembered
	RetryOf  Ref             `json:"retry_of,omitzero"`   // the ended turn whose steps this one inherits
}

// Claim makes a replica the owner.
type Claim struct {
	Replica string `json:"replica"`
	Epoch   uint64 `json:"epoch"`           // higher than every one before it in this life
	From    string `json:"from,omitempty"`  // the owner it was taken from, empty when there was none
	Cause   string `json:"cause,omitempty"` // why: "takeover", "resume"; empty for a new turn
}

// Release ends ownership at a step boundary.
type Release struct {
	Replica string `json:"replica"`
	Cause   string `json:"cause"` // "drain"
}

// StepKind is what a step does.
type StepKind string

// The kinds of steps.
const (
	ModelStep StepKind = "model" // asks a model
	ToolStep  StepKind = "tool"  // calls a tool
	UserStep  StepKind = "step"  // runs a function of the agent's own code
	AgentStep StepKind = "agent" // asks another agent, whose steps have keys below this one's
	FoldStep  StepKind = "fold"  // sums up the oldest part of the conversation
)

// Effect is what may happen to a tool call after a crash.
type Effect string

// The effect classes.
const (
	ReadOnly   Effect = "read_only"    // may be run again: it changes nothing
	Idempotent Effect = "idempotent"   // may be run again with the same key: the tool makes it one effect
	AtMostOnce Effect = "at_most_once" // is never run again unless it is known or declared to be safe
)

// Start is the intent to dispatch a tool call, journaled before it is dispatched.
type Start struct {
	Kind   StepKind        `json:"kind"`
	Name   string          `json:"name"`
	Args   json.RawMessage `json:"args,omitempty"`
	Effect Effect          `json:"effect"`
	Key    string          `json:"key"`   // the idempotency key the tool receives
	Epoch  uint64          `json:"epoch"` // only this epoch may dispatch it
}

// StepResult is what a step came to: a value, or an error.
type StepResult struct {
	Kind     StepKind        `json:"kind"`
	Name     string          `json:"name"`                // the model as configured, the tool, the user's name for it
	Digest   string          `json:"digest,omitempty"`    // of what was asked
	Value    json.RawMessage `json:"value,omitempty"`     // the answer, as its kind has it
	Error    *Failure        `json:"error,omitempty"`     // the error, instead of a value
	Attempts int             `json:"attempts,omitempty"`  // 1 unless tried again
	Model    string          `json:"model,omitempty"`     // the model that answered
	Input    int64           `json:"tokens_in,omitempty"` // tokens read
	Output   int64           `json:"tokens_out,omitempty"`
	TookMS   int64           `json:"took_ms,omitempty"` // how long the call took
	Healed   bool            `json:"healed,omitempty"`  // the call never ran; the record only closes it
	Diverged bool            `json:"diverged,omitempty"`
	Heard    int             `json:"heard,omitempty"`    // of a model step: messages that came in mid-turn and that it was shown
	Cost     int64           `json:"cost,omitempty"`     // of a model step, in millionths of a dollar
	Wrap     string          `json:"wrap,omitempty"`     // of a model step: the limit because of which it was asked to come to an end
	Summary  *Summary        `json:"summary,omitempty"`  // of a fold
	HandOff  string          `json:"hand_off,omitempty"` // of a call that handed the conversation over: the agent that has it now
}

// Summary stands for the oldest part of a conversation.
type Summary struct {
	Through Ref    `json:"through"` // the last turn that it covers
	Text    string `json:"text"`
	Dropped bool   `json:"dropped,omitempty"` // the part was left out, and Text only says so
}

// Doubt says why a dispatched call's outcome is not known.
type Doubt struct {
	Why string `json:"why"`
}

// Outcome is what was found out about a call in doubt.
type Outcome string

// What can be found out.
const (
	Happened     Outcome = "happened"      // it had its effect; Value is its result
	DidNotHappen Outcome = "not_happened"  // it had none and will have none
	RunAgain     Outcome = "run_again"     // it may be dispatched again
	StaysUnknown Outcome = "stays_unknown" // nobody can tell; the model is told so
)

// Resolution ends a doubt.
type Resolution struct {
	Outcome Outcome         `json:"outcome"`
	By      string          `json:"by"`              // "reconcile", "policy", or who said so
	Value   json.RawMessage `json:"value,omitempty"` // the step's value, unless it is run again
	Note    string          `json:"note,omitempty"`
}

// WaitReason says what a waiting turn waits for.
type WaitReason string

// What a turn may wait for.
const (
	WaitApproval    WaitReason = "approval"    // a person's yes or no
	WaitInDoubt     WaitReason = "in_doubt"    // a person's word about a call in doubt
	WaitTimer       WaitReason = "timer"       // a time
	WaitProvider    WaitReason = "provider"    // a provider that answers again
	WaitQuarantined WaitReason = "quarantined" // an operator, after takeovers without progress
)

// Wait is a turn's rest until a signal or a time.
type Wait struct {
	Reason WaitReason `json:"reason"`
	Step   string     `json:"step,omitempty"`   // the step that it is about
	Until  Millis     `json:"until,omitempty"`  // when it ends by itself
	Detail string     `json:"detail,omitempty"` // for a person
	Asks   []Ask      `json:"asks,omitempty"`   // of an approval: what is to be decided, call by call
}

// Ask is one question to a person: may this be done? The answer holds for exactly these arguments.
type Ask struct {
	Step   string          `json:"step"`
	Name   string          `json:"name"` // of the tool, or what the agent's code calls the question
	Args   json.RawMessage `json:"args,omitempty"`
	Digest string          `json:"digest"`          // of name and arguments
	Roles  []string        `json:"roles,omitempty"` // who may answer; empty is every approver
	Until  Millis          `json:"until"`           // unanswered by then, it is denied
}

// SignalKind is what someone outside tells a turn.
type SignalKind string

// What a turn can be told.
const (
	SignalCancel  SignalKind = "cancel"  // end; the owner does, as soon as it reads this
	SignalResolve SignalKind = "resolve" // a call in doubt is resolved, by an event of its own
	SignalRelease SignalKind = "release" // run again after the quarantine
	SignalDiscard SignalKind = "discard" // end instead of running again
	SignalExpire  SignalKind = "expire"  // the wait reached its end
	SignalApprove SignalKind = "approve" // what the step asks for may be done, once
	SignalDeny    SignalKind = "deny"    // it may not, or nobody answered in time
	SignalWake    SignalKind = "wake"    // the time that a sleeping turn waits for has come
	SignalMessage SignalKind = "message" // the user says more to the turn that is running
)

// Signal is a word from outside to a turn.
type Signal struct {
	Kind SignalKind `json:"kind"`
	By   string     `json:"by,omitempty"`
	Note string     `json:"note,omitempty"`

	Digest   string          `json:"digest,omitempty"`    // of what is approved or denied; of the request that brought a message
	Input    json.RawMessage `json:"input,omitempty"`     // the message
	Key      string          `json:"key,omitempty"`       // the idempotency key of the request that brought it
	KeyUntil Millis          `json:"key_until,omitempty"` // how long that key is remembered
}

// Setting is one change of the session's key-value state; a null value removes the name.
type Setting struct {
	Name  string          `json:"name"`
	Path  string          `json:"path,omitempty"` // of the step within which it was made
	Value json.RawMessage `json:"value"`
}

// Reply is a turn's answer.
type Reply struct {
	Text  string          `json:"text"`
	Value json.RawMessage `json:"value,omitempty"` // structured output

	Degraded []Degraded `json:"degraded,omitempty"` // in what it is less than what was asked for
}

// Degraded says in what a reply is less than it would be on a good day, and why.
type Degraded struct {
	What string `json:"what"` // as limits.steps
	Why  string `json:"why"`
}

// Failure is why a step or a turn failed; its texts are safe to show.
type Failure struct {
	Kind    fault.Kind `json:"kind"`
	Message string     `json:"message"`
	Step    string     `json:"step,omitempty"`
	AfterMS int64      `json:"after_ms,omitempty"` // the hint when to try again, in milliseconds
}
