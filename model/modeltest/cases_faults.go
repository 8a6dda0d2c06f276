package modeltest

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// refusalCases are responses with an error status, or none.
func refusalCases(f *profile) []*testCase {
	rows := slices.Concat(f.refusals, plainRefusals)
	var cases []*testCase
	for _, r := range rows {
		words := []string{"status", http.StatusText(r.status), r.err.Code, r.err.Message}
		if r.err.Code == "" && r.err.Message == "" {
			words[2] = r.err.Type
		}
		name := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
		cases = append(cases, &testCase{name: name, kind: r.want, step: Step{Status: r.status, Error: &r.err}})
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
	base := "http://" + l.Addr().String() + p.wire.base()
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
func hintCases(f *profile) []*testCase {
	var cases []*testCase
	for _, r := range f.hints {
		cases = append(cases, &testCase{name: "hint " + r.name, kind: r.kind, after: r.want, step: r.step})
	}
	return cases
}
