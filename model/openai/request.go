package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"

	"github.com/agentkernel/agentkernel/model"
)

// params writes a request in the SDK's words.
func (p *Provider) params(req *model.Request) (openai.ChatCompletionNewParams, error) {
	params := openai.ChatCompletionNewParams{
		Model:         req.Model,
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	if req.Model == "" {
		return params, fmt.Errorf("the request names no model")
	}
	if req.Temperature != nil {
		params.Temperature = openai.Float(*req.Temperature)
	}
	if req.MaxTokens > 0 {
		if p.compatible { // the newer name is known to OpenAI's own models first
			params.MaxTokens = openai.Int(int64(req.MaxTokens))
		} else {
			params.MaxCompletionTokens = openai.Int(int64(req.MaxTokens))
		}
	}
	for _, t := range req.Tools {
		tool, err := toolParam(t)
		if err != nil {
			return params, err
		}
		params.Tools = append(params.Tools, tool)
	}
	if req.Instructions != "" {
		params.Messages = append(params.Messages, openai.SystemMessage(req.Instructions))
	}
	ids := callIDs{used: map[string]bool{}}
	for i, m := range req.Messages {
		msg, err := messageParam(i, m, &ids)
		if err != nil {
			return params, err
		}
		params.Messages = append(params.Messages, msg...)
	}
	return params, nil
}

// toolParam passes a tool's schema on byte for byte: through the SDK's map of values numbers would lose digits.
func toolParam(t model.Tool) (openai.ChatCompletionToolUnionParam, error) {
	schema := t.Parameters
	if len(bytes.TrimSpace(schema)) == 0 {
		schema = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	def, err := json.Marshal(struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters"`
	}{t.Name, t.Description, schema})
	if err != nil {
		return openai.ChatCompletionToolUnionParam{}, fmt.Errorf("the parameters of tool %s are not JSON", t.Name)
	}
	return openai.ChatCompletionFunctionTool(param.Override[shared.FunctionDefinitionParam](json.RawMessage(def))), nil
}

// messageParam writes message number i; an assistant message that says nothing is left out, for it would be refused.
func messageParam(i int, m model.Message, ids *callIDs) ([]openai.ChatCompletionMessageParamUnion, error) {
	switch m.Role {
	case model.User:
		return []openai.ChatCompletionMessageParamUnion{openai.UserMessage(m.Text())}, nil
	case model.Assistant:
		a := &openai.ChatCompletionAssistantMessageParam{}
		text := m.Text()
		if text != "" {
			a.Content.OfString = openai.String(text)
		}
		ids.open = nil
		for k, c := range m.Calls() {
			args := string(bytes.TrimSpace(c.Args))
			if args == "" || args == "null" {
				args = "{}"
			}
			a.ToolCalls = append(a.ToolCalls, openai.ChatCompletionMessageToolCallUnionParam{
				OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
					ID:       ids.call(c, i, k),
					Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: c.Name, Arguments: args},
				},
			})
		}
		if text == "" && len(a.ToolCalls) == 0 {
			return nil, nil
		}
		return []openai.ChatCompletionMessageParamUnion{{OfAssistant: a}}, nil
	case model.ToolRole:
		var all []openai.ChatCompletionMessageParamUnion
		for _, part := range m.Parts {
			if part.Result != nil {
				all = append(all, openai.ToolMessage(resultText(part.Result), ids.result(part.Result)))
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("message %d has the unknown role %q", i, m.Role)
}

// resultText marks an error as one, because the format has no field for it.
func resultText(r *model.Result) string {
	if r.IsError && !strings.HasPrefix(strings.ToLower(r.Content), "error") {
		return "Error: " + r.Content
	}
	return r.Content
}

// callIDs names the calls of a conversation. The ids in it come from whatever provider answered then, which may have
// left them empty, repeated them, or made them longer than this one takes.
type callIDs struct {
	used map[string]bool
	open []openCall // calls of the latest assistant message without a result so far
}

type openCall struct{ from, to, name string }

const maxCallID = 40

// call is the id under which call k of message i is sent.
func (ids *callIDs) call(c model.Call, i, k int) string {
	to := c.ID
	for n := 0; to == "" || len(to) > maxCallID || ids.used[to]; n++ {
		to = fmt.Sprintf("call_%d_%d_%d", i, k, n)
	}
	ids.used[to] = true
	ids.open = append(ids.open, openCall{from: c.ID, to: to, name: c.Name})
	return to
}

// result is the id of the call that r answers: the first open one of the same id, or else of the same tool.
func (ids *callIDs) result(r *model.Result) string {
	for _, same := range []func(openCall) bool{
		func(c openCall) bool { return c.from == r.CallID && c.name == r.Name },
		func(c openCall) bool { return c.from == r.CallID },
		func(c openCall) bool { return c.name == r.Name },
	} {
		for i, c := range ids.open {
			if same(c) {
				ids.open = append(ids.open[:i:i], ids.open[i+1:]...)
				return c.to
			}
		}
	}
	return r.CallID
}
