package httptool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/schema"
	"github.com/agentkernel/agentkernel/session"
)

// Spec says what a tool is and which request is a call of it. Name and Request are required; every other zero field has
// the default of [agentkernel.Tool].
type Spec struct {
	Name        string
	Description string
	Parameters  json.RawMessage // JSON Schema of the arguments, an object
	Effect      session.Effect
	Refuses     agentkernel.Refuses
	OnDoubt     agentkernel.OnDoubt
	Timeout     time.Duration // per call
	MaxResult   int           // bytes of a result that the model is shown

	Request   Request
	Reconcile *Request // asks what became of a call; nil means that nobody can tell
}

// Request is the template of a request.
type Request struct {
	Method  string            // empty means POST for a call and GET for reconcile
	URL     string            // absolute http or https, with {parameter} and {idempotency_key} behind the host
	Headers map[string]string // added to each request; the values are kept out of errors
}

// request is a checked Request.
type request struct {
	method   string
	template template
	headers  map[string]string
}

// tool is a checked Spec.
type tool struct {
	spec      Spec
	client    *Client
	args      *schema.Validator // nil accepts everything
	call, ask *request          // ask may be nil
	scrubber  scrubber          // for errors
	hush      scrubber          // for results
	once      bool
}

const defaultMaxResult = 256 << 10

// Tool makes a tool of a spec. The error is of kind fault.Config and names everything that is wrong with it.
func (c *Client) Tool(spec Spec) (*agentkernel.Tool, error) {
	t := &tool{spec: spec, client: c}
	t.once = spec.Effect != session.ReadOnly && spec.Effect != session.Idempotent
	var errs []error
	if len(spec.Parameters) > 0 {
		v, err := schema.Compile(spec.Parameters)
		if err != nil {
			errs = append(errs, fmt.Errorf("parameters: %w", err))
		}
		t.args = v
	}
	t.call = check("request", spec.Request, http.MethodPost, &errs)
	made := &agentkernel.Tool{
		Name: spec.Name, Description: spec.Description, Parameters: spec.Parameters, Effect: spec.Effect,
		Refuses: spec.Refuses, OnDoubt: spec.OnDoubt, Timeout: spec.Timeout, MaxResult: spec.MaxResult, Call: t.Call,
	}
	if spec.Reconcile != nil {
		t.ask = check("reconcile", *spec.Reconcile, http.MethodGet, &errs)
		made.Reconcile = t.Reconcile
	}
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "httptool.Tool", "tool %s: %w", spec.Name, errors.Join(errs...))
	}
	t.scrubber, t.hush = newScrubber(t.call, t.ask), newHush(t.call, t.ask)
	return made, nil
}

// ownHeaders are set here or by the protocol.
var ownHeaders = []string{
	"Idempotency-Key", "Ak-Epoch", "Ak-Turn-Id", "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade",
}

func check(what string, r Request, method string, errs *[]error) *request {
	out := &request{method: strings.ToUpper(cmp.Or(r.Method, method)), headers: map[string]string{}}
	switch out.method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		*errs = append(*errs, fmt.Errorf("%s: %s is no method that tools use", what, out.method))
	}
	var err error
	if out.template, err = newTemplate(r.URL); err != nil {
		*errs = append(*errs, fmt.Errorf("%s: url: %w", what, err))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		canonical := http.CanonicalHeaderKey(name)
		if slices.Contains(ownHeaders, canonical) {
			*errs = append(*errs, fmt.Errorf("%s: the header %s cannot be set", what, name))
		}
		out.headers[canonical] = r.Headers[name]
	}
	return out
}

func (t *tool) scrub(text string) string { return t.scrubber.clean(text) }

// limit is how much of a body is read: one byte more than is shown, so that the kernel sees that there is more.
func (t *tool) limit() int64 { return int64(cmp.Or(t.spec.MaxResult, defaultMaxResult)) + 1 }

// Call sends the request and makes the call's outcome of what comes back.
func (t *tool) Call(ctx context.Context, c agentkernel.ToolCall) (string, error) {
	raw, values, err := decodeArgs(c.Args)
	if err == nil && t.args != nil {
		err = t.args.Check(raw)
	}
	if err != nil {
		return "", fault.New(fault.BadRequest, "", "the arguments do not fit the tool's parameters, so nothing was done: %w", err)
	}
	s, err := t.prepare(ctx, t.call, c, raw, values)
	if err != nil {
		return "", fault.New(fault.BadRequest, "", "nothing was done: %w", err)
	}
	s.once = t.once
	a, err := t.client.send(s)
	if err != nil {
		return "", t.failure(s, err)
	}
	return t.resultOf(a)
}

// Reconcile asks what became of a call. An error says why that is not known.
func (t *tool) Reconcile(ctx context.Context, c agentkernel.ToolCall) (agentkernel.Finding, error) {
	unknown := agentkernel.Finding{Outcome: session.StaysUnknown}
	raw, values, err := decodeArgs(c.Args)
	if err != nil {
		return unknown, fault.New(fault.BadRequest, "", "%w", err)
	}
	s, err := t.prepare(ctx, t.ask, c, raw, values)
	if err != nil {
		return unknown, fault.New(fault.BadRequest, "", "%w", err)
	}
	a, err := t.client.send(s)
	if err != nil {
		return unknown, t.failure(s, err)
	}
	switch a.status {
	case http.StatusOK:
		return agentkernel.Finding{Outcome: session.Happened, Result: t.hush.stars(a.body)}, nil
	case http.StatusNotFound:
		fenced, _ := strconv.ParseBool(a.header.Get("AK-Fenced"))
		return agentkernel.Finding{Outcome: session.DidNotHappen, Fenced: fenced}, nil
	}
	// The body is not in the error: nobody is shown it but the log, which may not hold what customers wrote.
	return unknown, fault.New(fault.Unknown, "", "the tool's server answered with status %d, which does not say what became of the call", a.status)
}

// prepare makes the request of its template. Only a call of a method without a body has its arguments in the query; a
// question has what its template names, and nothing else.
func (t *tool) prepare(ctx context.Context, r *request, c agentkernel.ToolCall, raw json.RawMessage, values map[string]any) (*sending, error) {
	u, err := r.template.expand(values, c.Key)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	switch {
	case r.method != http.MethodGet && r.method != http.MethodDelete:
		body = bytes.NewReader(raw)
	case r == t.call:
		if err := r.template.addQuery(u, values); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, errors.New("the arguments make no valid request")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "agentkernel")
	s := &sending{req: req, limit: t.limit()}
	for name, value := range r.headers {
		req.Header.Set(name, value)
		s.secret = append(s.secret, name)
	}
	req.Header.Set("Idempotency-Key", c.Key)
	req.Header.Set("AK-Epoch", strconv.FormatUint(c.Epoch, 10))
	req.Header.Set("AK-Turn-Id", c.Turn)
	return s, nil
}
