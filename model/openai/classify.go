package openai

import (
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
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
var texts = []struct {
	statuses []int
	text     string // in lower case
	kind     fault.Kind
}{
	{[]int{400, 413, 422, 500, 0}, "context length", fault.ContextOverflow},
	{[]int{400, 413, 422, 500, 0}, "context window", fault.ContextOverflow},
	{[]int{400, 413, 422, 500, 0}, "context size", fault.ContextOverflow},
	{[]int{400, 413, 422, 0}, "prompt is too long", fault.ContextOverflow},
	{[]int{400, 413, 422, 0}, "input token count", fault.ContextOverflow},
	{[]int{400, 413, 422, 0}, "too many tokens", fault.ContextOverflow},
	{[]int{400, 0}, "content management policy", fault.Refused},
	{[]int{400, 0}, "content filter", fault.Refused},
	{[]int{400, 403, 0}, "usage limit", fault.Quota},
	{[]int{400, 403, 429, 0}, "billing", fault.Quota},
	{[]int{400, 403, 429, 0}, "credit balance", fault.Quota},
	{[]int{429, 0}, "spend limit", fault.Quota},
	{[]int{429, 0}, "exceeded your current quota", fault.Quota},
	{[]int{403}, "country, region", fault.ModelGone},
	{[]int{500, 502, 0}, "overloaded", fault.Overloaded},
	{[]int{0}, "rate limit", fault.Throttled},
}

// statuses decide where neither a code nor a text did. Others fall to their hundred.
var statuses = map[int]fault.Kind{
	400: fault.Invalid,
	401: fault.Auth,
	402: fault.Quota,
	403: fault.Auth,
	404: fault.ModelGone, // the address has nothing else that could be missing; another target may have it
	408: fault.Transient,
	409: fault.Transient,
	424: fault.Transient,
	425: fault.Transient,
	429: fault.Throttled,
	499: fault.Transient,
	503: fault.Overloaded,
	529: fault.Overloaded,
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

// advice is what a reader can do about a kind.
var advice = map[fault.Kind]string{
	fault.Auth:            "check the provider's API key and what it is allowed to do",
	fault.Quota:           "check the account's balance and limits at the provider, or use another key",
	fault.ModelGone:       "check the model's name and the base URL",
	fault.ContextOverflow: "shorten the conversation or use a model with a longer window",
}

// classify decides the kind of a provider's own report of failure; p.status is 0 for one inside a stream.
func classify(p *problem) fault.Kind {
	if p.kind != "" {
		return p.kind
	}
	status, names := p.status, []string{p.code, p.typ, p.word}
	if n, err := strconv.Atoi(p.code); err == nil && status == 0 && n >= 400 && n <= 599 {
		status = n // some servers give the status as the code
	}
	if kind, ok := lookup(codes, names); ok {
		return kind
	}
	text := strings.ToLower(p.msg)
	for _, row := range texts {
		for _, s := range row.statuses {
			if s == status && strings.Contains(text, row.text) {
				return row.kind
			}
		}
	}
	if kind, ok := statuses[status]; ok {
		return kind
	}
	switch {
	case status >= 500 && status <= 599:
		return fault.Transient
	case status >= 400 && status <= 499:
		return fault.Invalid
	}
	if kind, ok := lookup(vague, names); ok {
		return kind
	}
	return fault.Unknown
}

func lookup(table map[string]fault.Kind, names []string) (fault.Kind, bool) {
	for _, name := range names {
		if kind, ok := table[strings.ToLower(name)]; ok {
			return kind, true
		}
	}
	return "", false
}
