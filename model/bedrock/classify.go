package bedrock

import (
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// table decides about all failures but those that classify takes out. Its codes are the exceptions of the operation and
// those of AWS in general.
var table = model.ErrorTable{
	Codes: map[string]fault.Kind{
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
	},
	Texts: []model.ErrorText{
		{Statuses: []int{400, 413, 424, 0}, Text: "input is too long", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 424, 0}, Text: "prompt is too long", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 424, 0}, Text: "too many input tokens", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 424, 0}, Text: "exceed context limit", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 424, 0}, Text: "context length", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 424, 0}, Text: "context window", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 413, 424, 0}, Text: "maximum number of input tokens", Kind: fault.ContextOverflow},
		{Statuses: []int{400, 0}, Text: "content filter", Kind: fault.Refused},
		{Statuses: []int{400, 0}, Text: "content management policy", Kind: fault.Refused},
		{Statuses: []int{400, 0}, Text: "model identifier is invalid", Kind: fault.ModelGone},
		{Statuses: []int{400, 0}, Text: "on-demand throughput", Kind: fault.ModelGone},
		{Statuses: []int{400, 403}, Text: "access to the model", Kind: fault.ModelGone}, // this key may be good for others
		{Statuses: []int{400, 403}, Text: "end of its life", Kind: fault.ModelGone},
		{Statuses: []int{400, 403}, Text: "security token", Kind: fault.Auth},
		{Statuses: []int{400}, Text: "api key", Kind: fault.Auth},
		{Statuses: []int{424, 500, 0}, Text: "overloaded", Kind: fault.Overloaded},
	},
	Vague: map[string]fault.Kind{
		"validationexception":   fault.Invalid,
		"conflictexception":     fault.Transient,
		"accessdeniedexception": fault.Auth,
		"accessdenied":          fault.Auth,
	},
}

// daily are the texts by which a throttled request says that waiting seconds does not help.
var daily = []string{"per day", "daily"}

// passedOn are the exceptions that repeat what a model's own server said; the status that they carry counts.
var passedOn = map[string]bool{"modelerrorexception": true, "modelstreamerrorexception": true}

// advice is what a reader can do about a kind.
func advice(kind fault.Kind) string {
	switch kind {
	case fault.Auth:
		return "check the AWS credentials or the Bedrock API key and what they are allowed to do"
	case fault.Quota:
		return "check the account's quotas for this model, or use another region or account"
	case fault.ModelGone:
		return "check the model's id, the region, and that the account has access to the model there"
	}
	return model.Advice(kind)
}

// classify decides the kind of a provider's own report of failure; p.status is 0 for one inside a stream.
func classify(p *problem) fault.Kind {
	if p.kind != "" {
		return p.kind
	}
	status := p.status
	if passedOn[strings.ToLower(p.name)] {
		if status = p.original; status == 0 {
			status = 424 // how a model's failure is reported outside a stream
		}
	}
	kind := table.Kind(status, p.msg, p.name)
	if kind == fault.Throttled {
		text := strings.ToLower(p.msg)
		for _, s := range daily {
			if strings.Contains(text, s) {
				return fault.Quota
			}
		}
	}
	return kind
}
