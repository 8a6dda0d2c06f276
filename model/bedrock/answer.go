package bedrock

import (
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
	if err := model.Settle(answer); err != nil {
		return nil, truncated(err.Error())
	}
	return answer, nil
}

// finish checks a call, number i of its answer. Its id is the model's, unless that is missing or used twice.
func (c *partialCall) finish(i int, ids map[string]bool) (*model.Call, error) {
	id := c.id
	for n := i; id == "" || ids[id]; n++ {
		id = fmt.Sprintf("call_%d", n)
	}
	ids[id] = true
	call, err := model.CallOf(i, id, c.name, c.args)
	if err != nil {
		return nil, truncated(err.Error())
	}
	return call, nil
}

func truncated(msg string) error { return &problem{kind: fault.Truncated, msg: msg} }
