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

// geminiWire is the generateContent format of Google.
type geminiWire struct{}

func (geminiWire) format() Format     { return Gemini }
func (geminiWire) base() string       { return "" }
func (geminiWire) routes() []string   { return []string{"POST /v1beta/models/{call...}"} }
func (geminiWire) streamType() string { return "text/event-stream" }

// geminiRequest is the part of a request that the server looks at.
type geminiRequest struct {
	Contents []geminiContent `json:"contents"`
	System   *geminiContent  `json:"systemInstruction"`
	Tools    []struct {
		Functions []struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Schema      json.RawMessage `json:"parametersJsonSchema"`
		} `json:"functionDeclarations"`
	} `json:"tools"`
	ToolConfig struct {
		Calling struct {
			Mode string `json:"mode"`
		} `json:"functionCallingConfig"`
	} `json:"toolConfig"`
	Generation struct {
		MaxTokens   int             `json:"maxOutputTokens"`
		Temperature *float64        `json:"temperature"`
		MIMEType    string          `json:"responseMimeType"`
		Schema      json.RawMessage `json:"responseJsonSchema"`
	} `json:"generationConfig"`
}

type geminiContent struct {
	Role  string       `json:"role"`
	Parts []geminiPart `json:"parts"`
}

type geminiPart struct {
	Text      *string         `json:"text"`
	Blob      *geminiBlob     `json:"inlineData"`
	Call      *geminiCall     `json:"functionCall"`
	Response  *geminiResponse `json:"functionResponse"`
	Signature string          `json:"thoughtSignature"`
}

type geminiBlob struct {
	MIMEType string `json:"mimeType"`
	Data     string `json:"data"`
}

type geminiCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

type geminiResponse struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Response map[string]any `json:"response"`
}

// geminiSigned are the models that refuse a call without the signature of the thought behind it, and that take a schema
// together with tools.
var geminiSigned = regexp.MustCompile(`gemini-([3-9]|\d\d)`)

func (geminiWire) parse(r *http.Request, body []byte) (*asked, error) {
	name, method, _ := strings.Cut(r.PathValue("call"), ":")
	stream := method == "streamGenerateContent" && r.URL.Query().Get("alt") == "sse"
	if !stream && method != "generateContent" {
		return nil, fmt.Errorf("the method %q is not served here", method)
	}
	var w geminiRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("invalid JSON payload received: %w", err)
	}
	g := w.Generation
	req := &model.Request{
		Model: name, MaxTokens: g.MaxTokens, Temperature: g.Temperature, NoCalls: w.ToolConfig.Calling.Mode == "NONE",
	}
	for _, t := range w.Tools {
		for _, f := range t.Functions {
			req.Tools = append(req.Tools, model.Tool{Name: f.Name, Description: f.Description, Parameters: f.Schema})
		}
	}
	signed := geminiSigned.MatchString(name)
	switch {
	case len(w.Contents) == 0:
		return nil, errors.New("GenerateContentRequest.contents: contents is not specified")
	case g.MIMEType != "" && len(req.Tools) > 0 && !signed:
		return nil, errors.New("function calling with a response mime type: 'application/json' is unsupported")
	case len(g.Schema) > 0 && (g.MIMEType != "application/json" || !isObject(string(g.Schema))):
		return nil, errors.New("response_json_schema needs the mime type application/json and a schema")
	}
	req.Schema = g.Schema
	if w.System != nil {
		for _, p := range w.System.Parts {
			req.Instructions += p.text()
		}
	}
	turns := geminiTurns{req: req, signed: signed}
	for i := range w.Contents {
		if err := turns.add(i, &w.Contents[i]); err != nil {
			return nil, fmt.Errorf("contents[%d]: %w", i, err)
		}
	}
	if len(turns.open) > 0 {
		return nil, errors.New("the last function call turn has no function response turn")
	}
	return &asked{req: req, stream: stream, usage: true}, nil
}

func (p *geminiPart) text() string {
	if p.Text == nil {
		return ""
	}
	return *p.Text
}

// geminiTurns follows a conversation. Calls and results are paired by their ids where they have any, else by order.
type geminiTurns struct {
	req    *model.Request
	signed bool
	open   []*model.Call
}

func (t *geminiTurns) add(i int, c *geminiContent) error {
	out := model.Message{Role: model.User}
	switch {
	case c.Role != "user" && c.Role != "model":
		return errors.New("please use a valid role: user, model")
	case len(c.Parts) == 0:
		return errors.New("contents.parts must not be empty")
	case c.Role == "model":
		out.Role = model.Assistant
	}
	waiting, results := len(t.open), 0
	for k := range c.Parts {
		part := &c.Parts[k]
		switch {
		case part.Call != nil && c.Role == "model":
			if t.signed && len(out.Calls()) == 0 && part.Signature == "" {
				return errors.New("function call is missing a thought_signature in functionCall parts")
			}
			call := &model.Call{ID: part.Call.ID, Name: part.Call.Name, Args: part.Call.Args}
			if call.ID == "" {
				call.ID = fmt.Sprintf("call_%d_%d", i, k)
			}
			if len(call.Args) == 0 { // how no arguments are written
				call.Args = json.RawMessage("{}")
			}
			t.open = append(t.open, call)
			out.Parts = append(out.Parts, model.Part{Call: call})
		case part.Response != nil && c.Role == "user":
			m, err := t.result(part.Response)
			if err != nil {
				return err
			}
			results++
			t.req.Messages = append(t.req.Messages, m)
		case part.Blob != nil:
			file, err := base64File(part.Blob.MIMEType, part.Blob.Data)
			if err != nil {
				return err
			}
			out.Parts = append(out.Parts, model.Part{File: file})
		case part.Text != nil:
			out.Parts = append(out.Parts, model.Part{Text: *part.Text})
		default:
			return errors.New("the part has no initialized field that is understood here")
		}
	}
	if waiting != results {
		return errors.New("please ensure that the number of function response parts is equal to the number of " +
			"function call parts of the function call turn")
	}
	if len(out.Parts) > 0 {
		t.req.Messages = append(t.req.Messages, out)
	}
	return nil
}

// result finds the call that r answers.
func (t *geminiTurns) result(r *geminiResponse) (model.Message, error) {
	for i, c := range t.open {
		if c.Name != r.Name || r.ID != "" && r.ID != c.ID {
			continue
		}
		t.open = append(t.open[:i:i], t.open[i+1:]...)
		result := &model.Result{CallID: c.ID, Name: c.Name}
		failed, isError := r.Response["error"].(string)
		if result.Content, result.IsError = failed, isError; !isError {
			result.Content, _ = r.Response["output"].(string)
		}
		return model.Message{Role: model.ToolRole, Parts: []model.Part{{Result: result}}}, nil
	}
	return model.Message{}, fmt.Errorf("the function response for %s %q answers no call of the turn before", r.Name, r.ID)
}

// geminiFinishes are the finish reasons for the neutral words; calls have none of their own.
var geminiFinishes = map[string]string{
	"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY",
}

// geminiChunk is an answer or a piece of it; only the last piece has a finish reason and the usage.
func (out *reply) geminiChunk(last bool, parts ...map[string]any) []byte {
	candidate := map[string]any{"index": 0, "content": map[string]any{"role": "model", "parts": parts}}
	chunk := map[string]any{
		"candidates": []any{candidate}, "modelVersion": out.model, "responseId": fmt.Sprintf("response-%d", out.call),
	}
	if last {
		if finish := out.finishIn(geminiFinishes); finish != "" {
			candidate["finishReason"] = finish
		}
		u := out.usage
		chunk["usageMetadata"] = map[string]any{
			"promptTokenCount": u.Input, "cachedContentTokenCount": u.Cached, "candidatesTokenCount": u.Output,
			"totalTokenCount": u.Input + u.Output,
		}
	}
	return encode(chunk)
}

// geminiPart is a call. The format carries arguments whole, so that an unfinished call has none but says that it goes on.
func (c replyCall) geminiPart() map[string]any {
	call := map[string]any{"name": c.name}
	if c.id != "" {
		call["id"] = c.id
	}
	if json.Valid([]byte(c.args)) {
		call["args"] = json.RawMessage(c.args)
	} else {
		call["willContinue"] = true
	}
	return map[string]any{"functionCall": call}
}

func (geminiWire) frames(_ *asked, out *reply) []frame {
	var all []frame
	add := func(last bool, part map[string]any) {
		all = append(all, frame{data: event("", out.geminiChunk(last, part)), finish: last, end: last})
	}
	for _, piece := range scripted.Pieces(out.text) {
		add(false, map[string]any{"text": piece})
	}
	for _, c := range out.calls {
		add(false, c.geminiPart())
	}
	add(true, map[string]any{"text": ""})
	return all
}

func (geminiWire) whole(out *reply) []byte {
	var parts []map[string]any
	if out.text != "" {
		parts = append(parts, map[string]any{"text": out.text})
	}
	for _, c := range out.calls {
		parts = append(parts, c.geminiPart())
	}
	return out.geminiChunk(true, parts...)
}

func (geminiWire) malformed() []byte {
	return event("", []byte(`{"candidates":[{"content":{"parts":[{"te`))
}

func (w geminiWire) errorFrame(e *WireError) []byte { return event("", w.refusal(nil, 0, e)) }

func (geminiWire) refusal(_ http.Header, status int, e *WireError) []byte {
	body := map[string]any{"message": e.Message}
	if status != 0 {
		body["code"] = status
	}
	word := e.Type
	if word == "" {
		word = e.Code // the format has one word
	}
	if word != "" {
		body["status"] = word
	}
	if len(e.Details) > 0 {
		body["details"] = e.Details
	}
	return encode(map[string]any{"error": body})
}

func (geminiWire) invalid(text string) (int, *WireError) {
	return http.StatusBadRequest, &WireError{Type: "INVALID_ARGUMENT", Message: text}
}

func (geminiWire) noModel(name string) (int, *WireError) {
	return http.StatusNotFound, &WireError{
		Type: "NOT_FOUND", Message: "models/" + strings.ToValidUTF8(name, "?") + " is not found for API version v1beta",
	}
}
