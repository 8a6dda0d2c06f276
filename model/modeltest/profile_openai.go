package modeltest

import (
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

func (openaiWire) profile() *profile {
	const badRequest = "invalid_request_error"
	throttled := &WireError{Code: "rate_limit_exceeded", Message: "slower, please"}
	return &profile{
		refusals: []refusalRow{
			{429, WireError{Code: "rate_limit_exceeded", Type: "requests", Message: "Rate limit reached for requests"}, fault.Throttled},
			{429, WireError{Code: "slow_down", Message: "Please ramp up slowly"}, fault.Throttled},
			{429, WireError{Code: "insufficient_quota", Type: "insufficient_quota", Message: "You exceeded your current quota"}, fault.Quota},
			{429, WireError{Code: "credit_balance_exhausted", Type: "insufficient_quota", Message: "No credit is left"}, fault.Quota},
			{500, WireError{Type: "server_error", Message: "The server had an error"}, fault.Transient},
			{503, WireError{Type: "server_error", Message: "Try later"}, fault.Overloaded},
			{500, WireError{Code: "server_is_overloaded", Type: "server_error", Message: "Overloaded"}, fault.Overloaded},
			{401, WireError{Code: "invalid_api_key", Type: badRequest, Message: "Incorrect API key provided"}, fault.Auth},
			{404, WireError{Code: "model_not_found", Type: badRequest, Message: "The model does not exist"}, fault.ModelGone},
			{400, WireError{Code: "context_length_exceeded", Type: badRequest, Message: "Too long"}, fault.ContextOverflow},
			{400, WireError{Code: "content_filter", Message: "The prompt was filtered"}, fault.Refused},
			{400, WireError{Type: badRequest, Message: "Unknown parameter"}, fault.Invalid},
			// The code counts before the status.
			{400, WireError{Code: "rate_limit_exceeded"}, fault.Throttled},
		},
		hints: slices.Concat(retryAfterHints(429, throttled, openaiHints...), []hintRow{{
			"of a used up quota", Step{
				Status: 429, Headers: map[string]string{"Retry-After": "3600"}, Error: &WireError{Code: "insufficient_quota"},
			}, fault.Quota, exactly(time.Hour),
		}}),
		errors: []errorRow{
			{WireError{Code: "rate_limit_exceeded", Message: "slower"}, fault.Throttled},
			{WireError{Code: "insufficient_quota", Message: "no money"}, fault.Quota},
			{WireError{Code: "server_is_overloaded", Message: "busy"}, fault.Overloaded},
			{WireError{Type: "server_error", Message: "The server had an error"}, fault.Transient},
			{WireError{Code: "context_length_exceeded", Message: "too long"}, fault.ContextOverflow},
			{WireError{Code: "content_filter", Message: "no"}, fault.Refused},
			{WireError{Type: badRequest, Message: "no"}, fault.Invalid},
		},
		finishes: map[string]fault.Kind{"content_filter": fault.Refused},
	}
}

var openaiHints = []headerRow{
	{"milliseconds", map[string]string{"retry-after-ms": "1500"}, exactly(1500 * time.Millisecond)},
	{"milliseconds before seconds", map[string]string{
		"retry-after-ms": "20", "Retry-After": "1",
	}, exactly(20 * time.Millisecond)},
	{"reset of requests", map[string]string{"x-ratelimit-reset-requests": "6m0s"}, exactly(6 * time.Minute)},
	{"reset of tokens", map[string]string{"x-ratelimit-reset-tokens": "120ms"}, exactly(120 * time.Millisecond)},
	{"the later reset", map[string]string{
		"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "1m30s",
	}, exactly(90 * time.Second)},
	{"the reset of what is used up", map[string]string{
		"x-ratelimit-reset-requests": "2s", "x-ratelimit-remaining-requests": "0",
		"x-ratelimit-reset-tokens": "1m30s", "x-ratelimit-remaining-tokens": "900",
	}, exactly(2 * time.Second)},
	{"Retry-After before resets", map[string]string{
		"Retry-After": "3", "x-ratelimit-reset-requests": "6m0s",
	}, exactly(3 * time.Second)},
	{"nonsense resets", map[string]string{"x-ratelimit-reset-tokens": "later"}, exactly(0)},
}
