package gemini

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

const op = "gemini.Generate"

// maxRefusal bounds what is read of a refusal's body, in bytes.
const maxRefusal = 64 << 10

// problem is a failure as the provider reports it, or as the check of an answer finds it.
type problem struct {
	kind    fault.Kind // decided already if not empty
	status  int        // of the response; 0 inside a stream
	code    int        // the status that the error itself names
	word    string     // as RESOURCE_EXHAUSTED
	msg     string
	reasons []string      // of the ErrorInfo details
	retry   time.Duration // of the RetryInfo details
	daily   bool          // a quota of a day, or one of nothing, is violated
}

func (p *problem) Error() string {
	status := p.status
	if status == 0 {
		status = p.code
	}
	name := p.word
	if status != 0 {
		name = strings.TrimSpace(strconv.Itoa(status) + " " + name)
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
		Code    any               `json:"code"`
		Status  any               `json:"status"`
		Message any               `json:"message"`
		Details []json.RawMessage `json:"details"`
	}
	if json.Unmarshal(raw, &fields) != nil {
		return &problem{msg: string(raw)}
	}
	p := &problem{word: word(fields.Status), msg: word(fields.Message)}
	code := word(fields.Code)
	if n, err := strconv.Atoi(code); err != nil {
		if p.word == "" {
			p.word = code // gateways write the word there
		}
	} else if n >= 400 && n <= 599 {
		p.code = n
	}
	for _, d := range fields.Details {
		p.addDetail(d)
	}
	return p
}

// addDetail reads one of the standard details of an error; others are passed over.
func (p *problem) addDetail(raw json.RawMessage) {
	var d struct {
		Type       string          `json:"@type"`
		Reason     string          `json:"reason"`
		RetryDelay json.RawMessage `json:"retryDelay"`
		Violations []struct {
			ID    string `json:"quotaId"`
			Value any    `json:"quotaValue"`
		} `json:"violations"`
		Metadata struct {
			Limit string `json:"quota_limit"`
			Value string `json:"quota_limit_value"`
		} `json:"metadata"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return
	}
	daily := func(id, value string) {
		p.daily = p.daily || strings.Contains(strings.ToLower(id), "perday") || value == "0"
	}
	switch {
	case strings.HasSuffix(d.Type, "google.rpc.ErrorInfo"):
		p.reasons = append(p.reasons, d.Reason)
		daily(d.Metadata.Limit, d.Metadata.Value)
	case strings.HasSuffix(d.Type, "google.rpc.RetryInfo"):
		p.retry = delay(d.RetryDelay)
	case strings.HasSuffix(d.Type, "google.rpc.QuotaFailure"):
		for _, v := range d.Violations {
			daily(v.ID, word(v.Value))
		}
	}
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

// looseProblem finds an error in a body of any shape: {"error": …}, the fields themselves, or a list with one of these.
// It is nil if there is none.
func looseProblem(data []byte) *problem {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		data = list[0]
	}
	var outer struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(data, &outer) != nil {
		return nil
	}
	if p := parseProblem(outer.Error); p != nil {
		return p
	}
	if outer.Message != "" {
		return parseProblem(data)
	}
	return nil
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
	after := p.retry
	if after == 0 {
		after, _ = model.RetryAfter(h, time.Now())
	}
	e := fault.New(kind, op, "%s", scrub.Clean(p.Error())).WithAfter(after)
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
