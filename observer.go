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
	// Spent: a model's answer cost so many dollars, by the configured prices.
	Spent(agent, model string, dollars float64)
	// Rested: a turn came to wait.
	Rested(agent string, reason session.WaitReason)
	// Decided: a question to a person was answered: "approve", "deny", or "expired" when nobody did.
	Decided(outcome string)
	// Degraded: a reply is less than what was asked for; what is as in session.Degraded.
	Degraded(agent, what string)
	// Diverged: a recorded answer stood although the question had changed.
	Diverged(agent string)
	// StoreRolledBack: the store lost records that this replica had seen, and so many of them were put back.
	StoreRolledBack(putBack int)
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
func (silent) StoreRolledBack(int)                                            {}
func (silent) Spent(string, string, float64)                                  {}
func (silent) Rested(string, session.WaitReason)                              {}
func (silent) Decided(string)                                                 {}
func (silent) Degraded(string, string)                                        {}
func (silent) LostByStore()                                                   {}
func (silent) StepEnded(string, session.StepKind, string, fault.Kind, time.Duration, int64, int64) {
}
