package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is a failure with a kind. Its text is safe to show to a client: causes that may carry secrets are scrubbed by
// the code that makes the Error.
type Error struct {
	Op    string        // what was being done, as "package.Verb" or a route; may be empty
	Kind  Kind          // what sort of failure it is
	Msg   string        // what happened, in a sentence without the final stop; may be empty when Err says it
	Try   string        // what the reader can do about it; may be empty
	After time.Duration // the earliest sensible time to try again, 0 when nothing is known
	Err   error         // the cause, may be nil
}

// New makes an Error of a kind with a formatted message; a %w verb sets the cause.
func New(kind Kind, op, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Op: op, Kind: kind, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// WithTry returns a copy of e that also says what the reader can do.
func (e *Error) WithTry(format string, args ...any) *Error {
	c := *e
	c.Try = fmt.Sprintf(format, args...)
	return &c
}

// WithAfter returns a copy of e that says when trying again makes sense.
func (e *Error) WithAfter(d time.Duration) *Error {
	c := *e
	c.After = d
	return &c
}

func (e *Error) Error() string {
	text := e.Msg
	if text == "" && e.Err != nil {
		text = e.Err.Error()
	}
	if text == "" {
		text = string(e.Kind)
	}
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Is reports that two Errors are the same failure when the target names only a kind, so that
// errors.Is(err, &fault.Error{Kind: fault.NotFound}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.Msg == "" && t.Err == nil && t.Kind == e.Kind
}

// KindOf is the kind of the first Error in err's chain; context errors without one are Cancelled or TimeoutTotal, and
// anything else is Unknown. Only nil has the empty kind.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		if e.Kind == "" {
			return Unknown
		}
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return TimeoutTotal
	}
	return Unknown
}

// After is the retry hint of the first Error in err's chain, 0 when there is none.
func After(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

// Try is the advice of the first Error in err's chain, empty when there is none.
func Try(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Try
	}
	return ""
}
