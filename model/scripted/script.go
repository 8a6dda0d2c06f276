package scripted

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// Script says what to answer to what. It is plain data; [NewPlayer] checks it.
type Script struct {
	Rules     []Rule `json:"rules"`
	Otherwise *Stage `json:"otherwise,omitempty"` // when no rule applies; nil says the message back
}

// Rule answers the messages that When matches.
type Rule struct {
	When   string  `json:"when"`             // regular expression over the text of the last user message
	Files  bool    `json:"files,omitempty"`  // only if the last user message has files
	Recall string  `json:"recall,omitempty"` // regular expression over earlier user messages, the latest match counts
	Else   string  `json:"else,omitempty"`   // what to say if Recall matches nothing; empty: the rule does not apply
	Say    string  `json:"say,omitempty"`    // the first stage's text
	Calls  []Call  `json:"calls,omitempty"`  // the first stage's tool calls, all at once
	Then   []Stage `json:"then,omitempty"`   // the stages after it, each after the results of the one before
	Repeat bool    `json:"repeat,omitempty"` // after the last stage comes the first again: a model that never ends
}

// Stage is one answer of the model: a text, tool calls, or a text and then calls.
type Stage struct {
	Say   string `json:"say,omitempty"`
	Calls []Call `json:"calls,omitempty"`
}

// Call is a tool call to be made. References in the strings of Args, at any depth, are replaced.
type Call struct {
	Tool string         `json:"tool"`
	Args map[string]any `json:"args,omitempty"`
}

// Duration is a time.Duration that JSON writes as text, such as "250ms" or "1.5s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads; a negative duration is an error.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration such as \"250ms\" or \"2s\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes d as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Parse reads and checks a script. Its errors are of kind fault.Config and name the place.
func Parse(data []byte) (*Script, error) {
	var s Script
	if err := Decode(data, &s); err != nil {
		return nil, fault.New(fault.Config, "scripted.Parse", "%w", err)
	}
	if _, err := NewPlayer(s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Decode reads exactly one JSON value into v. It refuses fields that v does not have and anything after the value, and
// says on which line reading stopped.
func Decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more text after the end of the JSON value")
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return errors.New("the text is empty; a JSON object is expected")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the text ends in the middle of the JSON value")
	}
	at := dec.InputOffset()
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	} else if errors.As(err, &wrong) {
		at = wrong.Offset
	}
	line := 1 + bytes.Count(data[:min(max(at, 0), int64(len(data)))], []byte("\n"))
	return fmt.Errorf("line %d: %w", line, err)
}
