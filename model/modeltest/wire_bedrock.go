package modeltest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"strings"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// bedrockWire is the Converse format of Amazon Bedrock.
type bedrockWire struct{}

func (bedrockWire) format() Format     { return Bedrock }
func (bedrockWire) base() string       { return "" }
func (bedrockWire) streamType() string { return "application/vnd.amazon.eventstream" }

func (bedrockWire) routes() []string {
	return []string{"POST /model/{model}/converse-stream", "POST /model/{model}/converse"}
}

// bedrockRequest is the part of a request that the server looks at.
type bedrockRequest struct {
	System []struct {
		Text string `json:"text"`
	} `json:"system"`
	Messages  []bedrockMessage `json:"messages"`
	Inference struct {
		MaxTokens   int      `json:"maxTokens"`
		Temperature *float64 `json:"temperature"`
	} `json:"inferenceConfig"`
	ToolConfig *struct {
		Tools []struct {
			Spec struct {
				Name        string `json:"name"`
				Description string `json:"description"`
				Schema      struct {
					JSON json.RawMessage `json:"json"`
				} `json:"inputSchema"`
			} `json:"toolSpec"`
		} `json:"tools"`
	} `json:"toolConfig"`
	Output struct {
		Format struct {
			Type      string `json:"type"`
			Structure struct {
				JSON struct {
					Schema string `json:"schema"`
				} `json:"jsonSchema"`
			} `json:"structure"`
		} `json:"textFormat"`
	} `json:"outputConfig"`
}

type bedrockMessage struct {
	Role    string         `json:"role"`
	Content []bedrockBlock `json:"content"`
}

type bedrockBlock struct {
	Text    *string         `json:"text"`
	Image   *bedrockFile    `json:"image"`
	Paper   *bedrockFile    `json:"document"`
	ToolUse *bedrockToolUse `json:"toolUse"`
	Result  *struct {
		ID      string `json:"toolUseId"`
		Status  string `json:"status"`
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"toolResult"`
}

type bedrockToolUse struct {
	ID    string          `json:"toolUseId"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type bedrockFile struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Source struct {
		Bytes string `json:"bytes"`
	} `json:"source"`
}

func (bedrockWire) parse(r *http.Request, body []byte) (*asked, error) {
	var w bedrockRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("the body is not a JSON request: %w", err)
	}
	if len(w.Messages) == 0 {
		return nil, errors.New("a conversation must start with a user message")
	}
	req := &model.Request{
		Model: r.PathValue("model"), MaxTokens: w.Inference.MaxTokens, Temperature: w.Inference.Temperature,
	}
	for _, s := range w.System {
		req.Instructions += s.Text
	}
	if w.ToolConfig != nil {
		for _, t := range w.ToolConfig.Tools {
			req.Tools = append(req.Tools, model.Tool{
				Name: t.Spec.Name, Description: t.Spec.Description, Parameters: t.Spec.Schema.JSON,
			})
		}
		if len(req.Tools) == 0 {
			return nil, errors.New("toolConfig.tools: at least one is needed")
		}
	}
	if f := w.Output.Format; f.Type == "json_schema" {
		if req.Schema = json.RawMessage(f.Structure.JSON.Schema); !isObject(string(req.Schema)) {
			return nil, errors.New("outputConfig.textFormat: needs a schema")
		}
	}
	open, names := pairs{}, map[string]bool{}
	for i, m := range w.Messages {
		if want := []string{"user", "assistant"}[i%2]; m.Role != want {
			return nil, fmt.Errorf("messages.%d: roles must alternate, beginning with user; it is %q", i, m.Role)
		}
		if err := m.add(req, open, names); err != nil {
			return nil, fmt.Errorf("messages.%d: %w", i, err)
		}
	}
	if err := open.missing(); err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return &asked{req: req, stream: strings.HasSuffix(r.URL.Path, "-stream"), usage: true}, nil
}

var (
	bedrockID   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	bedrockName = regexp.MustCompile(`^[a-zA-Z0-9()\[\]-]+( [a-zA-Z0-9()\[\]-]+)*$`)
)

// add takes in a message. Names are those of the documents so far.
func (m *bedrockMessage) add(req *model.Request, open pairs, names map[string]bool) error {
	out := model.Message{Role: model.User}
	if m.Role == "assistant" {
		out.Role = model.Assistant
	}
	papers, texts := 0, 0
	for _, b := range m.Content {
		if r := b.Result; r != nil {
			if len(out.Parts) > 0 || out.Role != model.User || len(r.Content) != 1 {
				return errors.New("a toolResult must come first in a user message, with its content")
			}
			result, err := open.answer(r.ID, r.Content[0].Text, r.Status == "error")
			if err != nil {
				return err
			}
			req.Messages = append(req.Messages, result)
			continue
		}
		if err := open.missing(); err != nil && len(out.Calls()) == 0 {
			return err
		}
		if b.Text != nil {
			texts++
		}
		if b.Paper != nil {
			papers++
		}
		part, err := b.part(out.Role, open, names)
		if err != nil {
			return err
		}
		out.Parts = append(out.Parts, part)
	}
	switch {
	case len(m.Content) == 0:
		return errors.New("the content is empty")
	case papers > 0 && texts == 0:
		return errors.New("a message with a document must have a text")
	case len(out.Calls()) > 0 && len(req.Tools) == 0:
		return errors.New("the toolConfig field must be defined when using toolUse and toolResult content blocks")
	}
	if len(out.Parts) > 0 {
		req.Messages = append(req.Messages, out)
	}
	if out.Role == model.User { // all results are in the one message after the calls
		return open.missing()
	}
	return nil
}

func (b *bedrockBlock) part(role model.Role, open pairs, names map[string]bool) (model.Part, error) {
	switch {
	case b.Text != nil && strings.TrimSpace(*b.Text) == "":
		return model.Part{}, errors.New("the text field in the ContentBlock object is blank")
	case b.Text != nil:
		return model.Part{Text: *b.Text}, nil
	case b.ToolUse != nil && role == model.Assistant:
		if !bedrockID.MatchString(b.ToolUse.ID) {
			return model.Part{}, fmt.Errorf("toolUseId: %q must match %s", b.ToolUse.ID, bedrockID)
		}
		return open.open(b.ToolUse.ID, b.ToolUse.Name, string(b.ToolUse.Input))
	case b.Image != nil && role == model.User:
		file, err := base64File("image/"+b.Image.Format, b.Image.Source.Bytes)
		return model.Part{File: file}, err
	case b.Paper != nil && role == model.User:
		if name := b.Paper.Name; !bedrockName.MatchString(name) || names[name] {
			return model.Part{}, fmt.Errorf("the document's name %q is used twice or has characters that are not allowed", name)
		}
		names[b.Paper.Name] = true
		media := "application/" + b.Paper.Format
		if b.Paper.Format == "txt" {
			media = "text/plain"
		}
		file, err := base64File(media, b.Paper.Source.Bytes)
		return model.Part{File: file}, err
	}
	return model.Part{}, errors.New("a content block of this type is not understood here")
}

// bedrockFinishes are the stop reasons for the neutral words.
var bedrockFinishes = map[string]string{
	"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "content_filtered",
}

// bedrockUsage is usage as the format counts it: what came from a cache is not part of the input.
func bedrockUsage(out *reply) map[string]any {
	u := out.usage
	return map[string]any{
		"inputTokens": u.Input - u.Cached, "cacheReadInputTokens": u.Cached, "cacheWriteInputTokens": 0,
		"outputTokens": u.Output, "totalTokens": u.Input + u.Output,
	}
}

func (bedrockWire) frames(_ *asked, out *reply) []frame {
	var all []frame
	add := func(name string, fields map[string]any) *frame {
		all = append(all, frame{data: bedrockEvent("event", name, encode(fields))})
		return &all[len(all)-1]
	}
	add("messageStart", map[string]any{"role": "assistant"})
	index := 0
	delta := func(d map[string]any) {
		add("contentBlockDelta", map[string]any{"contentBlockIndex": index, "delta": d})
	}
	stop := func() {
		add("contentBlockStop", map[string]any{"contentBlockIndex": index})
		index++
	}
	if out.text != "" { // a block of text has no start
		for _, piece := range scripted.Pieces(out.text) {
			delta(map[string]any{"text": piece})
		}
		stop()
	}
	for _, c := range out.calls {
		add("contentBlockStart", map[string]any{"contentBlockIndex": index, "start": map[string]any{
			"toolUse": map[string]any{"toolUseId": c.id, "name": c.name},
		}})
		begin, rest := c.halves()
		delta(map[string]any{"toolUse": map[string]any{"input": begin}})
		delta(map[string]any{"toolUse": map[string]any{"input": rest}})
		stop()
	}
	end := add("messageStop", map[string]any{"stopReason": null(out.finishIn(bedrockFinishes))})
	end.finish, end.end = true, true
	add("metadata", map[string]any{
		"usage": bedrockUsage(out), "metrics": map[string]any{"latencyMs": 1},
	}).closer = true
	return all
}

func (bedrockWire) whole(out *reply) []byte {
	content := []any{}
	if out.text != "" {
		content = append(content, map[string]any{"text": out.text})
	}
	for _, c := range out.calls {
		args := json.RawMessage(c.args)
		if !json.Valid(args) { // an unfinished call; this shape has no room for half an object
			args = json.RawMessage("null")
		}
		content = append(content, map[string]any{"toolUse": map[string]any{"toolUseId": c.id, "name": c.name, "input": args}})
	}
	return encode(map[string]any{
		"output":     map[string]any{"message": map[string]any{"role": "assistant", "content": content}},
		"stopReason": null(out.finishIn(bedrockFinishes)), "usage": bedrockUsage(out),
		"metrics": map[string]any{"latencyMs": 1},
	})
}

func (bedrockWire) malformed() []byte {
	return bedrockEvent("event", "contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"te`))
}

func (w bedrockWire) errorFrame(e *WireError) []byte {
	return bedrockEvent("exception", e.exception(), w.refusal(http.Header{}, 0, e))
}

// exception is the name of the error; the format has one word for it.
func (e *WireError) exception() string {
	if e.Type != "" {
		return e.Type
	}
	return e.Code
}

func (bedrockWire) refusal(h http.Header, _ int, e *WireError) []byte {
	body := map[string]any{}
	_ = json.Unmarshal(e.Details, &body) // the fields beside the message, of an exception that has any
	body["message"] = e.Message
	if name := e.exception(); name != "" {
		h.Set("X-Amzn-Errortype", name+":http://internal.amazon.com/coral/com.amazon.bedrock/")
	}
	return encode(body)
}

func (bedrockWire) invalid(text string) (int, *WireError) {
	return http.StatusBadRequest, &WireError{Type: "ValidationException", Message: text}
}

func (bedrockWire) noModel(name string) (int, *WireError) {
	return http.StatusNotFound, &WireError{
		Type: "ResourceNotFoundException", Message: "The model " + strings.ToValidUTF8(name, "?") + " does not exist",
	}
}

// bedrockEvent is one frame of AWS's binary event stream: the lengths and their checksum, headers, payload, and the
// checksum of everything before it.
func bedrockEvent(kind, name string, payload []byte) []byte {
	var headers []byte
	header := func(name, value string) {
		const text = 7 // the type of the value
		headers = append(append(headers, byte(len(name))), name...)
		headers = binary.BigEndian.AppendUint16(append(headers, text), uint16(len(value))) //nolint:gosec // short names
		headers = append(headers, value...)
	}
	header(":message-type", kind)
	header(":"+kind+"-type", name)
	header(":content-type", "application/json")
	const around = 16                                                                   // bytes of lengths and checksums
	buf := binary.BigEndian.AppendUint32(nil, uint32(around+len(headers)+len(payload))) //nolint:gosec // far below 4 GiB
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(headers)))                      //nolint:gosec // as above
	buf = binary.BigEndian.AppendUint32(buf, crc32.ChecksumIEEE(buf))
	buf = append(append(buf, headers...), payload...)
	return binary.BigEndian.AppendUint32(buf, crc32.ChecksumIEEE(buf))
}
