package bedrock

import (
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// names decide first: they are the exceptions of the operation and those of AWS in general, in lower case. A name that
// is used for several things is not here, see vague.
var names = map[string]fault.Kind{
	"throttlingexception":      fault.Throttled,
	"throttledexception":       fault.Throttled,
	"throttling":               fault.Throttled,
	"toomanyrequestsexception": fault.Throttled,
	"requestlimitexceeded":     fault.Throttled,
	"slowdown":                 fault.Throttled,

	"servicequotaexceededexception": fault.Quota,
	"limitexceededexception":        fault.Quota,

	"modelnotreadyexception":      fault.Overloaded, // it is being loaded
	"serviceunavailableexception": fault.Overloaded,
	"serviceunavailable":          fault.Overloaded,

	"modeltimeoutexception":   fault.Transient,
	"internalserverexception": fault.Transient,
	"internalfailure":         fault.Transient,
	"internalservererror":     fault.Transient,
	"requesttimeout":          fault.Transient,

	"unrecognizedclientexception":         fault.Auth,
	"invalidclienttokenid":                fault.Auth,
	"invalidsignatureexception":           fault.Auth,
	"signaturedoesnotmatch":               fault.Auth,
	"incompletesignature":                 fault.Auth,
	"incompletesignatureexception":        fault.Auth,
	"missingauthenticationtoken":          fault.Auth,
	"missingauthenticationtokenexception": fault.Auth,
	"expiredtoken":                        fault.Auth,
	"expiredtokenexception":               fault.Auth,
	"optinrequired":                       fault.Auth,
	"notauthorized":                       fault.Auth,

	"resourcenotfoundexception": fault.ModelGone,
}

// passedOn are the exceptions that repeat what a model's own server said; the status that they carry counts.
var passedOn = map[string]bool{"modelerrorexception": true, "modelstreamerrorexception": true}

// texts tell apart what one name or status is used for. They count before the names, because they are long and exact.
// Status 0 stands for an exception inside a stream.
var texts = []struct {
	statuses []int
	text     string // in lower case
	kind     fault.Kind
}{
	{[]int{429, 0}, "tokens per day", fault.Quota},
	{[]int{429, 0}, "requests per day", fault.Quota},
	{[]int{429, 0}, "daily", fault.Quota},
	{[]int{400, 413, 424, 0}, "input is too long", fault.ContextOverflow},
	{[]int{400, 413, 424, 0}, "prompt is too long", fault.ContextOverflow},
	{[]int{400, 413, 424, 0}, "too many input tokens", fault.ContextOverflow},
	{[]int{400, 413, 424, 0}, "exceed context limit", fault.ContextOverflow},
	{[]int{400, 413, 424, 0}, "context length", fault.ContextOverflow},
	{[]int{400, 413, 424, 0}, "context window", fault.ContextOverflow},
	{[]int{400, 413, 424, 0}, "maximum number of input tokens", fault.ContextOverflow},
	{[]int{400, 0}, "content filter", fault.Refused},
	{[]int{400, 0}, "content management policy", fault.Refused},
	{[]int{400, 0}, "model identifier is invalid", fault.ModelGone},
	{[]int{400, 0}, "on-demand throughput", fault.ModelGone},
	{[]int{400, 403}, "access to the model", fault.ModelGone}, // this key may be good for others
	{[]int{400, 403}, "end of its life", fault.ModelGone},
	{[]int{400, 403}, "security token", fault.Auth},
	{[]int{400}, "api key", fault.Auth},
	{[]int{424, 500, 0}, "overloaded", fault.Overloaded},
}

// statuses decide where neither a name nor a text did. Others fall to their hundred.
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
	503: fault.Overloaded,
	529: fault.Overloaded,
}

// vague are names that also stand for what the status tells better, so they come last. They decide inside a stream,
// which has no status.
var vague = map[string]fault.Kind{
	"validationexception":   fault.Invalid,
	"conflictexception":     fault.Transient,
	"accessdeniedexception": fault.Auth,
	"accessdenied":          fault.Auth,
}

// advice is what a reader can do about a kind.
var advice = map[fault.Kind]string{
	fault.Auth:            "check the AWS credentials or the Bedrock API key and what they are allowed to do",
	fault.Quota:           "check the account's quotas for this model, or use another region or account",
	fault.ModelGone:       "check the model's id, the region, and that the account has access to the model there",
	fault.ContextOverflow: "shorten the conversation or use a model with a longer window",
}

// classify decides the kind of a provider's own report of failure; p.status is 0 for one inside a stream.
func classify(p *problem) fault.Kind {
	if p.kind != "" {
		return p.kind
	}
	name, text := strings.ToLower(p.name), strings.ToLower(p.msg)
	for _, row := range texts {
		for _, s := range row.statuses {
			if s == p.status && strings.Contains(text, row.text) {
				return row.kind
			}
		}
	}
	if kind, ok := names[name]; ok {
		return kind
	}
	status := p.status
	if passedOn[name] {
		status = p.original
		if status == 0 {
			return fault.Transient
		}
	}
	if kind, ok := statuses[status]; ok {
		return kind
	}
	if kind, ok := vague[name]; ok {
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
