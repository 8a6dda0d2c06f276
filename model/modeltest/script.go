package modeltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// Script is what a Server says, and how it fails.
type Script struct {
	Replies *scripted.Script `json:"replies,omitempty"` // nil: the built-in script
	Steps   []Step           `json:"steps,omitempty"`   // the first step that matches a request acts on it
}

// Step makes the requests that it matches go wrong, in whatever format they are. Chunks are the events of the format,
// counted from 0: in OpenAI's the first one carries the role, then come the pieces of text and of tool calls, then the
// one with the finish reason, then usage if it was asked for, then [DONE]. An answer that is not streamed has no
// chunks; there a cut, a stall or an end comes in the middle of the body. A number beyond the last chunk is never
// reached and so does nothing.
type Step struct {
	// Which requests. Conditions are joined by "and"; a step without any matches all.
	Call     int    `json:"call,omitempty"`     // the request with this number, counted from 1 since the server began
	Model    string `json:"model,omitempty"`    // requests for this model
	Contains string `json:"contains,omitempty"` // requests whose last user message contains this
	Times    int    `json:"times,omitempty"`    // only the first so many of those; 0: all

	// Before the answer.
	Delay   scripted.Duration `json:"delay,omitempty"`   // wait before anything is sent
	Reset   bool              `json:"reset,omitempty"`   // then reset the connection, sending nothing
	Status  int               `json:"status,omitempty"`  // or refuse with this status, 400 to 599
	Headers map[string]string `json:"headers,omitempty"` // headers of the response
	Error   *WireError        `json:"error,omitempty"`   // the body of the refusal, or the error of error_at
	Body    string            `json:"body,omitempty"`    // the body of the refusal, as it is

	// In the stream.
	Pace        scripted.Duration `json:"pace,omitempty"`         // wait before each chunk
	MalformedAt *int              `json:"malformed_at,omitempty"` // a broken chunk before the chunk with this number
	ErrorAt     *int              `json:"error_at,omitempty"`     // the error, instead of this chunk and all after it
	CutAfter    *int              `json:"cut_after,omitempty"`    // break the connection after so many chunks
	EndAfter    *int              `json:"end_after,omitempty"`    // end the response cleanly after so many chunks
	StallAfter  *int              `json:"stall_after,omitempty"`  // send nothing more after so many chunks
	NoDone      bool              `json:"no_done,omitempty"`      // leave out the event that closes the stream, as [DONE]

	// The answer itself.
	// This finish reason instead of the true one. Each format has its own word for stop, tool_calls, length and
	// content_filter; any other is sent as it is.
	Finish         string `json:"finish,omitempty"`
	NoFinish       bool   `json:"no_finish,omitempty"`       // no finish reason; the stream is closed all the same
	Empty          bool   `json:"empty,omitempty"`           // no text and no calls
	UnfinishedCall bool   `json:"unfinished_call,omitempty"` // the last tool call's arguments stop half-way
	Cached         int64  `json:"cached,omitempty"`          // so many tokens of the prompt came from a cache, at most all
}

// WireError is an error as a format carries it. A format without a field of that name puts it where it belongs: one
// that has a single word for the error takes Type, or else Code.
type WireError struct {
	Message string          `json:"message"`
	Type    string          `json:"type,omitempty"`
	Code    string          `json:"code,omitempty"`
	Param   string          `json:"param,omitempty"`
	Details json.RawMessage `json:"details,omitempty"` // any JSON value
}

// ParseScript reads and checks a script. Its errors are of kind fault.Config and name the place.
func ParseScript(data []byte) (*Script, error) {
	var s Script
	if err := scripted.Decode(data, &s); err != nil {
		return nil, fault.New(fault.Config, "modeltest.ParseScript", "%w", err)
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

// Validate reports everything that is wrong with s, as an error of kind fault.Config.
func (s *Script) Validate() error {
	var errs []error
	if s.Replies != nil {
		if _, err := scripted.NewPlayer(*s.Replies); err != nil {
			errs = append(errs, fmt.Errorf("replies: %w", err))
		}
	}
	for i := range s.Steps {
		for _, err := range s.Steps[i].check() {
			errs = append(errs, fmt.Errorf("steps[%d].%w", i, err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fault.New(fault.Config, "modeltest.Script", "%w", errors.Join(errs...))
}

func (s *Step) check() []error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(s.Call < 0, "call: %d is less than 0; requests are counted from 1", s.Call)
	bad(s.Times < 0, "times: %d is less than 0", s.Times)
	bad(s.Call > 0 && s.Times > 0, "times: means nothing with \"call\", which names one request")
	bad(s.Delay < 0, "delay: is less than 0")
	bad(s.Pace < 0, "pace: is less than 0")
	bad(s.Status != 0 && (s.Status < 400 || s.Status > 599), "status: %d is not between 400 and 599", s.Status)
	for _, p := range s.points() {
		bad(p.at != nil && *p.at < 0, "%s: is less than 0; chunks are counted from 0", p.name)
	}
	refuses := s.Status != 0 || s.Reset
	bad(s.Reset && s.Status != 0, "status: a connection that is reset has none")
	bad(refuses && s.streams(), "%s: the request is refused, so there is no answer to change", s.firstPoint())
	bad(s.Error != nil && s.Status == 0 && s.ErrorAt == nil, "error: needs \"status\" or \"error_at\"")
	bad(s.Error == nil && s.ErrorAt != nil, "error_at: needs \"error\"")
	bad(s.Error != nil && len(s.Error.Details) > 0 && !json.Valid(s.Error.Details), "error.details: is not JSON")
	bad(s.Cached < 0, "cached: %d is less than 0", s.Cached)
	bad(s.Body != "" && s.Status == 0, "body: needs \"status\"")
	bad(s.Body != "" && s.Error != nil, "body: a refusal has \"error\" or \"body\", not both")
	for name := range s.Headers {
		bad(!token(name), "headers: %q is not a header's name", name)
		framing := http.CanonicalHeaderKey(name)
		bad(framing == "Content-Length" || framing == "Transfer-Encoding", "headers: %s is set by the server", framing)
	}
	ends := 0
	for _, at := range []*int{s.ErrorAt, s.CutAfter, s.EndAfter, s.StallAfter} {
		if at != nil {
			ends++
		}
	}
	bad(ends > 1, "only one of error_at, cut_after, end_after and stall_after can be")
	bad(s.NoFinish && s.Finish != "", "no_finish: the step also gives a finish reason")
	bad(s.Empty && s.UnfinishedCall, "unfinished_call: an empty answer has no calls")
	bad(s.Delay == 0 && !refuses && !s.streams() && len(s.Headers) == 0 && len(errs) == 0, "has no effect")
	return errs
}

type point struct {
	name string
	at   *int
}

func (s *Step) points() []point {
	return []point{
		{"malformed_at", s.MalformedAt},
		{"error_at", s.ErrorAt},
		{"cut_after", s.CutAfter},
		{"end_after", s.EndAfter},
		{"stall_after", s.StallAfter},
	}
}

// streams reports that s changes the answer or how it is sent.
func (s *Step) streams() bool { return s.firstPoint() != "" }

func (s *Step) firstPoint() string {
	for _, p := range s.points() {
		if p.at != nil {
			return p.name
		}
	}
	switch {
	case s.Pace != 0:
		return "pace"
	case s.NoDone:
		return "no_done"
	case s.Finish != "":
		return "finish"
	case s.NoFinish:
		return "no_finish"
	case s.Empty:
		return "empty"
	case s.UnfinishedCall:
		return "unfinished_call"
	case s.Cached != 0:
		return "cached"
	}
	return ""
}

// token reports that name can be a header's name.
func token(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// matches reports that s is about request number call, apart from Times.
func (s *Step) matches(call int, model, text string) bool {
	return (s.Call == 0 || s.Call == call) && (s.Model == "" || s.Model == model) && strings.Contains(text, s.Contains)
}
