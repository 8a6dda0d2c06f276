package bedrock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// finishes says what a stop reason means. A reason that is not here fails as unknown, since nobody can tell whether
// such an answer is whole.
var finishes = map[string]struct {
	finish model.Finish
	kind   fault.Kind // if not empty the answer is a failure
}{
	"end_turn":      {finish: model.FinishStop},
	"stop_sequence": {finish: model.FinishStop},
	"tool_use":      {finish: model.FinishCalls},
	"max_tokens":    {finish: model.FinishLength},

	"guardrail_intervened":          {kind: fault.Refused},
	"content_filtered":              {kind: fault.Refused},
	"refusal":                       {kind: fault.Refused},
	"malformed_tool_use":            {kind: fault.Malformed},
	"malformed_model_output":        {kind: fault.Malformed},
	"model_context_window_exceeded": {kind: fault.ContextOverflow},
}

// answer checks what was put together. Its error is a *problem with a kind.
func (a *assembly) answer() (*model.Answer, error) {
	end, known := finishes[strings.ToLower(a.finish)]
	switch {
	case !known:
		return nil, &problem{kind: fault.Unknown, msg: fmt.Sprintf("the stop reason %q is not known", a.finish)}
	case end.kind != "":
		return nil, &problem{kind: end.kind, msg: fmt.Sprintf("the answer ended with %q", a.finish)}
	}
	answer := &model.Answer{
		Message: model.Message{Role: model.Assistant}, Finish: end.finish, Usage: a.usage, Model: a.model,
	}
	if a.text.Len() > 0 {
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Text: a.text.String()})
	}
	ids := map[string]bool{}
	for i, c := range a.calls {
		call, err := c.finish(i, ids)
		if err != nil {
			return nil, err
		}
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Call: call})
	}
	switch {
	case len(a.calls) > 0 && end.finish == model.FinishStop: // some models say the one where they mean the other
		answer.Finish = model.FinishCalls
	case len(a.calls) == 0 && end.finish == model.FinishCalls:
		return nil, truncated("the answer ended for tool calls, but none came")
	case len(a.calls) == 0 && strings.TrimSpace(a.text.String()) == "" && end.finish == model.FinishLength:
		return nil, truncated("the bound on the answer was used up before it said anything")
	case len(a.calls) == 0 && strings.TrimSpace(a.text.String()) == "":
		return nil, truncated("the answer is empty")
	}
	return answer, nil
}

// finish checks a call, number i of its answer. Its id is the model's, unless that is missing or used twice.
func (c *partialCall) finish(i int, ids map[string]bool) (*model.Call, error) {
	args := bytes.TrimSpace(c.args)
	if len(args) == 0 || string(args) == "null" { // a call without arguments has no pieces of them
		args = []byte("{}")
	}
	var object map[string]json.RawMessage
	switch {
	case c.name == "":
		return nil, truncated(fmt.Sprintf("tool call %d has no name", i+1))
	case json.Unmarshal(args, &object) != nil || object == nil:
		return nil, truncated(fmt.Sprintf("the arguments of tool call %d (%s) are not a JSON object", i+1, c.name))
	}
	id := c.id
	for n := i; id == "" || ids[id]; n++ {
		id = fmt.Sprintf("call_%d", n)
	}
	ids[id] = true
	return &model.Call{ID: id, Name: c.name, Args: args}, nil
}

func truncated(msg string) error { return &problem{kind: fault.Truncated, msg: msg} }
