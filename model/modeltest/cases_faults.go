package modeltest

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// refusalCases are responses with an error status, or none.
func refusalCases() []*testCase {
	rows := []struct {
		status    int
		code, typ string
		text      string
		want      fault.Kind
	}{
		{429, "rate_limit_exceeded", "requests", "Rate limit reached for requests", fault.Throttled},
		{429, "slow_down", "", "Please ramp up slowly", fault.Throttled},
		{429, "", "", "Too many requests", fault.Throttled},
		{429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota", fault.Quota},
		{429, "credit_balance_exhausted", "insufficient_quota", "No credit is left", fault.Quota},
		{402, "", "", "Payment required", fault.Quota},
		{500, "", "server_error", "The server had an error", fault.Transient},
		{502, "", "", "Bad gateway", fault.Transient},
		{504, "", "", "Gateway timeout", fault.Transient},
		{408, "", "", "Request timeout", fault.Transient},
		{503, "", "server_error", "The engine is busy", fault.Overloaded},
		{500, "server_is_overloaded", "server_error", "Overloaded", fault.Overloaded},
		{401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided", fault.Auth},
		{401, "", "", "Unauthorized", fault.Auth},
		{403, "", "", "Forbidden", fault.Auth},
		{404, "model_not_found", "invalid_request_error", "The model does not exist", fault.ModelGone},
		{400, "context_length_exceeded", "invalid_request_error", "Too long", fault.ContextOverflow},
		{400, "content_filter", "", "The prompt was filtered", fault.Refused},
		{400, "", "invalid_request_error", "Unknown parameter", fault.Invalid},
		{422, "", "invalid_request_error", "Unprocessable", fault.Invalid},
		// The code counts before the status, and the status before the text.
		{400, "rate_limit_exceeded", "", "", fault.Throttled},
		{500, "", "", "It says rate limit, and means nothing by it", fault.Transient},
	}
	var cases []*testCase
	for _, r := range rows {
		name := strings.TrimSpace(strings.Join([]string{"status", http.StatusText(r.status), r.code, r.text}, " "))
		cases = append(cases, &testCase{name: name, kind: r.want, step: Step{
			Status: r.status, Error: &WireError{Code: r.code, Type: r.typ, Message: r.text},
		}})
	}
	return append(cases,
		&testCase{name: "a gateway's page", kind: fault.Transient, step: Step{
			Status: 502, Body: "<html><h1>502 Bad Gateway</h1></html>", Headers: map[string]string{"Content-Type": "text/html"},
		}},
		&testCase{name: "a refusal without a body", kind: fault.Overloaded, step: Step{Status: 503, Body: " "}},
		&testCase{name: "connection reset", kind: fault.Transient, step: Step{Reset: true}},
		&testCase{name: "connection refused", check: connectionRefused},
		&testCase{name: "the credential is in no error's text", check: secretsStayInside},
	)
}

func connectionRefused(p *probe) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if !p.expect(err == nil, "listen: %v", err) {
		return
	}
	base := "http://" + l.Addr().String() + "/v1"
	_ = l.Close() // nobody listens there any more
	provider, err := p.h.New(base)
	if !p.expect(err == nil, "New failed: %v", err) {
		return
	}
	old := p.provider
	p.provider = provider
	defer func() { p.provider = old }()
	if o := p.generate(p.ctx, question("x")); o != nil {
		p.expectKind(o, fault.Transient)
	}
}

// secretsStayInside has the server repeat the credential in every place that an error's text could come from.
func secretsStayInside(p *probe) {
	leak := "Incorrect API key provided: " + p.h.Secret + ", that is " + strings.Repeat(p.h.Secret, 3)
	for _, step := range []Step{
		{Status: 401, Error: &WireError{Message: leak}},
		{Status: 401, Error: &WireError{Message: "no", Code: p.h.Secret}},
		{Status: 401, Error: &WireError{Message: "no", Type: p.h.Secret}},
		{Status: 401, Error: &WireError{Message: strings.Repeat(".", 395) + leak}},
		{Status: 500, Body: leak},
		{Error: &WireError{Message: leak}, ErrorAt: new(1)},
		{Finish: leak},
	} {
		if err := p.server.SetScript(Script{Steps: []Step{step}}); !p.expect(err == nil, "SetScript: %v", err) {
			continue
		}
		if o := p.generate(p.ctx, question("x")); o != nil {
			p.expect(o.err != nil, "a step %+v led to no failure", step)
		}
	}
}

// hintCases are about when to come back.
func hintCases() []*testCase {
	exact := func(d time.Duration) [2]time.Duration { return [2]time.Duration{d, d} }
	rows := []struct {
		name    string
		headers map[string]string
		want    [2]time.Duration
	}{
		{"none", nil, exact(0)},
		{"seconds", map[string]string{"Retry-After": "7"}, exact(7 * time.Second)},
		{"fraction of a second", map[string]string{"Retry-After": "0.25"}, exact(250 * time.Millisecond)},
		{"milliseconds", map[string]string{"retry-after-ms": "1500"}, exact(1500 * time.Millisecond)},
		{"milliseconds before seconds", map[string]string{
			"retry-after-ms": "20", "Retry-After": "1",
		}, exact(20 * time.Millisecond)},
		{"reset of requests", map[string]string{"x-ratelimit-reset-requests": "6m0s"}, exact(6 * time.Minute)},
		{"reset of tokens", map[string]string{"x-ratelimit-reset-tokens": "120ms"}, exact(120 * time.Millisecond)},
		{"the later reset", map[string]string{
			"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "1m30s",
		}, exact(90 * time.Second)},
		{"the reset of what is used up", map[string]string{
			"x-ratelimit-reset-requests": "2s", "x-ratelimit-remaining-requests": "0",
			"x-ratelimit-reset-tokens": "1m30s", "x-ratelimit-remaining-tokens": "900",
		}, exact(2 * time.Second)},
		{"Retry-After before resets", map[string]string{
			"Retry-After": "3", "x-ratelimit-reset-requests": "6m0s",
		}, exact(3 * time.Second)},
		{"nonsense", map[string]string{"Retry-After": "soon", "x-ratelimit-reset-tokens": "later"}, exact(0)},
		{"negative", map[string]string{"Retry-After": "-4"}, exact(0)},
		{"date", map[string]string{
			"Retry-After": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat),
		}, [2]time.Duration{58 * time.Minute, time.Hour + time.Second}},
		{"date in the past", map[string]string{"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"}, exact(0)},
	}
	var cases []*testCase
	for _, r := range rows {
		cases = append(cases, &testCase{name: "hint " + r.name, kind: fault.Throttled, after: r.want, step: Step{
			Status: 429, Headers: r.headers, Error: &WireError{Code: "rate_limit_exceeded", Message: "slower, please"},
		}})
	}
	return append(cases,
		&testCase{name: "hint of an overloaded server", kind: fault.Overloaded, after: exact(9 * time.Second),
			step: Step{Status: 503, Headers: map[string]string{"Retry-After": "9"}}},
		&testCase{name: "hint of a used up quota", kind: fault.Quota, after: exact(time.Hour), step: Step{
			Status: 429, Headers: map[string]string{"Retry-After": "3600"}, Error: &WireError{Code: "insufficient_quota"},
		}},
	)
}
