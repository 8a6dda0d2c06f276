package agentkernel

import (
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Observer is told what happens, for metrics. Its methods are called from many goroutines and must be quick.
type Observer interface {
	// TurnAccepted: a turn is durable.
	TurnAccepted(agent string)
	// TurnEnded: a turn that ran here ended; kind is empty unless it failed; took is this run's time.
	TurnEnded(agent string, state session.TurnState, kind fault.Kind, took time.Duration)
	// StepEnded: a call ended, recorded or not; kind is empty when it went well; tokens are those of a model's answer.
	StepEnded(agent string, kind session.StepKind, name string, failure fault.Kind, took time.Duration, tokensIn, tokensOut int64)
	// Appended: the store answered an append; err is nil, session.ErrConflict or trouble.
	Appended(took time.Duration, err error)
	// Claimed: this replica took a session that had unfinished work; cause is "takeover" or "resume".
	Claimed(cause string)
	// InDoubt: a call's outcome is unknown.
	InDoubt(tool string)
	// Wasted: a model's answer was paid for and could not be recorded, because the session was taken over.
	Wasted(agent string, tokens int64)
	// Diverged: a recorded answer stood although the question had changed.
	Diverged(agent string)
	// StoreRolledBack: the store lost records that this replica had seen.
	StoreRolledBack()
	// LostByStore: someone asked for a turn that the store no longer has.
	LostByStore()
}

type silent struct{}

func (silent) TurnAccepted(string)                                            {}
func (silent) TurnEnded(string, session.TurnState, fault.Kind, time.Duration) {}
func (silent) Appended(time.Duration, error)                                  {}
func (silent) Claimed(string)                                                 {}
func (silent) InDoubt(string)                                                 {}
func (silent) Wasted(string, int64)                                           {}
func (silent) Diverged(string)                                                {}
func (silent) StoreRolledBack()                                               {}
func (silent) LostByStore()                                                   {}
func (silent) StepEnded(string, session.StepKind, string, fault.Kind, time.Duration, int64, int64) {
}
