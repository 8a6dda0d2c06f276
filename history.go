package agentkernel

import (
	"encoding/json"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// told is a journal's conversation, decoded once: turns that have ended do not change, but for one that a retry takes the
// place of.
type told struct {
	of       *session.Session
	retries  int
	folds    int
	turns    int // of the session's turns, so many are in spans
	spans    []span
	messages []model.Message
}

// span is one turn's part of the messages.
type span struct {
	turn   session.Ref
	end    int // index behind its last message
	tokens int // estimated
}

// history is the conversation of the turns that have ended before the current one, oldest first. A turn that never ran,
// or that a retry took the place of, is not in it. The messages are not to be changed.
func (h *told) history(s *session.Session) ([]model.Message, error) {
	if h.of != s || h.retries != s.Retries || h.folds != s.Folds || h.turns > len(s.Turns) {
		*h = told{of: s, retries: s.Retries, folds: s.Folds}
	}
	for ; h.turns < len(s.Turns) && s.Turns[h.turns].State.Ended(); h.turns++ {
		t := s.Turns[h.turns]
		if t.Retried || t.StartedAt == 0 {
			continue
		}
		messages, err := transcript(t)
		if err != nil {
			return nil, err
		}
		h.messages = append(h.messages, messages...)
		h.spans = append(h.spans, span{turn: t.Ref, end: len(h.messages), tokens: tokens(messages)})
	}
	return h.messages[:len(h.messages):len(h.messages)], nil
}

// after is the conversation behind a turn.
func (h *told) after(s *session.Session, through session.Ref) ([]model.Message, error) {
	messages, err := h.history(s)
	first := 0
	for _, sp := range h.spans {
		if !through.Less(sp.turn) {
			first = sp.end
		}
	}
	return messages[first:], err
}

// olderHalf is the part of a conversation that must go, because it has more turns or tokens than may be shown: through
// which turn, and its messages; none when it is short enough. At least one turn stays.
func (h *told) olderHalf(s *session.Session, turns, tokens int) (session.Ref, []model.Message, error) {
	messages, err := h.history(s)
	if err != nil {
		return session.Ref{}, nil, err
	}
	sum := 0
	for _, sp := range h.spans {
		sum += sp.tokens
	}
	if len(h.spans) < turns && len(s.Turns) < 2*turns && sum <= tokens {
		return session.Ref{}, nil, nil
	}
	gone := 0
	for i, sp := range h.spans {
		gone += sp.tokens
		if i >= len(h.spans)-2 || 2*(i+1) >= len(h.spans) && 2*gone >= sum {
			if i == len(h.spans)-1 {
				break // it is the only one
			}
			return sp.turn, messages[:sp.end], nil
		}
	}
	if n := len(s.Turns) - len(s.Open); len(h.spans) < 2 && n >= turns { // turns that nobody is shown: cancelled in the queue, retried
		return s.Turns[n/2].Ref, nil, nil
	}
	return session.Ref{}, nil, nil
}

// transcript is what was said in one turn: the input, then each answer of a model with the results of its calls in the
// order of the calls, whatever order they came in, and what the user said in between. An answer that was refused, because
// it did not fit the output schema, is not in it.
func transcript(t *session.Turn) ([]model.Message, error) {
	input, err := inputOf(t)
	if err != nil {
		return nil, err
	}
	messages, heard := []model.Message{input}, 0
	draft := -1 // index of an answer that is refused if another one follows
	for n := 0; ; n++ {
		key := modelKey(n)
		st := t.Step(key)
		answer, ok, err := answerOf(st)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		said, err := spoken(t, heard, st.Result.Heard)
		if err != nil {
			return nil, err
		}
		if draft >= 0 && len(said) == 0 {
			messages = messages[:draft]
		}
		heard, draft = max(heard, st.Result.Heard), -1
		messages = append(messages, said...)
		calls := answer.Message.Calls()
		if len(calls) == 0 {
			draft = len(messages)
		}
		messages = append(messages, answer.Message)
		results, err := resultsOf(t, key, calls)
		if err != nil {
			return nil, err
		}
		messages = append(messages, results...)
	}
	if t.State.Ended() { // of a turn that failed: nobody answered them, and they were said
		said, err := spoken(t, heard, len(t.Messages))
		if err != nil {
			return nil, err
		}
		messages = append(messages, said...)
	}
	last := messages[len(messages)-1]
	switch {
	case t.State != session.Completed:
	case last.Role != model.Assistant:
		messages = append(messages, model.Message{Role: model.Assistant, Parts: []model.Part{{Text: t.Reply.Text}}})
	case last.Text() != t.Reply.Text && len(last.Calls()) == 0: // a hook changed it
		messages[len(messages)-1] = model.Message{Role: model.Assistant, Parts: []model.Part{{Text: t.Reply.Text}}}
	}
	return messages, nil
}

// resultsOf are the results of an answer's calls, as far as there are any yet.
func resultsOf(t *session.Turn, key string, calls []model.Call) ([]model.Message, error) {
	var messages []model.Message
	for i, c := range calls {
		st := t.Step(callKeyOf(key, i))
		if st == nil || st.Result == nil {
			continue // still running
		}
		var r model.Result
		if err := json.Unmarshal(st.Result.Value, &r); err != nil {
			return nil, fault.New(fault.Corrupt, "", "step %s of turn %s is not a tool's result: %w", st.Key, t.ID, err)
		}
		r.CallID, r.Name = c.ID, c.Name
		messages = append(messages, model.Message{Role: model.ToolRole, Parts: []model.Part{{Result: &r}}})
	}
	return messages, nil
}

// answerOf reads a model step's answer; false when there is none (yet).
func answerOf(st *session.Step) (*model.Answer, bool, error) {
	if st == nil || st.Result == nil || st.Result.Error != nil {
		return nil, false, nil
	}
	answer := &model.Answer{}
	if err := json.Unmarshal(st.Result.Value, answer); err != nil {
		return nil, false, fault.New(fault.Corrupt, "", "step %s is not a model's answer: %w", st.Key, err)
	}
	return answer, true, nil
}

// heal closes every call that has no result, because its turn ends now: a transcript with a call that nobody answered
// would be refused by providers. A call that may have been dispatched is first recorded as in doubt. extra holds the
// events that go into the journal before these. Calls of sub-agents are closed like the agent's own.
func heal(t *session.Turn, extra []session.Event) []session.Event {
	closed := map[string]bool{}
	doubt := map[string]bool{} // dispatched, or perhaps
	var answers []session.Event
	note := func(key string, r *session.StepResult) {
		if r != nil && r.Kind == session.ModelStep && r.Error == nil {
			answers = append(answers, session.Event{Step: key, Result: r})
		}
	}
	for _, st := range t.Steps {
		closed[st.Key] = st.State == session.StepDone
		doubt[st.Key] = st.State == session.StepUnclear || st.State == session.StepBegun
		note(st.Key, st.Result)
	}
	for _, e := range extra {
		closed[e.Step] = closed[e.Step] || e.Type == session.StepCompleted
		switch {
		case e.Type == session.StepStarted:
			doubt[e.Step] = true
		case e.Type == session.StepResolved && e.Resolved.Outcome == session.RunAgain:
			doubt[e.Step] = false
		}
		note(e.Step, e.Result)
	}
	var events []session.Event
	for _, a := range answers {
		var answer model.Answer
		if json.Unmarshal(a.Result.Value, &answer) != nil {
			continue // the history says so when it is read
		}
		for i, c := range answer.Message.Calls() {
			key := callKeyOf(a.Step, i)
			if !closed[key] {
				events = append(events, closeCall(t, key, c, doubt[key])...)
			}
		}
	}
	return events
}

func closeCall(t *session.Turn, key string, c model.Call, doubted bool) []session.Event {
	text := "the turn ended before this call was made"
	var events []session.Event
	if doubted {
		text = "the turn ended before it was known whether this call took place"
		if st := t.Step(key); st != nil && st.State == session.StepBegun {
			events = append(events, session.Event{Type: session.StepInDoubt, Turn: t.Ref, Step: key, Doubt: &session.Doubt{Why: "the turn ended while the call was on its way"}})
		}
	}
	return append(events, session.Event{Type: session.StepCompleted, Turn: t.Ref, Step: key, Result: &session.StepResult{
		Kind: session.ToolStep, Name: c.Name, Healed: true,
		Value: mustJSON(model.Result{CallID: c.ID, Name: c.Name, Content: text, IsError: true}),
	}})
}
