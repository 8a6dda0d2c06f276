package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel/fault"
)

// Problem is an error as a client sees it, RFC 9457.
type Problem struct {
	Type         string              `json:"type" doc:"Names the sort of problem: urn:agentkernel:problem: and the code" example:"urn:agentkernel:problem:not_found"`
	Title        string              `json:"title" doc:"The sort of problem in words" example:"Not found"`
	Status       int                 `json:"status" doc:"The HTTP status" example:"404"`
	Detail       string              `json:"detail" doc:"What happened this time"`
	Code         fault.Kind          `json:"code" doc:"The sort of problem, for programs" example:"not_found"`
	Retryable    bool                `json:"retryable" doc:"Whether the same request may succeed later"`
	RetryAfterMS int64               `json:"retry_after_ms,omitempty" doc:"The earliest sensible time to try again, in milliseconds from now"`
	SessionID    string              `json:"session_id,omitempty" doc:"The session it is about"`
	TurnID       string              `json:"turn_id,omitempty" doc:"The turn it is about; it exists, whatever the status"`
	RequestID    string              `json:"request_id,omitempty" doc:"Names this request in the server's log"`
	Try          string              `json:"try,omitempty" doc:"What the reader can do about it"`
	Errors       []*huma.ErrorDetail `json:"errors,omitempty" doc:"Which parts of the request are wrong, and how"`
	Text         string              `json:"error" doc:"The detail again, for clients that look for an error text"`
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of problems.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders are the headers that repeat parts of the problem for those who do not read bodies.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfterMS > 0 || p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		seconds := max(1, math.Ceil(float64(p.RetryAfterMS)/1000))
		h.Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
	}
	return h
}

func newProblem(kind fault.Kind, status int, format string, args ...any) *Problem {
	detail := fmt.Sprintf(format, args...)
	title := strings.ReplaceAll(string(kind), "_", " ")
	return &Problem{
		Type:  "urn:agentkernel:problem:" + string(kind),
		Title: strings.ToUpper(title[:1]) + title[1:], Status: status, Detail: detail, Text: detail,
		Code: kind, Retryable: kind.Trait().Retryable,
	}
}

// problemOf is an error of the kernel as a client sees it. Texts of faults are made to be shown; any other text is not,
// and goes to the log.
func (s *Server) problemOf(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		if p.RequestID == "" {
			p.RequestID = traceOf(ctx).id
		}
		return p
	}
	kind := fault.KindOf(err)
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		f = shown(f)
		p = newProblem(kind, kind.Trait().Status, "%s", f.Error())
		p.Try = f.Try
		p.RetryAfterMS = (f.After + time.Millisecond - 1).Milliseconds()
	case kind == fault.Cancelled:
		p = newProblem(kind, kind.Trait().Status, "the request was given up")
	case kind == fault.TimeoutTotal:
		p = newProblem(kind, kind.Trait().Status, "the request took too long")
	default:
		s.cfg.Logger.ErrorContext(ctx, "an error without a kind reached a client", "request_id", traceOf(ctx).id, "error", err)
		p = newProblem(fault.Internal, http.StatusInternalServerError, "something went wrong here")
		p.Try = "look for the request_id in the server's log"
	}
	t := traceOf(ctx)
	p.RequestID, p.SessionID, p.TurnID = t.id, t.session, t.turn
	return p
}

// shown is an error without the operation, which means something to developers only.
func shown(f *fault.Error) *fault.Error {
	c := *f
	c.Op = ""
	return &c
}

func init() {
	huma.NewError = newError
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := newError(status, msg, errs...).(*Problem)
		if ctx != nil {
			p.RequestID = traceOf(ctx.Context()).id
		}
		return p
	}
}

// newError is an error of huma's own as a problem.
func newError(status int, msg string, errs ...error) huma.StatusError {
	kind := fault.Internal
	switch status {
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		kind, status = fault.BadRequest, http.StatusBadRequest
	case http.StatusRequestEntityTooLarge:
		kind = fault.TooLarge
	case http.StatusUnsupportedMediaType, http.StatusNotAcceptable, http.StatusMethodNotAllowed:
		kind = fault.Unsupported
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusRequestTimeout:
		kind = fault.TimeoutTotal
	case http.StatusInternalServerError:
		if strings.HasPrefix(msg, "cannot read request body") { // the client's connection broke in the middle
			kind, status = fault.BadRequest, http.StatusBadRequest
		}
	}
	p := newProblem(kind, status, "%s", msg)
	for _, err := range errs {
		p.add(err)
	}
	if len(p.Errors) > 0 {
		first := p.Errors[0]
		p.Detail = strings.TrimPrefix(first.Location+": "+first.Message, ": ")
		if n := len(p.Errors) - 1; n > 0 {
			p.Detail += fmt.Sprintf(" (and %d more)", n)
		}
		p.Text = p.Detail
	}
	return p
}

// add keeps a detail of a failed validation. What was sent is repeated only where it is short: a body is never echoed.
func (p *Problem) add(err error) {
	if err == nil {
		return
	}
	d := &huma.ErrorDetail{Message: err.Error()}
	var from huma.ErrorDetailer
	if errors.As(err, &from) {
		own := *from.ErrorDetail()
		d = &own
	}
	if s, ok := d.Value.(string); strings.HasPrefix(d.Location, "body") || !ok || len(s) > 100 {
		d.Value = nil
	}
	p.Errors = append(p.Errors, d)
}
