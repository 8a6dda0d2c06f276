package modeltest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

func (anthropicWire) profile() *profile {
	const badRequest = "invalid_request_error"
	spent := json.RawMessage(`{"error_code":"enforced_spend_limit_reached"}`)
	throttled := &WireError{Type: "rate_limit_error", Message: "slower, please"}
	return &profile{
		refusals: []refusalRow{
			{429, WireError{Type: "rate_limit_error", Message: "This request would exceed the rate limit"}, fault.Throttled},
			{429, WireError{Type: "rate_limit_error", Message: "Spend limit reached", Details: spent}, fault.Quota},
			{400, WireError{Type: badRequest, Message: "You have reached your specified API usage limits."}, fault.Quota},
			{400, WireError{Type: badRequest, Message: "Your credit balance is too low"}, fault.Quota},
			{402, WireError{Type: "billing_error", Message: "Billing"}, fault.Quota},
			{500, WireError{Type: "api_error", Message: "Internal server error"}, fault.Transient},
			{504, WireError{Type: "timeout_error", Message: "The request timed out"}, fault.Transient},
			{529, WireError{Type: "overloaded_error", Message: "Overloaded"}, fault.Overloaded},
			{401, WireError{Type: "authentication_error", Message: "invalid x-api-key"}, fault.Auth},
			{403, WireError{Type: "permission_error", Message: "Not allowed"}, fault.Auth},
			{404, WireError{Type: "not_found_error", Message: "model: nothing"}, fault.ModelGone},
			{400, WireError{Type: badRequest, Message: "prompt is too long: 200001 tokens > 200000 maximum"}, fault.ContextOverflow},
			{413, WireError{Type: "request_too_large", Message: "Request exceeds the maximum size"}, fault.ContextOverflow},
			{400, WireError{Type: badRequest, Message: "messages: Field required"}, fault.Invalid},
			// The word counts before the status.
			{400, WireError{Type: "rate_limit_error"}, fault.Throttled},
			{500, WireError{Type: "overloaded_error"}, fault.Overloaded},
		},
		hints: slices.Concat(retryAfterHints(429, throttled, anthropicHints()...), []hintRow{{
			"of a used up quota", Step{
				Status: 429, Headers: map[string]string{"Retry-After": "3600"},
				Error: &WireError{Type: "rate_limit_error", Details: spent},
			}, fault.Quota, exactly(time.Hour),
		}}),
		errors: []errorRow{
			{WireError{Type: "rate_limit_error", Message: "slower"}, fault.Throttled},
			{WireError{Type: "rate_limit_error", Message: "spent", Details: spent}, fault.Quota},
			{WireError{Type: "overloaded_error", Message: "Overloaded"}, fault.Overloaded},
			{WireError{Type: "api_error", Message: "Internal server error"}, fault.Transient},
			{WireError{Type: badRequest, Message: "prompt is too long: 9 tokens > 8 maximum"}, fault.ContextOverflow},
			{WireError{Type: badRequest, Message: "no"}, fault.Invalid},
		},
		finishes: map[string]fault.Kind{
			"refusal": fault.Refused, "model_context_window_exceeded": fault.ContextOverflow, "pause_turn": fault.Unknown,
		},
		malformed: fault.Truncated,
	}
}

func anthropicHints() []headerRow {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	about := func(d time.Duration) [2]time.Duration { return [2]time.Duration{d - time.Minute, d + time.Second} }
	return []headerRow{
		{"reset of requests", map[string]string{"anthropic-ratelimit-requests-reset": in(time.Hour)}, about(time.Hour)},
		{"the later reset", map[string]string{
			"anthropic-ratelimit-requests-reset": in(time.Hour), "anthropic-ratelimit-input-tokens-reset": in(2 * time.Hour),
		}, about(2 * time.Hour)},
		{"the reset of what is used up", map[string]string{
			"anthropic-ratelimit-requests-reset": in(time.Hour), "anthropic-ratelimit-requests-remaining": "0",
			"anthropic-ratelimit-tokens-reset": in(2 * time.Hour), "anthropic-ratelimit-tokens-remaining": "900",
		}, about(time.Hour)},
		{"Retry-After before resets", map[string]string{
			"Retry-After": "3", "anthropic-ratelimit-requests-reset": in(time.Hour),
		}, exactly(3 * time.Second)},
		{"a reset in the past", map[string]string{"anthropic-ratelimit-requests-reset": "2006-01-02T15:04:05Z"}, exactly(0)},
		{"nonsense resets", map[string]string{"anthropic-ratelimit-requests-reset": "later"}, exactly(0)},
	}
}
