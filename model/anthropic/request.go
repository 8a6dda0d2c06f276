package anthropic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/agentkernel/agentkernel/model"
)

// params writes a request in the SDK's words.
func (p *Provider) params(req *model.Request) (anthropic.MessageNewParams, error) {
	params := anthropic.MessageNewParams{Model: req.Model, MaxTokens: int64(p.maxTokens)}
	if req.Model == "" {
		return params, errors.New("the request names no model")
	}
	if req.MaxTokens > 0 {
		params.MaxTokens = int64(req.MaxTokens)
	}
	if req.Temperature != nil {
		params.Temperature = anthropic.Float(*req.Temperature)
	}
	for _, t := range req.Tools {
		tool, err := toolParam(t)
		if err != nil {
			return params, err
		}
		params.Tools = append(params.Tools, tool)
	}
	if req.NoCalls && len(req.Tools) > 0 { // without tools the field would be refused
		none := anthropic.NewToolChoiceNoneParam()
		params.ToolChoice.OfNone = &none
	}
	system := req.Instructions
	if len(req.Schema) > 0 {
		schema, err := reduce(req.Schema)
		switch {
		case errors.Is(err, errOpen) || err == nil && p.inWords:
			system = strings.TrimSpace(system + "\n\n" + inWords(req.Schema))
		case err != nil:
			return params, err
		default:
			format := json.RawMessage(`{"type":"json_schema","schema":` + string(schema) + `}`)
			params.OutputConfig.Format = param.Override[anthropic.JSONOutputFormatParam](format)
		}
	}
	if strings.TrimSpace(system) != "" {
		params.System = []anthropic.TextBlockParam{{Text: system}}
	}
	var err error
	params.Messages, err = messageParams(req.Messages)
	return params, err
}

// toolParam passes a tool's schema on byte for byte: through the SDK's map of values numbers would lose digits.
func toolParam(t model.Tool) (anthropic.ToolUnionParam, error) {
	schema := t.Parameters
	if len(bytes.TrimSpace(schema)) == 0 {
		schema = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	if !json.Valid(schema) {
		return anthropic.ToolUnionParam{}, fmt.Errorf("the parameters of tool %s are not JSON", t.Name)
	}
	tool := &anthropic.ToolParam{Name: t.Name, InputSchema: param.Override[anthropic.ToolInputSchemaParam](schema)}
	if t.Description != "" {
		tool.Description = anthropic.String(t.Description)
	}
	return anthropic.ToolUnionParam{OfTool: tool}, nil
}

var idForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// messageParams writes a conversation. All results of an answer's calls, and what the user says after them, become one
// message, and one that says nothing is left out, for it would be refused.
func messageParams(messages []model.Message) ([]anthropic.MessageParam, error) {
	var all []anthropic.MessageParam
	ids := model.NewCallIDs(idForm.MatchString)
	results := false // the last message so far is made of tool results
	for i, m := range messages {
		var blocks []anthropic.ContentBlockParamUnion
		switch m.Role {
		case model.User:
			blocks = userBlocks(m)
		case model.Assistant:
			blocks = assistantBlocks(m, ids, i)
		case model.ToolRole:
			for _, part := range m.Parts {
				if r := part.Result; r != nil {
					blocks = append(blocks, resultBlock(ids.Result(r), r))
				}
			}
		default:
			return nil, fmt.Errorf("message %d has the unknown role %q", i, m.Role)
		}
		switch {
		case len(blocks) == 0:
			continue
		case m.Role == model.Assistant:
			all = append(all, anthropic.NewAssistantMessage(blocks...))
		case results:
			last := &all[len(all)-1]
			last.Content = append(last.Content, blocks...)
		default:
			all = append(all, anthropic.NewUserMessage(blocks...))
		}
		results = m.Role == model.ToolRole
	}
	if len(all) == 0 {
		return nil, errors.New("the conversation says nothing")
	}
	return all, nil
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

func userBlocks(m model.Message) []anthropic.ContentBlockParamUnion {
	var blocks []anthropic.ContentBlockParamUnion
	for _, p := range m.Parts {
		switch f := p.File; {
		case f == nil && blank(p.Text):
		case f == nil:
			blocks = append(blocks, anthropic.NewTextBlock(p.Text))
		case f.Media() == model.MediaText:
			blocks = append(blocks, anthropic.NewTextBlock(f.Inline()))
		case f.Media() == model.MediaImage:
			data := base64.StdEncoding.EncodeToString(f.Data)
			blocks = append(blocks, anthropic.NewImageBlockBase64(f.PlainType(), data))
		default:
			doc := anthropic.NewDocumentBlock(anthropic.Base64PDFSourceParam{Data: base64.StdEncoding.EncodeToString(f.Data)})
			if f.Name != "" {
				doc.OfDocument.Title = anthropic.String(f.Name)
			}
			blocks = append(blocks, doc)
		}
	}
	return blocks
}

func assistantBlocks(m model.Message, ids *model.CallIDs, i int) []anthropic.ContentBlockParamUnion {
	var blocks []anthropic.ContentBlockParamUnion
	if text := m.Text(); !blank(text) {
		blocks = append(blocks, anthropic.NewTextBlock(text))
	}
	calls := m.Calls()
	for k, id := range ids.Calls(i, calls) {
		args := bytes.TrimSpace(calls[k].Args)
		if len(args) == 0 || string(args) == "null" {
			args = []byte("{}")
		}
		blocks = append(blocks, anthropic.NewToolUseBlock(id, json.RawMessage(args), calls[k].Name))
	}
	return blocks
}

func resultBlock(id string, r *model.Result) anthropic.ContentBlockParamUnion {
	block := &anthropic.ToolResultBlockParam{ToolUseID: id}
	if !blank(r.Content) {
		block.Content = []anthropic.ToolResultBlockParamContentUnion{{OfText: &anthropic.TextBlockParam{Text: r.Content}}}
	}
	if r.IsError {
		block.IsError = anthropic.Bool(true)
	}
	return anthropic.ContentBlockParamUnion{OfToolResult: block}
}
