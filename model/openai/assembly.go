package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/agentkernel/agentkernel/model"
)

const (
	maxAnswer = 8 << 20 // bytes of text and arguments in one answer
	maxCalls  = 128     // tool calls in one answer
)

var (
	errUnfinished = errors.New("the answer ended without a finish reason")
	errTooBig     = errors.New("the answer is longer than 8 MiB or has more than 128 tool calls")
)

// chunk is the part of a chunk, or of a whole completion, that is used. The SDK's own types would refuse a whole chunk
// for one field of another shape, and compatible servers differ in such fields.
type chunk struct {
	Model   string          `json:"model"`
	Choices []choice        `json:"choices"`
	Usage   *usage          `json:"usage"`
	Error   json.RawMessage `json:"error"`
	Object  string          `json:"object"`
}

type choice struct {
	Index        int             `json:"index"`
	Delta        delta           `json:"delta"`
	Message      delta           `json:"message"`
	FinishReason string          `json:"finish_reason"`
	Error        json.RawMessage `json:"error"`
}

type delta struct {
	Content   json.RawMessage `json:"content"`
	Refusal   string          `json:"refusal"`
	ToolCalls []callDelta     `json:"tool_calls"`
}

type callDelta struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

type usage struct {
	PromptTokens        int64 `json:"prompt_tokens"`
	CompletionTokens    int64 `json:"completion_tokens"`
	PromptTokensDetails struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// assembly puts an answer together.
type assembly struct {
	model   string
	text    strings.Builder
	refusal strings.Builder
	calls   []*partialCall
	finish  string
	usage   model.Usage
	size    int
	skipped int // chunks that were not JSON
}

type partialCall struct {
	index int
	id    string
	name  string
	args  []byte
}

// read takes in the whole response. An error other than *problem says that it did not come whole.
func (a *assembly) read(ctx context.Context, res *http.Response, emit func(model.Chunk)) error {
	if emit == nil {
		emit = func(model.Chunk) {}
	}
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media == "application/json" {
		return a.readWhole(res.Body, emit)
	}
	stream := model.NewEvents(res.Body)
	for {
		data, err := stream.Next()
		switch {
		case err == nil:
		case a.finish != "" && !errors.Is(err, model.ErrEventTooLong): // the terminal event was seen; what follows is optional
			return nil
		case errors.Is(err, io.EOF):
			return errUnfinished
		default:
			return err
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			model.Drain(res.Body)
			if a.finish == "" {
				return errUnfinished
			}
			return nil
		}
		text, err := a.add(data)
		if err != nil {
			return err
		}
		if text != "" && ctx.Err() == nil {
			emit(model.Chunk{Text: text})
		}
	}
}

// readWhole takes in an answer that was not streamed.
func (a *assembly) readWhole(body io.Reader, emit func(model.Chunk)) error {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxAnswer:
		return errTooBig
	}
	text, err := a.add(data)
	if err != nil {
		return err
	}
	if a.finish == "" {
		return errUnfinished
	}
	if text != "" {
		emit(model.Chunk{Text: text})
	}
	return nil
}

// add takes in one chunk and returns the text that it adds. An error in it is a *problem.
func (a *assembly) add(data []byte) (string, error) {
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		if p := looseProblem(data); p != nil {
			return "", p
		}
		a.skipped++ // counts only if the stream does not go on to its end
		return "", nil
	}
	if p := parseProblem(c.Error); p != nil {
		return "", p
	}
	if c.Object == "error" { // some servers send the error's fields at the top
		if p := looseProblem(data); p != nil {
			return "", p
		}
		return "", &problem{}
	}
	if c.Model != "" {
		a.model = c.Model
	}
	if c.Usage != nil {
		a.usage = model.Usage{
			Input: c.Usage.PromptTokens, Cached: c.Usage.PromptTokensDetails.CachedTokens, Output: c.Usage.CompletionTokens,
		}
	}
	added := ""
	for _, ch := range c.Choices {
		if ch.Index != 0 { // only one was asked for
			continue
		}
		if p := parseProblem(ch.Error); p != nil {
			return "", p
		}
		for _, d := range []*delta{&ch.Delta, &ch.Message} {
			added += a.addDelta(d)
		}
		if ch.FinishReason != "" {
			a.finish = ch.FinishReason
		}
	}
	if a.size > maxAnswer || len(a.calls) > maxCalls {
		return "", errTooBig
	}
	return added, nil
}

func (a *assembly) addDelta(d *delta) string {
	text := contentText(d.Content)
	a.text.WriteString(text)
	a.refusal.WriteString(d.Refusal)
	a.size += len(text) + len(d.Refusal)
	for i := range d.ToolCalls {
		part := &d.ToolCalls[i]
		c := a.call(part)
		if c.id == "" {
			c.id = part.ID
		}
		if c.name == "" {
			c.name = part.Function.Name
		}
		c.args = append(c.args, argsText(part.Function.Arguments)...)
		a.size += len(part.Function.Arguments)
	}
	return text
}

// call finds the call that part continues, or begins a new one. The index decides, where a server sends one; but some
// send none, or 0 for all of several calls, and there a new id begins a new call.
func (a *assembly) call(part *callDelta) *partialCall {
	index := max(0, len(a.calls)-1)
	if part.Index != nil {
		index = max(0, *part.Index)
	}
	for i := len(a.calls) - 1; i >= 0; i-- {
		c := a.calls[i]
		if c.index != index {
			continue
		}
		if part.ID == "" || c.id == "" || c.id == part.ID {
			return c
		}
		break
	}
	if part.Index == nil {
		index = len(a.calls)
	}
	c := &partialCall{index: index}
	a.calls = append(a.calls, c)
	return c
}

// contentText reads a content: a string, a list of parts of which only those of text are shown, or null.
func contentText(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) == nil {
		for _, p := range parts {
			text += p.Text
		}
	}
	return text
}

// argsText reads a piece of arguments: text, as the format wants it, or the object itself.
func argsText(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
