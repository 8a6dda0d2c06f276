package bedrock

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"

	"github.com/agentkernel/agentkernel/model"
)

const (
	maxAnswer = 8 << 20 // bytes of text and arguments in one answer
	maxCalls  = 128     // tool calls in one answer
)

var (
	errUnfinished = errors.New("the answer ended without a messageStop event")
	errTooBig     = errors.New("the answer is longer than 8 MiB or has more than 128 tool calls")
)

// event is the part of an event that is used; which fields it has depends on its type.
type event struct {
	Index int `json:"contentBlockIndex"`
	Start struct {
		ToolUse *struct {
			ID   string `json:"toolUseId"`
			Name string `json:"name"`
		} `json:"toolUse"`
	} `json:"start"`
	Delta struct {
		Text    string `json:"text"`
		ToolUse *struct {
			Input string `json:"input"`
		} `json:"toolUse"`
	} `json:"delta"`
	StopReason string `json:"stopReason"`
	Usage      *usage `json:"usage"`
}

// usage counts tokens. What was read from a cache, or written to one, is not in the input.
type usage struct {
	Input      int64 `json:"inputTokens"`
	Output     int64 `json:"outputTokens"`
	CacheRead  int64 `json:"cacheReadInputTokens"`
	CacheWrite int64 `json:"cacheWriteInputTokens"`
}

// assembly puts an answer together.
type assembly struct {
	model   string
	text    strings.Builder
	calls   []*partialCall
	finish  string
	ended   bool // the metadata, which is the last event, was seen
	usage   model.Usage
	size    int
	skipped int // events that were not JSON
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
	frames, decoder := bufio.NewReaderSize(res.Body, 16<<10), eventstream.NewDecoder()
	var buf []byte
	for {
		frame, err := decoder.Decode(frames, buf)
		switch {
		case err == nil:
		case a.finish != "": // the terminal event was seen; what follows is optional
			return nil
		case errors.Is(err, io.EOF): // also within a frame
			return errUnfinished
		default:
			return err
		}
		if cap(frame.Payload) > cap(buf) {
			buf = frame.Payload
		}
		text, err := a.add(&frame)
		if err != nil {
			return err
		}
		if text != "" && ctx.Err() == nil {
			emit(model.Chunk{Text: text})
		}
		if a.ended && a.finish != "" {
			model.Drain(res.Body)
			return nil
		}
	}
}

// header is a text among a frame's headers.
func header(frame *eventstream.Message, name string) string {
	if v, ok := frame.Headers.Get(name).(eventstream.StringValue); ok {
		return string(v)
	}
	return ""
}

// add takes in one frame and returns the text that it adds. An error that a frame reports is a *problem.
func (a *assembly) add(frame *eventstream.Message) (string, error) {
	switch header(frame, eventstreamapi.MessageTypeHeader) {
	case eventstreamapi.ExceptionMessageType:
		p := parseProblem(frame.Payload)
		p.name = header(frame, eventstreamapi.ExceptionTypeHeader)
		return "", p
	case eventstreamapi.ErrorMessageType:
		return "", &problem{
			name: header(frame, eventstreamapi.ErrorCodeHeader), msg: header(frame, eventstreamapi.ErrorMessageHeader),
		}
	}
	var e event
	if json.Unmarshal(frame.Payload, &e) != nil {
		a.skipped++ // counts only if the stream does not go on to its end
		return "", nil
	}
	added := ""
	switch header(frame, eventstreamapi.EventTypeHeader) {
	case "contentBlockStart":
		if tool := e.Start.ToolUse; tool != nil {
			a.calls = append(a.calls, &partialCall{index: e.Index, id: tool.ID, name: tool.Name})
			a.size += len(tool.ID) + len(tool.Name)
		}
	case "contentBlockDelta":
		added = e.Delta.Text
		a.text.WriteString(added)
		a.size += len(added)
		if tool := e.Delta.ToolUse; tool != nil {
			c := a.call(e.Index)
			c.args = append(c.args, tool.Input...)
			a.size += len(tool.Input)
		}
	case "messageStop":
		a.finish = e.StopReason
	case "metadata":
		a.ended = true
		if u := e.Usage; u != nil {
			a.usage = model.Usage{Input: u.Input + u.CacheRead + u.CacheWrite, Cached: u.CacheRead, Output: u.Output}
		}
	}
	if a.size > maxAnswer || len(a.calls) > maxCalls {
		return "", errTooBig
	}
	return added, nil
}

// call is the latest call of a block; one whose start did not come has no name and fails later.
func (a *assembly) call(index int) *partialCall {
	for i := len(a.calls) - 1; i >= 0; i-- {
		if a.calls[i].index == index {
			return a.calls[i]
		}
	}
	c := &partialCall{index: index}
	a.calls = append(a.calls, c)
	return c
}
