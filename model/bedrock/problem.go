package bedrock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const op = "bedrock.Generate"

// maxRefusal bounds what is read of a refusal's body, in bytes.
const maxRefusal = 64 << 10

// problem is a failure as the provider reports it, or as the check of an answer finds it.
type problem struct {
	kind     fault.Kind // decided already if not empty
	status   int        // 0 inside a stream
	name     string     // of the exception
	msg      string
	original int // the status that a model's own server gave, where it is passed on
}

func (p *problem) Error() string {
	name := p.name
	if p.status != 0 {
		name = strings.TrimSpace(strconv.Itoa(p.status) + " " + name)
	}
	switch {
	case p.msg == "" && name == "":
		return "the provider reported an error without saying which"
	case p.msg == "":
		return name
	case name == "":
		return p.msg
	}
	return name + ": " + p.msg
}

// parseProblem reads the body of an exception; what is not JSON becomes the text.
func parseProblem(data []byte) *problem {
	var fields struct {
		Message  any `json:"message"` // names are compared without case
		Type     any `json:"__type"`
		Code     any `json:"code"`
		Original any `json:"originalStatusCode"`
	}
	text := strings.TrimSpace(string(data))
	if json.Unmarshal(data, &fields) != nil {
		if strings.HasPrefix(text, "<") { // a gateway's page says nothing that helps
			text = ""
		}
		return &problem{msg: text}
	}
	p := &problem{msg: word(fields.Message), name: exceptionName(word(fields.Type))}
	if p.name == "" {
		p.name = exceptionName(word(fields.Code))
	}
	if n, err := strconv.Atoi(word(fields.Original)); err == nil && n >= 400 && n <= 599 {
		p.original = n
	}
	return p
}

// exceptionName takes the name out of forms such as "namespace#Name:address".
func exceptionName(s string) string {
	s, _, _ = strings.Cut(s, ":")
	if i := strings.LastIndexByte(s, '#'); i >= 0 {
		s = s[i+1:]
	}
	return strings.TrimSpace(s)
}

// word is a field that is written as a text, a number or null.
func word(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// refusal is the fault of a response with another status than 200.
func refusal(ctx context.Context, res *http.Response, scrub *model.Scrubber) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil && ctx.Err() != nil {
		return model.Cancelled(ctx, op)
	}
	p := parseProblem(body) // a body that was cut still has its status
	if name := exceptionName(res.Header.Get("X-Amzn-Errortype")); name != "" {
		p.name = name
	}
	if p.msg == "" {
		p.msg = http.StatusText(res.StatusCode)
	}
	p.status = res.StatusCode
	return p.failure(res.Header, scrub)
}

// failure turns p into the error that Generate returns.
func (p *problem) failure(h http.Header, scrub *model.Scrubber) error {
	kind := classify(p)
	e := fault.New(kind, op, "%s", scrub.Clean(p.Error())).WithAfter(retryAfter(h))
	if try := advice(kind); try != "" {
		e = e.WithTry("%s", try)
	}
	return e
}

// failure is the error for an answer that could not be read or does not stand.
func (a *assembly) failure(ctx context.Context, res *http.Response, err error, scrub *model.Scrubber) error {
	var p *problem
	if errors.As(err, &p) {
		// Headers of a 200 tell the state before this call, so they hint at nothing.
		return p.failure(nil, scrub)
	}
	text := err.Error()
	if !errors.Is(err, errUnfinished) {
		text = "the answer broke off: " + text
	}
	if a.skipped > 0 {
		text += fmt.Sprintf("; %d events were not JSON", a.skipped)
	}
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/vnd.amazon.eventstream") {
		text += fmt.Sprintf("; its content type was %q", ct)
	}
	return model.BrokenOff(ctx, op, err, text, scrub)
}

// credentialsFault is the error for credentials that cannot be had.
func credentialsFault(ctx context.Context, err error, scrub *model.Scrubber) error {
	if ctx.Err() != nil {
		return model.Cancelled(ctx, op)
	}
	return fault.New(fault.Auth, op, "no AWS credentials: %s", scrub.Clean(err.Error())).
		WithTry("set AWS credentials where AWS tools find them, or a Bedrock API key")
}

// retryAfter is when h says that trying again makes sense, from now; 0 if it does not say.
func retryAfter(h http.Header) time.Duration {
	if d, ok := model.HintOf(h.Get("X-Amz-Retry-After"), time.Millisecond); ok {
		return d
	}
	d, _ := model.RetryAfter(h, time.Now())
	return d
}
