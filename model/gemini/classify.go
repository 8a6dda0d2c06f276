package gemini

import (
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// reasons decide first: they are the reason of an ErrorInfo in the error's details.
var reasons = map[string]fault.Kind{
	"API_KEY_INVALID":               fault.Auth,
	"API_KEY_EXPIRED":               fault.Auth,
	"API_KEY_SERVICE_BLOCKED":       fault.Auth,
	"API_KEY_HTTP_REFERRER_BLOCKED": fault.Auth,
	"API_KEY_IP_ADDRESS_BLOCKED":    fault.Auth,
	"ACCESS_TOKEN_EXPIRED":          fault.Auth,
	"CONSUMER_INVALID":              fault.Auth,
	"CONSUMER_SUSPENDED":            fault.Auth,
	"SERVICE_DISABLED":              fault.Auth,
	"BILLING_DISABLED":              fault.Quota,
	"LOCATION_POLICY_VIOLATED":      fault.ModelGone,
}

// words decide next: they are the error's status. RESOURCE_EXHAUSTED is used for two things, see exhausted.
var words = map[string]fault.Kind{
	"UNAVAILABLE":       fault.Overloaded,
	"DEADLINE_EXCEEDED": fault.Transient,
	"INTERNAL":          fault.Transient,
	"ABORTED":           fault.Transient,
	"DATA_LOSS":         fault.Transient,
	"CANCELLED":         fault.Transient, // by the server; ours is seen in the context
	"UNAUTHENTICATED":   fault.Auth,
	"PERMISSION_DENIED": fault.Auth,
	"NOT_FOUND":         fault.ModelGone, // the address has nothing else that could be missing
}

// texts tell apart what one status is used for; they matter only where no word decided. Status 0 stands for an error
// inside a stream.
var texts = []struct {
	statuses []int
	text     string // in lower case
	kind     fault.Kind
}{
	{[]int{400, 413, 0}, "token count", fault.ContextOverflow},
	{[]int{400, 413, 0}, "maximum number of tokens", fault.ContextOverflow},
	{[]int{400, 413, 0}, "context length", fault.ContextOverflow},
	{[]int{400, 413, 0}, "context window", fault.ContextOverflow},
	{[]int{400, 0}, "api key not valid", fault.Auth},
	{[]int{400, 0}, "api key expired", fault.Auth},
	{[]int{400, 0}, "api key not found", fault.Auth},
	{[]int{400, 0}, "location is not supported", fault.ModelGone},
	{[]int{400, 0}, "is not available in your", fault.ModelGone},
	{[]int{400, 403, 0}, "billing", fault.Quota},
	{[]int{400, 0}, "prohibited", fault.Refused},
	{[]int{500, 502, 0}, "overloaded", fault.Overloaded},
}

// spent are the texts by which a 429 says that waiting seconds does not help. The usual text mentions quota and billing
// in all cases, so these say nothing.
var spent = []string{
	"limit: 0,", "limit: 0\n", "per day", "spending cap", "spend cap", "spend limit", "spending limit",
	"prepay", "credits are depleted", "credit balance",
}

// longWait is where a hint stops being that of a rate limit, which is counted per minute.
const longWait = time.Hour

// statuses decide where neither a code nor a text did. Others fall to their hundred.
var statuses = map[int]fault.Kind{
	400: fault.Invalid,
	401: fault.Auth,
	402: fault.Quota,
	403: fault.Auth,
	404: fault.ModelGone,
	408: fault.Transient,
	409: fault.Transient,
	424: fault.Transient,
	425: fault.Transient,
	499: fault.Transient,
	503: fault.Overloaded,
	529: fault.Overloaded,
}

// vague are words that are used for several things, so they come last. They decide inside a stream, where there may be
// no status.
var vague = map[string]fault.Kind{
	"INVALID_ARGUMENT":    fault.Invalid,
	"FAILED_PRECONDITION": fault.Invalid,
	"OUT_OF_RANGE":        fault.Invalid,
	"ALREADY_EXISTS":      fault.Invalid,
	"UNIMPLEMENTED":       fault.Invalid,
}

// advice is what a reader can do about a kind.
var advice = map[fault.Kind]string{
	fault.Auth:            "check the provider's API key and what it is allowed to do",
	fault.Quota:           "check the project's plan, balance and daily limits at the provider, or use another key",
	fault.ModelGone:       "check the model's name, the base URL and the region",
	fault.ContextOverflow: "shorten the conversation or use a model with a longer window",
}

// classify decides the kind of a provider's own report of failure; p.status is 0 for one inside a stream.
func classify(p *problem) fault.Kind {
	if p.kind != "" {
		return p.kind
	}
	status := p.status
	if status == 0 {
		status = p.code
	}
	for _, reason := range p.reasons {
		if kind, ok := reasons[strings.ToUpper(reason)]; ok {
			return kind
		}
	}
	word := strings.ToUpper(p.word)
	if word == "RESOURCE_EXHAUSTED" {
		return exhausted(p)
	}
	if kind, ok := words[word]; ok {
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
	if status == 429 {
		return exhausted(p)
	}
	if kind, ok := statuses[status]; ok {
		return kind
	}
	if kind, ok := vague[word]; ok {
		return kind
	}
	switch {
	case status >= 500 && status <= 599:
		return fault.Transient
	case status >= 400 && status <= 499:
		return fault.Invalid
	}
	return fault.Unknown
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
