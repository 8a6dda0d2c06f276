package openai

import (
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// codes decide first, wherever the error carries them: as its code, its type, or its status word.
var codes = map[string]fault.Kind{
	"rate_limit_exceeded": fault.Throttled,
	"rate_limit_error":    fault.Throttled,
	"slow_down":           fault.Throttled,
	"resource_exhausted":  fault.Throttled,

	"insufficient_quota":                fault.Quota,
	"credit_balance_exhausted":          fault.Quota,
	"project_spend_limit_exceeded":      fault.Quota,
	"organization_spend_limit_exceeded": fault.Quota,
	"organization_usage_limit_exceeded": fault.Quota,
	"billing_hard_limit_reached":        fault.Quota,
	"billing_not_active":                fault.Quota,
	"billing_error":                     fault.Quota,

	"server_is_overloaded": fault.Overloaded,
	"overloaded_error":     fault.Overloaded,
	"engine_overloaded":    fault.Overloaded,
	"overloaded":           fault.Overloaded,

	"invalid_api_key":      fault.Auth,
	"invalid_organization": fault.Auth,
	"account_deactivated":  fault.Auth,
	"ip_not_authorized":    fault.Auth,

	"model_not_found":                      fault.ModelGone,
	"deploymentnotfound":                   fault.ModelGone,
	"unsupported_country_region_territory": fault.ModelGone,

	"context_length_exceeded":   fault.ContextOverflow,
	"context_window_exceeded":   fault.ContextOverflow,
	"exceed_context_size_error": fault.ContextOverflow,
	"string_above_max_length":   fault.ContextOverflow,
	"request_too_large":         fault.ContextOverflow,

	"content_filter":               fault.Refused,
	"content_policy_violation":     fault.Refused,
	"responsibleaipolicyviolation": fault.Refused,
}

// texts tell apart what one status is used for; they matter only where no code decided. Status 0 stands for an error
// inside a stream.
var texts = []model.ErrorText{
	{Statuses: []int{400, 413, 422, 500, 0}, Text: "context length", Kind: fault.ContextOverflow},
	{Statuses: []int{400, 413, 422, 500, 0}, Text: "context window", Kind: fault.ContextOverflow},
	{Statuses: []int{400, 413, 422, 500, 0}, Text: "context size", Kind: fault.ContextOverflow},
	{Statuses: []int{400, 413, 422, 0}, Text: "prompt is too long", Kind: fault.ContextOverflow},
	{Statuses: []int{400, 413, 422, 0}, Text: "input token count", Kind: fault.ContextOverflow},
	{Statuses: []int{400, 413, 422, 0}, Text: "too many tokens", Kind: fault.ContextOverflow},
	{Statuses: []int{400, 0}, Text: "content management policy", Kind: fault.Refused},
	{Statuses: []int{400, 0}, Text: "content filter", Kind: fault.Refused},
	{Statuses: []int{400, 403, 0}, Text: "usage limit", Kind: fault.Quota},
	{Statuses: []int{400, 403, 429, 0}, Text: "billing", Kind: fault.Quota},
	{Statuses: []int{400, 403, 429, 0}, Text: "credit balance", Kind: fault.Quota},
	{Statuses: []int{429, 0}, Text: "spend limit", Kind: fault.Quota},
	{Statuses: []int{429, 0}, Text: "exceeded your current quota", Kind: fault.Quota},
	{Statuses: []int{403}, Text: "country, region", Kind: fault.ModelGone},
	{Statuses: []int{500, 502, 0}, Text: "overloaded", Kind: fault.Overloaded},
	{Statuses: []int{0}, Text: "rate limit", Kind: fault.Throttled},
}

// vague are names that servers also use for failures that the status tells better, so they come last. They decide
// inside a stream, which has no status.
var vague = map[string]fault.Kind{
	"server_error":          fault.Transient,
	"internal_error":        fault.Transient,
	"internal_server_error": fault.Transient,
	"internalservererror":   fault.Transient,
	"api_error":             fault.Transient,
	"timeout_error":         fault.Transient,
	"timeout":               fault.Transient,
	"deadline_exceeded":     fault.Transient,
	"service_unavailable":   fault.Overloaded,
	"unavailable":           fault.Overloaded,
	"authentication_error":  fault.Auth,
	"permission_error":      fault.Auth,
	"unauthenticated":       fault.Auth,
	"not_found_error":       fault.ModelGone,
	"invalid_request_error": fault.Invalid,
	"badrequesterror":       fault.Invalid,
}

var table = model.ErrorTable{Codes: codes, Texts: texts, Vague: vague}

// classify decides the kind of a provider's own report of failure; p.status is 0 for one inside a stream.
func classify(p *problem) fault.Kind {
	if p.kind != "" {
		return p.kind
	}
	return table.Kind(p.status, p.msg, p.code, p.typ, p.word)
}
