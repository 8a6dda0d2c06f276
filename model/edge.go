package model

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// This file and its neighbours hold what every provider needs at its edge, so that it is decided once: when an answer
// counts, what a lost connection means, which hint is a hint.

// Settle makes the finish of an answer, whose terminal event was seen, fit what it holds: some servers say stop where
// they mean calls. An answer that is not complete is an error of kind fault.Truncated: one without text and calls, or
// one that ends for calls that did not come.
func Settle(a *Answer) error {
	calls := len(a.Message.Calls())
	blank := strings.TrimSpace(a.Message.Text()) == ""
	switch {
	case calls > 0 && a.Finish == FinishStop:
		a.Finish = FinishCalls
	case calls == 0 && a.Finish == FinishCalls:
		return fault.New(fault.Truncated, "", "the answer ended for tool calls, but none came")
	case calls == 0 && blank && a.Finish == FinishLength:
		return fault.New(fault.Truncated, "", "the bound on the answer was used up before it said anything")
	case calls == 0 && blank:
		return fault.New(fault.Truncated, "", "the answer is empty")
	}
	return nil
}

// CallOf is the tool call number i of an answer, counted from 0. No arguments are an empty object. A call without a
// name, or whose arguments are not a JSON object, is an error of kind fault.Truncated.
func CallOf(i int, id, name string, args []byte) (*Call, error) {
	if args = bytes.TrimSpace(args); len(args) == 0 || string(args) == "null" { // how some servers write "no arguments"
		args = []byte("{}")
	}
	var object map[string]json.RawMessage
	switch {
	case name == "":
		return nil, fault.New(fault.Truncated, "", "tool call %d has no name", i+1)
	case json.Unmarshal(args, &object) != nil || object == nil:
		return nil, fault.New(fault.Truncated, "", "the arguments of tool call %d (%s) are not a JSON object", i+1, name)
	}
	return &Call{ID: id, Name: name, Args: args}, nil
}

// Cancelled is the failure of a call whose context has ended.
func Cancelled(ctx context.Context, op string) error {
	return fault.New(fault.Cancelled, op, "the call was cancelled: %w", context.Cause(ctx))
}

// NoResponse is the failure of a request that got no response: Cancelled if ctx ended, TimeoutFirstToken if the HTTP
// client has a time-out of its own, and else Transient.
func NoResponse(ctx context.Context, op string, err error, scrub *Scrubber) error {
	if ctx.Err() != nil {
		return Cancelled(ctx, op)
	}
	kind := fault.Transient
	var dial *net.OpError
	if timedOut(err) && !(errors.As(err, &dial) && dial.Op == "dial") {
		kind = fault.TimeoutFirstToken
	}
	return fault.New(kind, op, "no response: %s", scrub.Clean(err.Error()))
}

// BrokenOff is the failure of a response that began well and could not be read to its end, for the reason that text
// gives: Cancelled if ctx ended, TimeoutTotal if err is a time-out of the HTTP client, and else Truncated.
func BrokenOff(ctx context.Context, op string, err error, text string, scrub *Scrubber) error {
	switch {
	case ctx.Err() != nil:
		return Cancelled(ctx, op)
	case timedOut(err): // of the HTTP client, for the context lives
		return fault.New(fault.TimeoutTotal, op, "%s", scrub.Clean(text))
	}
	return fault.New(fault.Truncated, op, "%s", scrub.Clean(text))
}

// Capture takes the response of an SDK's request where it comes in, and gives the SDK one of status 200 with nothing in
// it: the SDKs read the body of a refusal without bound and keep only parts of it, and take an end of a stream for its
// success. It serves one call, as the SDK's middleware.
type Capture struct{ raw *http.Response }

// Next sends the request with next and keeps the response.
func (c *Capture) Next(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	res, err := next(req)
	if err != nil || res == nil {
		return res, err
	}
	c.raw = res
	empty := *res
	empty.StatusCode, empty.Body = http.StatusOK, io.NopCloser(strings.NewReader(""))
	return &empty, nil
}

// Response is what came in, of any status, given what the SDK returned; its body is the caller's to close.
func (c *Capture) Response(err error) (*http.Response, error) {
	switch {
	case err != nil && c.raw != nil:
		_ = c.raw.Body.Close()
		return nil, err
	case err == nil && c.raw == nil:
		return nil, errors.New("the SDK returned no response")
	}
	return c.raw, err
}

// Drain reads what is left of a response whose answer is complete, for a short while: read to the end, the connection
// can be used again, but an answer is not to be held back for it.
func Drain(body io.ReadCloser) {
	t := time.AfterFunc(50*time.Millisecond, func() { _ = body.Close() })
	defer t.Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 4<<10)) // failing means only that the connection is not kept
}

// CheckAccess reports what is wrong with an API key, if there is one, and with a base URL that shall look like example.
// No error's text contains them.
func CheckAccess(key, base, example string) []error {
	var errs []error
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		errs = append(errs, errors.New("the API key contains a space or a character that a header cannot carry"))
	}
	// The text of the parser's error contains the address, and that may contain a password.
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, errors.New("the base URL must be a full http or https address, such as "+example))
	} else if u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, errors.New("the base URL must have no query and no fragment, which no SDK would send"))
	}
	return errs
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// ReadRefusal reads the body of a response with an error status, at most 64 KiB of it; the rest of a body that breaks
// off is not missed, for the status is there. The text is what to show where the body is not of the provider's form.
// The error is Cancelled.
func ReadRefusal(ctx context.Context, op string, res *http.Response) (body []byte, text string, err error) {
	body, err = io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil && ctx.Err() != nil {
		return nil, "", Cancelled(ctx, op)
	}
	text = strings.TrimSpace(string(body))
	if text == "" || strings.HasPrefix(text, "<") { // a gateway's page says nothing that helps
		text = http.StatusText(res.StatusCode)
	}
	return body, text, nil
}

// Failure is the error for what a provider reported: of a kind, with a text that is made safe, a hint when to come back
// (0: none), and the advice that belongs to the kind.
func Failure(kind fault.Kind, op, text string, after time.Duration, scrub *Scrubber) error {
	e := fault.New(kind, op, "%s", scrub.Clean(text)).WithAfter(after)
	if try := Advice(kind); try != "" {
		e = e.WithTry("%s", try)
	}
	return e
}

// NewHTTPClient is an HTTP client for a provider. It differs from http.DefaultClient in keeping as many idle
// connections as an agent's parallel calls need, and in following no redirects: the key is in a header that would be
// sent along to wherever they lead. It sets no time-out: the caller's context is the clock.
func NewHTTPClient() *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
		c.Transport = t
	}
	return c
}
