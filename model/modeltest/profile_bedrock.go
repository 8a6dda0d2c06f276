package modeltest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

func (bedrockWire) profile() *profile {
	const invalid, said = "ValidationException", "The model returned the following errors: "
	throttled := &WireError{Type: "ThrottlingException", Message: "Too many requests, please wait before trying again."}
	original := func(status string) json.RawMessage { return json.RawMessage(`{"originalStatusCode":` + status + `}`) }
	return &profile{
		refusals: []refusalRow{
			{429, WireError{Type: "ThrottlingException", Message: "Too many tokens, please wait before trying again."}, fault.Throttled},
			{429, WireError{Type: "ThrottlingException", Message: "Too many tokens per day, please wait before trying again."}, fault.Quota},
			{400, WireError{Type: "ServiceQuotaExceededException", Message: "over"}, fault.Quota},
			{429, WireError{Type: "ModelNotReadyException", Message: "not ready"}, fault.Overloaded},
			{503, WireError{Type: "ServiceUnavailableException", Message: "no capacity"}, fault.Overloaded},
			{500, WireError{Type: "InternalServerException", Message: "oh"}, fault.Transient},
			{408, WireError{Type: "ModelTimeoutException", Message: "late"}, fault.Transient},
			{424, WireError{Type: "ModelErrorException", Message: "oh"}, fault.Transient},
			{424, WireError{Type: "ModelErrorException", Message: "busy", Details: original("529")}, fault.Overloaded},
			{424, WireError{Type: "ModelErrorException", Message: "slower", Details: original("429")}, fault.Throttled},
			{403, WireError{Type: "AccessDeniedException", Message: "not authorized to perform"}, fault.Auth},
			{403, WireError{Type: "AccessDeniedException", Message: "You don't have access to the model with the specified model ID."}, fault.ModelGone},
			{403, WireError{Type: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}, fault.Auth},
			{403, WireError{Type: "ExpiredTokenException", Message: "expired"}, fault.Auth},
			{404, WireError{Type: "ResourceNotFoundException", Message: "no such model"}, fault.ModelGone},
			{400, WireError{Type: invalid, Message: "The provided model identifier is invalid."}, fault.ModelGone},
			{400, WireError{Type: invalid, Message: said + "Input is too long for requested model."}, fault.ContextOverflow},
			{400, WireError{Type: invalid, Message: said + "prompt is too long: 9 tokens > 8 maximum"}, fault.ContextOverflow},
			{400, WireError{Type: invalid, Message: "1 validation error detected"}, fault.Invalid},
			// The name counts before the status.
			{400, WireError{Type: "throttlingException"}, fault.Throttled},
			{500, WireError{Type: "ServiceUnavailableException"}, fault.Overloaded},
		},
		hints: slices.Concat(retryAfterHints(429, throttled, []headerRow{
			{"milliseconds", map[string]string{"x-amz-retry-after": "1500"}, exactly(1500 * time.Millisecond)},
			{"milliseconds before seconds", map[string]string{
				"x-amz-retry-after": "20", "Retry-After": "1",
			}, exactly(20 * time.Millisecond)},
		}...), []hintRow{{
			"of a used up quota", Step{
				Status: 400, Headers: map[string]string{"Retry-After": "3600"},
				Error: &WireError{Type: "ServiceQuotaExceededException"},
			}, fault.Quota, exactly(time.Hour),
		}}),
		errors: []errorRow{
			{WireError{Type: "throttlingException", Message: "slower"}, fault.Throttled},
			{WireError{Type: "serviceUnavailableException", Message: "busy"}, fault.Overloaded},
			{WireError{Type: "internalServerException", Message: "oh"}, fault.Transient},
			{WireError{Type: "modelStreamErrorException", Message: "broke"}, fault.Transient},
			{WireError{Type: "modelStreamErrorException", Message: "busy", Details: original("503")}, fault.Overloaded},
			{WireError{Type: "validationException", Message: said + "Input is too long for requested model."}, fault.ContextOverflow},
			{WireError{Type: "validationException", Message: "no"}, fault.Invalid},
		},
		finishes: map[string]fault.Kind{
			"guardrail_intervened": fault.Refused, "content_filter": fault.Refused, "malformed_tool_use": fault.Malformed,
			"model_context_window_exceeded": fault.ContextOverflow, "moonrise": fault.Unknown,
		},
		cannotNoCalls: true,
	}
}
