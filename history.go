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
	turns    int // of the session's turns, so many are in messages
	messages []model.Message
}

// history is the conversation of the turns that have ended before the current one, oldest first. A turn that never ran,
// or that a retry took the place of, is not in it. The messages are not to be changed.
func (h *told) history(s *session.Session) ([]model.Message, error) {
	if h.of != s || h.retries != s.Retries || h.turns > len(s.Turns) {
		*h = told{of: s, retries: s.Retries}
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
	}
	return h.messages[:len(h.messages):len(h.messages)], nil
}

// transcript is what was said in one turn: the input, then each answer of a model with the results of its calls in the
// order of the calls, whatever order they came in.
func transcript(t *session.Turn) ([]model.Message, error) {
	var input model.Message
	if err := json.Unmarshal(t.Request.Input, &input); err != nil {
		return nil, fault.New(fault.Corrupt, "", "the input of turn %s is not a message: %w", t.ID, err)
	}
	messages := []model.Message{input}
	for n := 0; ; n++ {
		key := modelKey(n)
		answer, ok, err := answerOf(t.Step(key))
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		messages = append(messages, answer.Message)
		for i, c := range answer.Message.Calls() {
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
	}
	if last := messages[len(messages)-1]; t.State == session.Completed && last.Role != model.Assistant {
		messages = append(messages, model.Message{Role: model.Assistant, Parts: []model.Part{{Text: t.Reply.Text}}})
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
// events that go into the journal before these.
func heal(t *session.Turn, extra []session.Event) []session.Event {
	closed := map[string]bool{}
	doubt := map[string]bool{} // dispatched, or perhaps
	answers := map[string]json.RawMessage{}
	for _, st := range t.Steps {
		closed[st.Key] = st.State == session.StepDone
		doubt[st.Key] = st.State == session.StepUnclear || st.State == session.StepBegun
		if st.Result != nil && st.Result.Kind == session.ModelStep && st.Result.Error == nil {
			answers[st.Key] = st.Result.Value
		}
	}
	for _, e := range extra {
		closed[e.Step] = closed[e.Step] || e.Type == session.StepCompleted
		switch {
		case e.Type == session.StepStarted:
			doubt[e.Step] = true
		case e.Type == session.StepResolved && e.Resolved.Outcome == session.RunAgain:
			doubt[e.Step] = false
		}
		if e.Result != nil && e.Result.Kind == session.ModelStep && e.Result.Error == nil {
			answers[e.Step] = e.Result.Value
		}
	}
	var events []session.Event
	for n := 0; answers[modelKey(n)] != nil; n++ {
		var answer model.Answer
		if json.Unmarshal(answers[modelKey(n)], &answer) != nil {
			continue // the history says so when it is read
		}
		for i, c := range answer.Message.Calls() {
			key := callKeyOf(modelKey(n), i)
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
