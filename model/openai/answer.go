package openai

import (
	"fmt"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// finishes says what a finish reason means; the first five are the format's own, the others are what compatible servers
// say instead. A reason that is not here fails as unknown, since nobody can tell whether such an answer is whole.
var finishes = map[string]struct {
	finish model.Finish
	kind   fault.Kind // if not empty the answer is a failure
}{
	"stop":           {finish: model.FinishStop},
	"tool_calls":     {finish: model.FinishCalls},
	"length":         {finish: model.FinishLength},
	"content_filter": {kind: fault.Refused},
	"function_call":  {finish: model.FinishCalls},

	"eos":                          {finish: model.FinishStop},
	"eos_token":                    {finish: model.FinishStop},
	"stop_sequence":                {finish: model.FinishStop},
	"end_turn":                     {finish: model.FinishStop},
	"complete":                     {finish: model.FinishStop},
	"tool_use":                     {finish: model.FinishCalls},
	"max_tokens":                   {finish: model.FinishLength},
	"safety":                       {kind: fault.Refused},
	"recitation":                   {kind: fault.Refused},
	"refusal":                      {kind: fault.Refused},
	"abort":                        {kind: fault.Truncated},
	"error":                        {kind: fault.Transient},
	"insufficient_system_resource": {kind: fault.Overloaded},
	"malformed_function_call":      {kind: fault.Malformed},
}

// answer checks what was put together. Its error is a *problem with a kind.
func (a *assembly) answer() (*model.Answer, error) {
	end, known := finishes[strings.ToLower(a.finish)]
	switch {
	case !known:
		return nil, &problem{kind: fault.Unknown, msg: fmt.Sprintf("the finish reason %q is not known", a.finish)}
	case end.kind != "":
		return nil, &problem{kind: end.kind, msg: fmt.Sprintf("the answer ended with %q", a.finish)}
	case a.refusal.Len() > 0:
		return nil, &problem{kind: fault.Refused, msg: "the model declined: " + a.refusal.String()}
	}
	answer := &model.Answer{
		Message: model.Message{Role: model.Assistant}, Finish: end.finish, Usage: a.usage, Model: a.model,
	}
	if a.text.Len() > 0 {
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Text: a.text.String()})
	}
	for i, c := range a.calls {
		id := c.id
		if id == "" {
			id = fmt.Sprintf("call_%d", i)
		}
		call, err := model.CallOf(i, id, c.name, c.args)
		if err != nil {
			return nil, truncated(err.Error())
		}
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Call: call})
	}
	if err := model.Settle(answer); err != nil {
		return nil, truncated(err.Error())
	}
	return answer, nil
}

func truncated(msg string) error { return &problem{kind: fault.Truncated, msg: msg} }
