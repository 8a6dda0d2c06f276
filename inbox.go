package agentkernel

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// An agent whose sessions are steered is told what the user says while it works. The message goes into the journal as a
// signal to the running turn, and the next model call of the turn hears it; the journal's record of that call says how
// many messages it was shown, so that a re-run shows the same ones. A turn cannot complete while there is a message that
// nobody has heard: the fold refuses it, the runner is called again, and goes on from its last answer.

// inbox is what the user said since the first heard messages, as far as the next model step is to hear it: all that the
// journal holds now, or what it heard when it was made.
func (t *Turn) inbox(ctx context.Context, heard int) (said []model.Message, err error) {
	if t.path != "" {
		return nil, nil
	}
	key := modelKey(t.models)
	err = t.look(ctx, func(s *session.Session) error {
		turn, err := t.owned(s)
		if err != nil {
			return err
		}
		upTo := len(turn.Messages)
		if st := turn.Step(key); st != nil && st.State == session.StepDone {
			upTo = st.Result.Heard
		}
		said, err = spoken(turn, heard, upTo)
		return err
	})
	return said, err
}

// unheard reports whether the user has said more than heard messages.
func (t *Turn) unheard(ctx context.Context, heard int) (more bool, err error) {
	if t.path != "" {
		return false, nil
	}
	err = t.look(ctx, func(s *session.Session) error {
		turn, err := t.owned(s)
		more = err == nil && len(turn.Messages) > heard
		return err
	})
	return more, err
}

// spoken decodes the messages of a turn from index from up to index to.
func spoken(t *session.Turn, from, to int) ([]model.Message, error) {
	if from >= to {
		return nil, nil
	}
	said := make([]model.Message, 0, to-from)
	for _, m := range t.Messages[from:min(to, len(t.Messages))] {
		var msg model.Message
		if err := json.Unmarshal(m.Input, &msg); err != nil {
			return nil, fault.New(fault.Corrupt, "", "a message to turn %s is not one: %w", t.ID, err)
		}
		said = append(said, msg)
	}
	return said, nil
}

// screens reports that the agent has hooks which see what the user says before it does: a message in mid-turn would pass
// them by.
func (a *Agent) screens() bool {
	return slices.ContainsFunc(a.Hooks, func(h Hook) bool { return h.Before != nil })
}

// steered reports whether any agent is.
func (k *Kernel) steered() bool {
	return slices.ContainsFunc(k.cfg.Agents, func(a *Agent) bool { return a.Busy == Steer })
}

// steer makes of a request for an agent a message to that agent's turn, if one is at work.
func (k *Kernel) steer(t *session.Turn, agent *Agent, a session.Request) (*session.Event, error) {
	if t == nil || t.State == session.Accepted || t.Cancel != nil || !a.RetryOf.IsZero() || t.Request.Agent != agent.Name || agent.screens() {
		return nil, nil
	}
	if len(t.Messages)-t.Heard >= agent.Limits.Queue {
		return nil, fault.New(fault.Limited, "", "the turn has %d messages that it has not heard, which is its limit", len(t.Messages)-t.Heard)
	}
	e := session.Event{Type: session.TurnSignaled, Turn: t.Ref, Signal: &session.Signal{
		Kind: session.SignalMessage, Input: a.Input, Key: a.Key, Digest: a.Digest, KeyUntil: a.KeyUntil,
	}}
	return &e, nil
}
