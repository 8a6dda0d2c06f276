package gemini

import (
	"fmt"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// finishes says what a finish reason means. A reason that is not here fails as unknown, since nobody can tell whether
// such an answer is whole.
var finishes = map[string]struct {
	finish model.Finish
	kind   fault.Kind // if not empty the answer is a failure
}{
	"STOP":       {finish: model.FinishStop},
	"MAX_TOKENS": {finish: model.FinishLength},

	"SAFETY":                   {kind: fault.Refused},
	"RECITATION":               {kind: fault.Refused},
	"LANGUAGE":                 {kind: fault.Refused},
	"BLOCKLIST":                {kind: fault.Refused},
	"PROHIBITED_CONTENT":       {kind: fault.Refused},
	"SPII":                     {kind: fault.Refused},
	"MODEL_ARMOR":              {kind: fault.Refused},
	"IMAGE_SAFETY":             {kind: fault.Refused},
	"IMAGE_PROHIBITED_CONTENT": {kind: fault.Refused},
	"IMAGE_RECITATION":         {kind: fault.Refused},

	"MALFORMED_FUNCTION_CALL": {kind: fault.Malformed},
	"MALFORMED_RESPONSE":      {kind: fault.Malformed},
	"UNEXPECTED_TOOL_CALL":    {kind: fault.Malformed},
	"TOO_MANY_TOOL_CALLS":     {kind: fault.Malformed},

	"MISSING_THOUGHT_SIGNATURE": {kind: fault.Invalid},
	"CONTINUATION":              {kind: fault.Truncated},
}

// answer checks what was put together. Its error is a *problem with a kind.
func (a *assembly) answer() (*model.Answer, error) {
	end, known := finishes[strings.ToUpper(a.finish)]
	switch {
	case !known:
		return nil, &problem{kind: fault.Unknown, msg: strings.TrimSpace(
			fmt.Sprintf("the finish reason %q is not known. %s", a.finish, a.remark))}
	case end.kind != "":
		return nil, &problem{kind: end.kind, msg: strings.TrimSpace(
			fmt.Sprintf("the answer ended with %q. %s", a.finish, a.remark))}
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
func (c *functionCall) finish(i int, ids map[string]bool) (*model.Call, error) {
	id := c.ID
	for n := i; id == "" || ids[id]; n++ {
		id = fmt.Sprintf("call_%d", n)
	}
	ids[id] = true
	if c.WillContinue {
		return nil, truncated(fmt.Sprintf("tool call %d (%s) was to be continued", i+1, c.Name))
	}
	call, err := model.CallOf(i, id, c.Name, c.Args)
	if err != nil {
		return nil, truncated(err.Error())
	}
	return call, nil
}

func truncated(msg string) error { return &problem{kind: fault.Truncated, msg: msg} }
