package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
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
	if req.NoCalls && len(req.Tools) > 0 { // without tools the field would be refused
		params.ToolChoice.OfAuto = openai.String("none")
	}
	if len(req.Schema) > 0 {
		if !json.Valid(req.Schema) {
			return params, fmt.Errorf("the schema of the answer is not JSON")
		}
		// Not strict: that takes only a part of JSON Schema and refuses the request for the rest.
		params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "answer", Schema: req.Schema},
		}
	}
	if req.Instructions != "" {
		params.Messages = append(params.Messages, openai.SystemMessage(req.Instructions))
	}
	ids := model.NewCallIDs(fits)
	for i, m := range req.Messages {
		msg, err := messageParam(i, m, ids)
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
func messageParam(i int, m model.Message, ids *model.CallIDs) ([]openai.ChatCompletionMessageParamUnion, error) {
	switch m.Role {
	case model.User:
		return []openai.ChatCompletionMessageParamUnion{userParam(m)}, nil
	case model.Assistant:
		a := &openai.ChatCompletionAssistantMessageParam{}
		text := m.Text()
		if text != "" {
			a.Content.OfString = openai.String(text)
		}
		calls := m.Calls()
		names := ids.Calls(i, calls)
		for k, c := range calls {
			args := string(bytes.TrimSpace(c.Args))
			if args == "" || args == "null" {
				args = "{}"
			}
			a.ToolCalls = append(a.ToolCalls, openai.ChatCompletionMessageToolCallUnionParam{
				OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
					ID:       names[k],
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
				all = append(all, openai.ToolMessage(resultText(part.Result), ids.Result(part.Result)))
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("message %d has the unknown role %q", i, m.Role)
}

// userParam writes a user's message: as one text if it has no files, because compatible servers may know no other form.
func userParam(m model.Message) openai.ChatCompletionMessageParamUnion {
	if !slices.ContainsFunc(m.Parts, func(p model.Part) bool { return p.File != nil }) {
		return openai.UserMessage(m.Text())
	}
	var parts []openai.ChatCompletionContentPartUnionParam
	for _, p := range m.Parts {
		switch f := p.File; {
		case f == nil && p.Text != "":
			parts = append(parts, openai.TextContentPart(p.Text))
		case f == nil:
		case f.Media() == model.MediaText:
			parts = append(parts, openai.TextContentPart(f.Inline()))
		case f.Media() == model.MediaImage:
			parts = append(parts, openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: dataURL(f)}))
		default:
			name := f.Name
			if name == "" { // the real server needs one
				name = "file"
			}
			parts = append(parts, openai.FileContentPart(openai.ChatCompletionContentPartFileFileParam{
				FileData: openai.String(dataURL(f)), Filename: openai.String(name),
			}))
		}
	}
	return openai.UserMessage(parts)
}

func dataURL(f *model.File) string {
	return "data:" + f.PlainType() + ";base64," + base64.StdEncoding.EncodeToString(f.Data)
}

// resultText marks an error as one, because the format has no field for it.
func resultText(r *model.Result) string {
	if r.IsError && !strings.HasPrefix(strings.ToLower(r.Content), "error") {
		return "Error: " + r.Content
	}
	return r.Content
}

// fits reports that OpenAI takes a call id.
func fits(id string) bool { return len(id) <= 40 }
