package modeltest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// openaiWire is the chat-completions format of OpenAI.
type openaiWire struct{}

func (openaiWire) format() Format     { return OpenAI }
func (openaiWire) base() string       { return "/v1" }
func (openaiWire) routes() []string   { return []string{"POST /v1/chat/completions"} }
func (openaiWire) streamType() string { return "text/event-stream" }

// openaiRequest is the part of a request that the server looks at.
type openaiRequest struct {
	Model         string          `json:"model"`
	Messages      []openaiMessage `json:"messages"`
	Tools         []openaiTool    `json:"tools"`
	ToolChoice    json.RawMessage `json:"tool_choice"`
	Stream        bool            `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int      `json:"max_tokens"`
	MaxCompletionTokens int      `json:"max_completion_tokens"`
	Temperature         *float64 `json:"temperature"`
	ResponseFormat      struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type openaiMessage struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	ToolCalls  []openaiCall    `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
}

type openaiCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type openaiTool struct {
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

func (openaiWire) parse(_ *http.Request, body []byte) (*asked, error) {
	var w openaiRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("the body is not a JSON request: %w", err)
	}
	if w.Model == "" {
		return nil, errors.New("you must provide a model parameter")
	}
	if len(w.Messages) == 0 {
		return nil, errors.New("messages: at least one is needed")
	}
	req := &model.Request{Model: w.Model, MaxTokens: max(w.MaxTokens, w.MaxCompletionTokens), Temperature: w.Temperature}
	req.NoCalls = string(w.ToolChoice) == `"none"`
	if f := w.ResponseFormat; f.Type == "json_schema" {
		if f.JSONSchema.Name == "" || !isObject(string(f.JSONSchema.Schema)) {
			return nil, errors.New("response_format.json_schema: needs a name and a schema")
		}
		req.Schema = f.JSONSchema.Schema
	}
	for _, t := range w.Tools {
		req.Tools = append(req.Tools, model.Tool{
			Name: t.Function.Name, Description: t.Function.Description, Parameters: t.Function.Parameters,
		})
	}
	open := pairs{}
	for i, m := range w.Messages {
		parts, err := openaiContent(m.Content)
		if err != nil {
			return nil, fmt.Errorf("messages[%d].content: %w", i, err)
		}
		if m.Role != "tool" && open.missing() != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, open.missing())
		}
		if err := m.add(req, parts, open); err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	if err := open.missing(); err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return &asked{req: req, stream: w.Stream, usage: w.StreamOptions.IncludeUsage}, nil
}

func (m *openaiMessage) add(req *model.Request, parts []model.Part, open pairs) error {
	text := model.Message{Parts: parts}.Text()
	role := model.User
	switch m.Role {
	case "system", "developer":
		req.Instructions += text
		return nil
	case "user":
		if len(parts) == 0 {
			parts = []model.Part{{}}
		}
	case "assistant":
		role = model.Assistant
		for _, c := range m.ToolCalls {
			part, err := open.open(c.ID, c.Function.Name, c.Function.Arguments)
			if err != nil {
				return fmt.Errorf("tool_calls: %w", err)
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			return errors.New("an assistant message needs content or tool_calls")
		}
	case "tool":
		result, err := open.answer(m.ToolCallID, text, false)
		if err != nil {
			return fmt.Errorf("tool_call_id: %w", err)
		}
		req.Messages = append(req.Messages, result)
		return nil
	default:
		return fmt.Errorf("role: %q is not known", m.Role)
	}
	req.Messages = append(req.Messages, model.Message{Role: role, Parts: parts})
	return nil
}

// openaiContent reads a content, which is a string, a list of parts, or null. Texts that follow each other are one.
func openaiContent(raw json.RawMessage) ([]model.Part, error) {
	var text *string
	if len(raw) == 0 || json.Unmarshal(raw, &text) == nil {
		if text == nil || *text == "" {
			return nil, nil
		}
		return []model.Part{{Text: *text}}, nil
	}
	var list []struct {
		Type  string `json:"type"`
		Text  string `json:"text"`
		Image struct {
			URL string `json:"url"`
		} `json:"image_url"`
		File struct {
			Data string `json:"file_data"`
			Name string `json:"filename"`
		} `json:"file"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("is neither a string nor a list of parts")
	}
	var parts []model.Part
	for _, p := range list {
		url, name := p.Image.URL, ""
		switch p.Type {
		case "text":
			if n := len(parts); n > 0 && parts[n-1].File == nil {
				parts[n-1].Text += p.Text
			} else {
				parts = append(parts, model.Part{Text: p.Text})
			}
			continue
		case "image_url":
		case "file":
			url, name = p.File.Data, p.File.Name
		default:
			return nil, fmt.Errorf("a part of type %q is not understood here", p.Type)
		}
		file, err := dataURL(url)
		if err != nil {
			return nil, err
		}
		file.Name = name
		parts = append(parts, model.Part{File: file})
	}
	return parts, nil
}

// dataURL reads a file that is written as a data URL.
func dataURL(url string) (*model.File, error) {
	media, encoded, ok := strings.Cut(strings.TrimPrefix(url, "data:"), ";base64,")
	if !ok || !strings.HasPrefix(url, "data:") {
		return nil, errors.New("a file is not given as a data URL in base64")
	}
	return base64File(media, encoded)
}

// base64File is a file of encoded bytes.
func base64File(media, encoded string) (*model.File, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(data) == 0 || media == "" {
		return nil, errors.New("a file is empty, has no media type, or is not base64")
	}
	return &model.File{MediaType: media, Size: int64(len(data)), Data: data}, nil
}

// Both shapes of an answer: a chunk of a stream has deltas, a whole completion has messages.
type openaiCompletion struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	Model   string         `json:"model"`
	Choices []openaiChoice `json:"choices"`
	Usage   *openaiUsage   `json:"usage,omitempty"`
}

type openaiChoice struct {
	Index        int          `json:"index"`
	Delta        *openaiDelta `json:"delta,omitempty"`
	Message      *openaiDelta `json:"message,omitempty"`
	FinishReason any          `json:"finish_reason"`
}

type openaiDelta struct {
	Role      string       `json:"role,omitempty"`
	Content   *string      `json:"content,omitempty"`
	ToolCalls []openaiCall `json:"tool_calls,omitempty"`
}

type openaiUsage struct {
	PromptTokens     int64            `json:"prompt_tokens"`
	CompletionTokens int64            `json:"completion_tokens"`
	TotalTokens      int64            `json:"total_tokens"`
	Details          map[string]int64 `json:"prompt_tokens_details,omitempty"`
}

// created is the time that every answer claims; a true one would make equal answers differ.
const created = 1_700_000_000

func openaiAnswer(object string, out *reply, usage bool, choices ...openaiChoice) []byte {
	c := openaiCompletion{
		ID: fmt.Sprintf("chatcmpl-%d", out.call), Object: object, Created: created, Model: out.model, Choices: choices,
	}
	if c.Choices == nil {
		c.Choices = []openaiChoice{}
	}
	if usage {
		u := out.usage
		c.Usage = &openaiUsage{PromptTokens: u.Input, CompletionTokens: u.Output, TotalTokens: u.Input + u.Output}
		if u.Cached > 0 {
			c.Usage.Details = map[string]int64{"cached_tokens": u.Cached}
		}
	}
	return encode(c)
}

func (openaiWire) frames(in *asked, out *reply) []frame {
	const object = "chat.completion.chunk"
	var all []frame
	add := func(d *openaiDelta, finish string) {
		data := openaiAnswer(object, out, false, openaiChoice{Delta: d, FinishReason: null(finish)})
		all = append(all, frame{data: event("", data), finish: finish != "", end: finish != ""})
	}
	add(&openaiDelta{Role: "assistant"}, "")
	for _, piece := range scripted.Pieces(out.text) {
		add(&openaiDelta{Content: &piece}, "")
	}
	for i, c := range out.calls {
		begin, rest := c.halves()
		head := openaiCall{Index: &i, ID: c.id, Type: "function"}
		head.Function.Name, head.Function.Arguments = c.name, begin
		tail := openaiCall{Index: &i}
		tail.Function.Arguments = rest
		add(&openaiDelta{ToolCalls: []openaiCall{head}}, "")
		add(&openaiDelta{ToolCalls: []openaiCall{tail}}, "")
	}
	add(&openaiDelta{}, out.finish)
	if in.usage {
		all = append(all, frame{data: event("", openaiAnswer(object, out, true))})
	}
	return append(all, frame{data: event("", []byte("[DONE]")), closer: true})
}

func (openaiWire) whole(out *reply) []byte {
	m := &openaiDelta{Role: "assistant", Content: &out.text}
	for _, c := range out.calls {
		call := openaiCall{ID: c.id, Type: "function"}
		call.Function.Name, call.Function.Arguments = c.name, c.args
		m.ToolCalls = append(m.ToolCalls, call)
	}
	return openaiAnswer("chat.completion", out, true, openaiChoice{Message: m, FinishReason: null(out.finish)})
}

func (openaiWire) malformed() []byte {
	return event("", []byte(`{"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"conte`))
}

func (w openaiWire) errorFrame(e *WireError) []byte { return event("", w.refusal(nil, 0, e)) }

func (openaiWire) refusal(_ http.Header, _ int, e *WireError) []byte {
	// The real server writes null for what is empty.
	body := map[string]any{"message": e.Message, "type": null(e.Type), "code": null(e.Code), "param": null(e.Param)}
	if len(e.Details) > 0 {
		body["details"] = e.Details
	}
	return encode(map[string]any{"error": body})
}

func (openaiWire) invalid(text string) (int, *WireError) {
	return http.StatusBadRequest, &WireError{Type: "invalid_request_error", Message: text}
}

func (openaiWire) noModel(name string) (int, *WireError) {
	return http.StatusNotFound, &WireError{
		Type: "invalid_request_error", Code: "model_not_found",
		Message: "The model `" + strings.ToValidUTF8(name, "?") + "` does not exist or you do not have access to it.",
	}
}
