package modeltest

import (
	"encoding/json"
	"fmt"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// Both shapes of the format: a chunk of a stream has deltas, a whole completion has messages.
type wireCompletion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []wireChoice `json:"choices"`
	Usage   *wireUsage   `json:"usage,omitempty"`
}

type wireChoice struct {
	Index        int        `json:"index"`
	Delta        *wireDelta `json:"delta,omitempty"`
	Message      *wireDelta `json:"message,omitempty"`
	FinishReason *string    `json:"finish_reason"`
}

type wireDelta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []wireCall `json:"tool_calls,omitempty"`
}

type wireUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
}

// created is the time that every answer claims; a true one would make equal answers differ.
const created = 1_700_000_000

// reply is an answer, changed as a step says, in the words of the format.
type reply struct {
	id     string
	model  string
	text   string
	calls  []wireCall
	finish *string // nil: never said
	usage  wireUsage
}

var finishWords = map[model.Finish]string{
	model.FinishStop: "stop", model.FinishCalls: "tool_calls", model.FinishLength: "length",
}

func newReply(call int, a *model.Answer, step *Step) *reply {
	r := &reply{
		id: fmt.Sprintf("chatcmpl-%d", call), model: a.Model, text: a.Message.Text(), finish: new(finishWords[a.Finish]),
		usage: wireUsage{a.Usage.Input, a.Usage.Output, a.Usage.Input + a.Usage.Output},
	}
	for i, c := range a.Message.Calls() {
		w := wireCall{Index: &i, ID: c.ID, Type: "function"}
		w.Function.Name, w.Function.Arguments = c.Name, string(c.Args)
		r.calls = append(r.calls, w)
	}
	if step.Empty {
		r.text, r.calls = "", nil
		r.finish = new("stop")
	}
	if step.Finish != "" {
		r.finish = &step.Finish
	}
	if step.UnfinishedCall {
		if len(r.calls) == 0 { // the reply calls nothing, so that there is something to leave unfinished
			w := wireCall{Index: new(int), ID: "call_unfinished", Type: "function"}
			w.Function.Name, w.Function.Arguments = "unfinished", `{"text":"more"}`
			r.calls, r.finish = []wireCall{w}, new("tool_calls")
		}
		args := &r.calls[len(r.calls)-1].Function.Arguments
		*args = (*args)[:(len(*args)+1)/2]
	}
	if step.NoFinish {
		r.finish = nil
	}
	return r
}

// chunks are the data of the events of a stream, without the final [DONE].
func (r *reply) chunks(includeUsage bool) [][]byte {
	var all [][]byte
	add := func(d *wireDelta, finish *string) {
		c := wireCompletion{ID: r.id, Object: "chat.completion.chunk", Created: created, Model: r.model}
		c.Choices = []wireChoice{{Delta: d, FinishReason: finish}}
		all = append(all, encode(c))
	}
	add(&wireDelta{Role: "assistant"}, nil)
	for _, piece := range scripted.Pieces(r.text) {
		add(&wireDelta{Content: &piece}, nil)
	}
	for _, c := range r.calls {
		head, tail := c, wireCall{Index: c.Index}
		cut := len(c.Function.Arguments) / 2
		head.Function.Arguments, tail.Function.Arguments = c.Function.Arguments[:cut], c.Function.Arguments[cut:]
		add(&wireDelta{ToolCalls: []wireCall{head}}, nil)
		add(&wireDelta{ToolCalls: []wireCall{tail}}, nil)
	}
	add(&wireDelta{}, r.finish)
	if includeUsage {
		all = append(all, encode(wireCompletion{
			ID: r.id, Object: "chat.completion.chunk", Created: created, Model: r.model,
			Choices: []wireChoice{}, Usage: &r.usage,
		}))
	}
	return all
}

// whole is the body of an answer that is not streamed.
func (r *reply) whole() []byte {
	m := &wireDelta{Role: "assistant", Content: &r.text}
	for _, c := range r.calls {
		c.Index = nil
		m.ToolCalls = append(m.ToolCalls, c)
	}
	return encode(wireCompletion{
		ID: r.id, Object: "chat.completion", Created: created, Model: r.model,
		Choices: []wireChoice{{Message: m, FinishReason: r.finish}}, Usage: &r.usage,
	})
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // these are plain structs of strings and numbers, and raw JSON that was decoded before
	}
	return data
}

func encodeError(e *WireError) []byte {
	// The real server writes null for what is empty.
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return encode(map[string]any{"error": map[string]any{
		"message": e.Message, "type": null(e.Type), "code": null(e.Code), "param": null(e.Param),
	}})
}
