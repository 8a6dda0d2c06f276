package openai

import (
	"bytes"
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

const op = "openai.Generate"

// maxRefusal bounds what is read of a refusal's body, in bytes.
const maxRefusal = 64 << 10

// problem is a failure as the provider reports it, or as the check of an answer finds it.
type problem struct {
	kind   fault.Kind // decided already if not empty
	status int        // 0 inside a stream
	code   string
	typ    string
	word   string // a status word, as some servers give it beside the code
	msg    string
}

func (p *problem) Error() string {
	name := p.code
	if name == "" {
		name = p.typ
	}
	if p.status != 0 && name != strconv.Itoa(p.status) {
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

// parseProblem reads the value of an "error" field: an object, a text, or nothing.
func parseProblem(raw json.RawMessage) *problem {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return &problem{msg: text}
	}
	var fields struct {
		Code    any    `json:"code"`
		Type    any    `json:"type"`
		Status  any    `json:"status"`
		Message any    `json:"message"`
		Inner   *inner `json:"innererror"`
	}
	if json.Unmarshal(raw, &fields) != nil {
		return &problem{msg: string(raw)}
	}
	p := &problem{code: word(fields.Code), typ: word(fields.Type), word: word(fields.Status), msg: word(fields.Message)}
	if p.code == "" && fields.Inner != nil {
		p.code = fields.Inner.Code
	}
	return p
}

// inner is where a filter's code is put by servers that put a general one outside.
type inner struct {
	Code string `json:"code"`
}

// word is a field that servers write as a text, a number or null.
func word(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// looseProblem finds an error in a body of any shape: {"error": …}, the fields themselves, a list with one of these, or
// {"detail": …}. It is nil if there is none.
func looseProblem(data []byte) *problem {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		data = list[0]
	}
	var outer struct {
		Error   json.RawMessage `json:"error"`
		Detail  json.RawMessage `json:"detail"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(data, &outer) != nil {
		return nil
	}
	object := bytes.HasPrefix(bytes.TrimSpace(outer.Error), []byte("{"))
	if outer.Message != "" && !object {
		return parseProblem(data)
	}
	if p := parseProblem(outer.Error); p != nil {
		return p
	}
	return parseProblem(outer.Detail)
}

// refusal is the fault of a response with another status than 200.
func refusal(ctx context.Context, res *http.Response, scrub *model.Scrubber) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil && ctx.Err() != nil {
		return model.Cancelled(ctx, op)
	}
	p := looseProblem(body) // a body that was cut still has its status
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
	kind := classify(p)
	e := fault.New(kind, op, "%s", scrub.Clean(p.Error())).WithAfter(retryAfter(h, time.Now()))
	if try := model.Advice(kind); try != "" {
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
		text += fmt.Sprintf("; %d chunks were not JSON", a.skipped)
	}
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
		text += fmt.Sprintf("; its content type was %q", ct)
	}
	return model.BrokenOff(ctx, op, err, text, scrub)
}
