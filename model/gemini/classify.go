package gemini

import (
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// table decides about all failures but exhausted resources. Its codes are, in order of precedence, the reasons of the
// error's details and its status word.
var table = model.ErrorTable{
	Codes: map[string]fault.Kind{
		"api_key_invalid":               fault.Auth,
		"api_key_expired":               fault.Auth,
		"api_key_service_blocked":       fault.Auth,
		"api_key_http_referrer_blocked": fault.Auth,
		"api_key_ip_address_blocked":    fault.Auth,
		"access_token_expired":          fault.Auth,
		"consumer_invalid":              fault.Auth,
		"consumer_suspended":            fault.Auth,
		"service_disabled":              fault.Auth,
		"billing_disabled":              fault.Quota,
		"location_policy_violated":      fault.ModelGone,

		"unavailable":       fault.Overloaded,
		"deadline_exceeded": fault.Transient,
		"internal":          fault.Transient,
		"aborted":           fault.Transient,
		"data_loss":         fault.Transient,
		"cancelled":         fault.Transient, // by the server; ours is seen in the context
		"unauthenticated":   fault.Auth,
		"permission_denied": fault.Auth,
		"not_found":         fault.ModelGone,
	},
	Texts: []model.ErrorText{
		{Statuses: []int{400, 413, 0}, Text: "token count", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 0}, Text: "maximum number of tokens", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 0}, Text: "context length", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 0}, Text: "context window", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 0}, Text: "api key not valid", Kind: fault.Auth},
		{Statuses: []int{400, 0}, Text: "api key expired", Kind: fault.Auth},
		{Statuses: []int{400, 0}, Text: "api key not found", Kind: fault.Auth},
		{Statuses: []int{400, 0}, Text: "location is not supported", Kind: fault.ModelGone},
		{Statuses: []int{400, 0}, Text: "is not available in your", Kind: fault.ModelGone},
		{Statuses: []int{400, 403, 0}, Text: "billing", Kind: fault.Quota},
		{Statuses: []int{400, 0}, Text: "prohibited", Kind: fault.Refused},
		{Statuses: []int{500, 502, 0}, Text: "overloaded", Kind: fault.Overloaded},
	},
	Vague: map[string]fault.Kind{
		"invalid_argument":    fault.Invalid,
		"failed_precondition": fault.Invalid,
		"out_of_range":        fault.Invalid,
		"already_exists":      fault.Invalid,
		"unimplemented":       fault.Invalid,
	},
}

// spent are the texts by which a 429 says that waiting seconds does not help. The usual text mentions quota and billing
// in all cases, so these say nothing.
var spent = []string{
	"limit: 0,", "limit: 0\n", "per day", "spending cap", "spend cap", "spend limit", "spending limit",
	"prepay", "credits are depleted", "credit balance",
}

// longWait is where a hint stops being that of a rate limit, which is counted per minute.
const longWait = time.Hour

// classify decides the kind of a provider's own report of failure; p.status is 0 for one inside a stream.
func classify(p *problem) fault.Kind {
	if p.kind != "" {
		return p.kind
	}
	status := p.status
	if status == 0 {
		status = p.code
	}
	names := append(slices.Clone(p.reasons), p.word)
	for _, name := range names {
		if kind, ok := table.Codes[strings.ToLower(name)]; ok {
			return kind
		}
	}
	if strings.EqualFold(p.word, "RESOURCE_EXHAUSTED") || status == 429 {
		return exhausted(p)
	}
	return table.Kind(status, p.msg, names...)
}

// exhausted tells a rate limit from a quota that stays used up for hours, or for good.
func exhausted(p *problem) fault.Kind {
	text := strings.ToLower(p.msg) + "\n"
	for _, s := range spent {
		if strings.Contains(text, s) {
			return fault.Quota
		}
	}
	if p.daily || p.retry >= longWait {
		return fault.Quota
	}
	return fault.Throttled
}
