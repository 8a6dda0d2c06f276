package anthropic

import (
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// table says what the API's errors are. An error's names are the code in its details, then its type.
var table = model.ErrorTable{
	Codes: map[string]fault.Kind{
		"enforced_spend_limit_reached": fault.Quota,

		"rate_limit_error":     fault.Throttled,
		"overloaded_error":     fault.Overloaded,
		"billing_error":        fault.Quota,
		"authentication_error": fault.Auth,
		"permission_error":     fault.Auth,
		"not_found_error":      fault.ModelGone,
		"request_too_large":    fault.ContextOverflow,
	},
	Texts: []model.ErrorText{
		{Statuses: []int{400, 413, 0}, Text: "prompt is too long", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 0}, Text: "context limit", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 0}, Text: "context window", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 0}, Text: "content filtering policy", Kind: fault.Refused},
		{Statuses: []int{400, 403, 0}, Text: "usage limits", Kind: fault.Quota},
		{Statuses: []int{400, 403, 0}, Text: "credit balance", Kind: fault.Quota},
		{Statuses: []int{500, 502, 503}, Text: "overloaded", Kind: fault.Overloaded},
	},
	Vague: map[string]fault.Kind{
		"api_error":             fault.Transient,
		"timeout_error":         fault.Transient,
		"conflict_error":        fault.Transient,
		"invalid_request_error": fault.Invalid,
	},
}

// finishes says what a stop reason means. One that is not here fails as unknown, since nobody can tell whether such an
// answer is whole: pause_turn, for one, is for tools of the server's own, which are never asked for.
var finishes = map[string]struct {
	finish model.Finish
	kind   fault.Kind // if not empty the answer is a failure
}{
	"end_turn":                      {finish: model.FinishStop},
	"stop_sequence":                 {finish: model.FinishStop},
	"tool_use":                      {finish: model.FinishCalls},
	"max_tokens":                    {finish: model.FinishLength},
	"refusal":                       {kind: fault.Refused},
	"model_context_window_exceeded": {kind: fault.ContextOverflow},
}
