package modeltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// anthropicWire is the messages format of Anthropic.
type anthropicWire struct{}

func (anthropicWire) format() Format     { return Anthropic }
func (anthropicWire) base() string       { return "" }
func (anthropicWire) routes() []string   { return []string{"POST /v1/messages"} }
func (anthropicWire) streamType() string { return "text/event-stream; charset=utf-8" }

// anthropicRequest is the part of a request that the server looks at.
type anthropicRequest struct {
	Model       string             `json:"model"`
	MaxTokens   *int               `json:"max_tokens"`
	System      json.RawMessage    `json:"system"`
	Messages    []anthropicMessage `json:"messages"`
	Temperature *float64           `json:"temperature"`
	Stream      bool               `json:"stream"`
	Tools       []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		InputSchema json.RawMessage `json:"input_schema"`
	} `json:"tools"`
	ToolChoice *struct {
		Type string `json:"type"`
	} `json:"tool_choice"`
	OutputConfig struct {
		Format *struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"output_config"`
}

type anthropicMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type anthropicBlock struct {
	Type      string           `json:"type"`
	Text      string           `json:"text"`
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Input     json.RawMessage  `json:"input"`
	ToolUseID string           `json:"tool_use_id"`
	IsError   bool             `json:"is_error"`
	Content   json.RawMessage  `json:"content"`
	Title     string           `json:"title"`
	Source    *anthropicSource `json:"source"`
}

type anthropicSource struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Data      string `json:"data"`
}

func (anthropicWire) parse(r *http.Request, body []byte) (*asked, error) {
	var w anthropicRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("the body is not a JSON request: %w", err)
	}
	switch {
	case r.Header.Get("Anthropic-Version") == "":
		return nil, errors.New("anthropic-version: header is required")
	case w.Model == "":
		return nil, errors.New("model: Field required")
	case w.MaxTokens == nil || *w.MaxTokens < 1:
		return nil, errors.New("max_tokens: Field required")
	case len(w.Messages) == 0:
		return nil, errors.New("messages: at least one message is required")
	case w.ToolChoice != nil && len(w.Tools) == 0:
		return nil, errors.New("tool_choice: may only be specified while providing tools")
	}
	req := &model.Request{Model: w.Model, MaxTokens: *w.MaxTokens, Temperature: w.Temperature}
	req.NoCalls = w.ToolChoice != nil && w.ToolChoice.Type == "none"
	if f := w.OutputConfig.Format; f != nil {
		if f.Type != "json_schema" || !isObject(string(f.Schema)) {
			return nil, errors.New("output_config.format: needs the type json_schema and a schema")
		}
		req.Schema = f.Schema
	}
	for _, t := range w.Tools {
		req.Tools = append(req.Tools, model.Tool{Name: t.Name, Description: t.Description, Parameters: t.InputSchema})
	}
	system, err := anthropicBlocks(w.System)
	if err != nil {
		return nil, fmt.Errorf("system: %w", err)
	}
	for _, b := range system {
		req.Instructions += b.Text
	}
	open := pairs{}
	for i, m := range w.Messages {
		if err := m.add(req, open); err != nil {
			return nil, fmt.Errorf("messages.%d: %w", i, err)
		}
	}
	if err := open.missing(); err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return &asked{req: req, stream: w.Stream, usage: true}, nil
}

// anthropicBlocks reads a content, which is a string or a list of blocks.
func anthropicBlocks(raw json.RawMessage) ([]anthropicBlock, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []anthropicBlock{{Type: "text", Text: text}}, nil
	}
	var blocks []anthropicBlock
	if err := json.Unmarshal(raw, &blocks); err != nil {
		return nil, errors.New("content: is neither a string nor a list of blocks")
	}
	return blocks, nil
}

var anthropicID = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

func (m *anthropicMessage) add(req *model.Request, open pairs) error {
	blocks, err := anthropicBlocks(m.Content)
	if err != nil {
		return err
	}
	role := model.User
	switch m.Role {
	case "user":
	case "assistant":
		role = model.Assistant
	default:
		return fmt.Errorf("role: %q is not known", m.Role)
	}
	out := model.Message{Role: role}
	for _, b := range blocks {
		if b.Type == "tool_result" {
			if len(out.Parts) > 0 || role != model.User {
				return errors.New("tool_result blocks must come first in a user message")
			}
			result, err := b.result(open)
			if err != nil {
				return err
			}
			req.Messages = append(req.Messages, result)
			continue
		}
		if err := open.missing(); err != nil && len(out.Calls()) == 0 {
			return err
		}
		part, err := b.part(role, open)
		if err != nil {
			return err
		}
		out.Parts = append(out.Parts, part)
	}
	if len(blocks) == 0 {
		return errors.New("all messages must have non-empty content")
	}
	if len(out.Parts) > 0 {
		req.Messages = append(req.Messages, out)
	}
	if role == model.User { // all results are in the one message after the calls
		return open.missing()
	}
	return nil
}

func (b *anthropicBlock) part(role model.Role, open pairs) (model.Part, error) {
	switch {
	case b.Type == "text" && strings.TrimSpace(b.Text) == "":
		return model.Part{}, errors.New("text content blocks must be non-empty")
	case b.Type == "text":
		return model.Part{Text: b.Text}, nil
	case b.Type == "tool_use" && role == model.Assistant:
		if !anthropicID.MatchString(b.ID) {
			return model.Part{}, fmt.Errorf("tool_use.id: %q should match pattern %s", b.ID, anthropicID)
		}
		return open.open(b.ID, b.Name, string(b.Input))
	case b.Source != nil && role == model.User && (b.Type == "image" || b.Type == "document"):
		file := &model.File{MediaType: b.Source.MediaType, Size: int64(len(b.Source.Data)), Data: []byte(b.Source.Data)}
		if b.Source.Type == "base64" {
			var err error
			if file, err = base64File(b.Source.MediaType, b.Source.Data); err != nil {
				return model.Part{}, err
			}
		}
		file.Name = b.Title
		return model.Part{File: file}, nil
	}
	return model.Part{}, fmt.Errorf("a block of type %q is not understood here", b.Type)
}

func (b *anthropicBlock) result(open pairs) (model.Message, error) {
	content, err := anthropicBlocks(b.Content)
	if err != nil {
		return model.Message{}, err
	}
	text := ""
	for _, c := range content {
		text += c.Text
	}
	return open.answer(b.ToolUseID, text, b.IsError)
}

// anthropicFinishes are the stop reasons for the neutral words.
var anthropicFinishes = map[string]string{
	"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal",
}

// anthropicUsage is usage as the format counts it: what came from a cache is not part of the input.
func anthropicUsage(out *reply) map[string]any {
	return map[string]any{
		"input_tokens": out.usage.Input - out.usage.Cached, "cache_read_input_tokens": out.usage.Cached,
		"cache_creation_input_tokens": 0, "output_tokens": out.usage.Output,
	}
}

func (out *reply) anthropicMessage(content []any, stop string) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("msg_%d", out.call), "type": "message", "role": "assistant", "model": out.model,
		"content": content, "stop_reason": null(stop), "stop_sequence": nil, "usage": anthropicUsage(out),
	}
}

func (anthropicWire) frames(_ *asked, out *reply) []frame {
	var all []frame
	add := func(name string, fields map[string]any) *frame {
		fields["type"] = name
		all = append(all, frame{data: event(name, encode(fields))})
		return &all[len(all)-1]
	}
	add("message_start", map[string]any{"message": out.anthropicMessage([]any{}, "")})
	index := 0
	block := func(start map[string]any, deltas ...map[string]any) {
		add("content_block_start", map[string]any{"index": index, "content_block": start})
		for _, d := range deltas {
			add("content_block_delta", map[string]any{"index": index, "delta": d})
		}
		add("content_block_stop", map[string]any{"index": index})
		index++
	}
	if out.text != "" {
		var deltas []map[string]any
		for _, piece := range scripted.Pieces(out.text) {
			deltas = append(deltas, map[string]any{"type": "text_delta", "text": piece})
		}
		block(map[string]any{"type": "text", "text": ""}, deltas...)
	}
	for _, c := range out.calls {
		begin, rest := c.halves()
		block(map[string]any{"type": "tool_use", "id": c.id, "name": c.name, "input": struct{}{}},
			map[string]any{"type": "input_json_delta", "partial_json": begin},
			map[string]any{"type": "input_json_delta", "partial_json": rest})
	}
	stop := out.finishIn(anthropicFinishes)
	add("message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": null(stop), "stop_sequence": nil}, "usage": anthropicUsage(out),
	}).finish = true
	end := add("message_stop", map[string]any{})
	end.end, end.closer = true, true
	return all
}

func (anthropicWire) whole(out *reply) []byte {
	content := []any{}
	if out.text != "" {
		content = append(content, map[string]any{"type": "text", "text": out.text})
	}
	for _, c := range out.calls {
		args := json.RawMessage(c.args)
		if !json.Valid(args) { // an unfinished call; this shape has no room for half an object
			args = json.RawMessage("null")
		}
		content = append(content, map[string]any{"type": "tool_use", "id": c.id, "name": c.name, "input": args})
	}
	return encode(out.anthropicMessage(content, out.finishIn(anthropicFinishes)))
}

func (anthropicWire) malformed() []byte {
	return event("content_block_delta", []byte(`{"type":"content_block_delta","index":0,"delta":{"type":"text_del`))
}

func (w anthropicWire) errorFrame(e *WireError) []byte { return event("error", w.refusal(nil, 0, e)) }

func (anthropicWire) refusal(_ http.Header, _ int, e *WireError) []byte {
	typ := e.Type
	if typ == "" {
		typ = e.Code // the format has one word
	}
	body := map[string]any{"type": typ, "message": e.Message}
	if len(e.Details) > 0 {
		body["details"] = e.Details
	}
	return encode(map[string]any{"type": "error", "error": body, "request_id": nil})
}

func (anthropicWire) invalid(text string) (int, *WireError) {
	return http.StatusBadRequest, &WireError{Type: "invalid_request_error", Message: text}
}

func (anthropicWire) noModel(name string) (int, *WireError) {
	return http.StatusNotFound, &WireError{Type: "not_found_error", Message: "model: " + strings.ToValidUTF8(name, "?")}
}
