package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// maxRefusal bounds what is read of a refusal's body, in bytes.
const maxRefusal = 64 << 10

// problem is a failure as the provider reports it.
type problem struct {
	status int // 0 inside a stream
	code   string
	typ    string
	msg    string
}

func (p *problem) Error() string {
	name := p.typ
	if p.code != "" {
		name = p.code
	}
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

// parseProblem reads a body or an event of the form {"type":"error","error":{…}}; nil if it is none.
func parseProblem(data []byte) *problem {
	var outer struct {
		Error *struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Details struct {
				Code string `json:"error_code"`
			} `json:"details"`
		} `json:"error"`
	}
	// A field of another shape leaves the others readable.
	var shape *json.UnmarshalTypeError
	if err := json.Unmarshal(data, &outer); err != nil && !errors.As(err, &shape) || outer.Error == nil {
		return nil
	}
	return &problem{code: outer.Error.Details.Code, typ: outer.Error.Type, msg: outer.Error.Message}
}

// refusal is the fault of a response with another status than 200.
func refusal(ctx context.Context, res *http.Response, scrub *model.Scrubber) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil && ctx.Err() != nil {
		return model.Cancelled(ctx, op)
	}
	p := parseProblem(body) // a body that was cut still has its status
	if p == nil {
		p = &problem{msg: strings.TrimSpace(string(body))}
		if p.msg == "" || strings.HasPrefix(p.msg, "<") { // a gateway's page says nothing that helps
			p.msg = http.StatusText(res.StatusCode)
		}
	}
	p.status = res.StatusCode
	return p.failure(res.Header, scrub)
}

// failure turns p into the error that Generate returns.
func (p *problem) failure(h http.Header, scrub *model.Scrubber) error {
	kind := table.Kind(p.status, p.msg, p.code, p.typ)
	e := fault.New(kind, op, "%s", scrub.Clean(p.Error())).WithAfter(retryAfter(h, kind, time.Now()))
	if try := model.Advice(kind); try != "" {
		e = e.WithTry("%s", try)
	}
	return e
}

// failure is the error for an answer that could not be read or does not stand.
func failure(ctx context.Context, err error, scrub *model.Scrubber) error {
	var p *problem
	var e *fault.Error
	switch {
	case errors.As(err, &p):
		// Headers of a 200 tell the state before this call, so they hint at nothing.
		return p.failure(nil, scrub)
	case errors.As(err, &e):
		return fault.New(e.Kind, op, "%s", scrub.Clean(e.Error()))
	case errors.Is(err, errUnfinished):
		return model.BrokenOff(ctx, op, err, err.Error(), scrub)
	}
	return model.BrokenOff(ctx, op, err, "the answer broke off: "+err.Error(), scrub)
}

// retryAfter is when h says that trying again makes sense, from now; 0 if it does not say. The limits' resets are sent
// with every response, so they matter only where a limit is what failed.
func retryAfter(h http.Header, kind fault.Kind, now time.Time) time.Duration {
	if d, ok := model.RetryAfter(h, now); ok {
		return d
	}
	if kind != fault.Throttled {
		return 0
	}
	var limits []model.Limit
	for _, name := range []string{"Requests", "Tokens", "Input-Tokens", "Output-Tokens"} {
		name = "Anthropic-Ratelimit-" + name
		if at, err := time.Parse(time.RFC3339, strings.TrimSpace(h.Get(name+"-Reset"))); err == nil {
			limits = append(limits, model.Limit{Reset: model.Until(at, h, now), Remaining: h.Get(name + "-Remaining")})
		}
	}
	return model.Resets(limits)
}
