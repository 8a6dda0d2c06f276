package modeltest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// geminiDetails are the details of an error: a violated quota, a wait, a reason; empty ones are left out.
func geminiDetails(quota, wait, reason string) json.RawMessage {
	all := []any{}
	const of = "type.googleapis.com/google.rpc."
	if quota != "" {
		all = append(all, map[string]any{"@type": of + "QuotaFailure", "violations": []any{map[string]any{"quotaId": quota}}})
	}
	if wait != "" {
		all = append(all, map[string]any{"@type": of + "RetryInfo", "retryDelay": wait})
	}
	if reason != "" {
		all = append(all, map[string]any{"@type": of + "ErrorInfo", "reason": reason, "domain": "googleapis.com"})
	}
	return encode(all)
}

const (
	perMinute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
	perDay    = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
	plan      = "You exceeded your current quota, please check your plan and billing details."
)

func (geminiWire) profile() *profile {
	const exhausted, invalid = "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"
	throttled := &WireError{Type: exhausted, Message: plan}
	return &profile{
		refusals: []refusalRow{
			{429, WireError{Type: exhausted, Message: plan, Details: geminiDetails(perMinute, "", "")}, fault.Throttled},
			{429, WireError{Type: exhausted, Message: "for the day", Details: geminiDetails(perDay, "", "")}, fault.Quota},
			{429, WireError{Type: exhausted, Message: plan + "\n* Quota exceeded for metric: requests, limit: 0, model: m"}, fault.Quota},
			{429, WireError{Type: exhausted, Message: "Your project has exceeded its monthly spending cap"}, fault.Quota},
			{500, WireError{Type: "INTERNAL", Message: "An internal error has occurred"}, fault.Transient},
			{503, WireError{Type: "UNAVAILABLE", Message: "The model is overloaded"}, fault.Overloaded},
			{504, WireError{Type: "DEADLINE_EXCEEDED", Message: "Deadline expired"}, fault.Transient},
			{499, WireError{Type: "CANCELLED", Message: "The operation was cancelled"}, fault.Transient},
			{400, WireError{Type: invalid, Message: "refused", Details: geminiDetails("", "", "API_KEY_INVALID")}, fault.Auth},
			{400, WireError{Type: invalid, Message: "API key not valid. Please pass a valid API key."}, fault.Auth},
			{403, WireError{Type: "PERMISSION_DENIED", Message: "no"}, fault.Auth},
			{401, WireError{Type: "UNAUTHENTICATED", Message: "no"}, fault.Auth},
			{404, WireError{Type: "NOT_FOUND", Message: "models/nothing is not found for API version v1beta"}, fault.ModelGone},
			{400, WireError{Type: "FAILED_PRECONDITION", Message: "User location is not supported for the API use."}, fault.ModelGone},
			{400, WireError{Type: "FAILED_PRECONDITION", Message: "Please enable billing on project"}, fault.Quota},
			{400, WireError{Type: invalid, Message: "The input token count (9) exceeds the maximum number of tokens allowed (8)."}, fault.ContextOverflow},
			{400, WireError{Type: invalid, Message: "Invalid value at 'contents'"}, fault.Invalid},
			// The word counts before the status.
			{400, WireError{Type: exhausted}, fault.Throttled},
			{500, WireError{Type: "UNAVAILABLE"}, fault.Overloaded},
		},
		hints: slices.Concat(retryAfterHints(429, throttled), geminiHints()),
		errors: []errorRow{
			{WireError{Type: exhausted, Message: plan}, fault.Throttled},
			{WireError{Type: exhausted, Message: "for the day", Details: geminiDetails(perDay, "", "")}, fault.Quota},
			{WireError{Type: "UNAVAILABLE", Message: "busy"}, fault.Overloaded},
			{WireError{Type: "INTERNAL", Message: "oh"}, fault.Transient},
			{WireError{Type: invalid, Message: "The input token count exceeds the maximum"}, fault.ContextOverflow},
			{WireError{Type: invalid, Message: "no"}, fault.Invalid},
		},
		finishes: map[string]fault.Kind{
			"SAFETY": fault.Refused, "RECITATION": fault.Refused, "PROHIBITED_CONTENT": fault.Refused,
			"MALFORMED_FUNCTION_CALL": fault.Malformed, "OTHER": fault.Unknown, "content_filter": fault.Refused,
		},
	}
}

func geminiHints() []hintRow {
	row := func(name, quota, wait string, headers map[string]string, kind fault.Kind, want time.Duration) hintRow {
		e := &WireError{Type: "RESOURCE_EXHAUSTED", Message: plan, Details: geminiDetails(quota, wait, "")}
		return hintRow{name, Step{Status: 429, Headers: headers, Error: e}, kind, exactly(want)}
	}
	return []hintRow{
		row("in the details", perMinute, "36s", nil, fault.Throttled, 36*time.Second),
		row("in the details, with a fraction", perMinute, "36.5s", nil, fault.Throttled, 36500*time.Millisecond),
		row("in the details before the header", perMinute, "2s", map[string]string{"Retry-After": "9"}, fault.Throttled, 2*time.Second),
		row("of nonsense in the details", perMinute, "soon", nil, fault.Throttled, 0),
		row("of a daily quota", perDay, "36s", nil, fault.Quota, 36*time.Second),
		row("of hours", perMinute, "7200s", nil, fault.Quota, 2*time.Hour),
	}
}
