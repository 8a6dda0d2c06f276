package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/genai"

	"github.com/agentkernel/agentkernel/model"
)

// foreignCall is sent as the signature of a call whose own one is not known. It is a value of the API, not of ours.
const foreignCall = "skip_thought_signature_validator"

// errFile is the cause of a failure for a file that the API does not take.
var errFile = errors.New("the file cannot be sent to this provider")

// contents writes the conversation.
func contents(req *model.Request) ([]*genai.Content, error) {
	var all []*genai.Content
	open := calls{ids: model.NewCallIDs(func(string) bool { return true }), signed: generationOf(req.Model) >= 3}
	for i, m := range req.Messages {
		var c *genai.Content
		var err error
		switch m.Role {
		case model.User:
			c, err = userContent(i, m)
		case model.Assistant:
			c, err = open.assistantContent(i, m)
		case model.ToolRole:
			if i > 0 && req.Messages[i-1].Role == model.ToolRole {
				continue // was taken together with the one before
			}
			c = open.resultContent(req.Messages[i:])
		default:
			err = fmt.Errorf("message %d has the unknown role %q", i, m.Role)
		}
		if err != nil {
			return nil, err
		}
		if len(c.Parts) > 0 { // a turn that says nothing would be refused
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the request has no message")
	}
	return all, nil
}

func userContent(i int, m model.Message) (*genai.Content, error) {
	c := &genai.Content{Role: genai.RoleUser}
	for _, part := range m.Parts {
		switch {
		case part.File != nil:
			blob, err := filePart(part.File)
			if err != nil {
				return nil, fmt.Errorf("message %d: %w", i, err)
			}
			c.Parts = append(c.Parts, blob)
		case part.Text != "":
			c.Parts = append(c.Parts, &genai.Part{Text: part.Text})
		}
	}
	return c, nil
}

// inlineTypes are what the API takes beside texts.
var inlineTypes = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/webp": true, "image/heic": true, "image/heif": true,
	"application/pdf": true,
}

func filePart(f *model.File) (*genai.Part, error) {
	media := f.PlainType()
	switch {
	case inlineTypes[media]:
	case f.Media() == model.MediaText:
		media = "text/plain" // the model reads all of them as text
	default:
		return nil, fmt.Errorf("%w: a file of type %s is neither an image that it reads, nor a PDF, nor text", errFile, media)
	}
	if len(f.Data) == 0 {
		return nil, errors.New("a file came without its bytes")
	}
	return &genai.Part{InlineData: &genai.Blob{MIMEType: media, Data: f.Data}}, nil
}

// calls follows the calls of a conversation.
type calls struct {
	ids    *model.CallIDs
	latest []openCall // the calls of the latest assistant message
	signed bool       // the model wants a signature with the calls
}

type openCall struct {
	id, name string
	result   *genai.Part
}

func (o *calls) assistantContent(i int, m model.Message) (*genai.Content, error) {
	c := &genai.Content{Role: genai.RoleModel}
	if text := m.Text(); text != "" {
		c.Parts = append(c.Parts, &genai.Part{Text: text})
	}
	all := m.Calls()
	ids := o.ids.Calls(i, all)
	o.latest = nil
	for k, call := range all {
		args := bytes.TrimSpace(call.Args)
		if len(args) == 0 || string(args) == "null" {
			args = []byte("{}")
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(args, &fields); err != nil {
			return nil, fmt.Errorf("message %d: the arguments of call %d (%s) are not a JSON object", i, k+1, call.Name)
		}
		values := make(map[string]any, len(fields))
		for name, value := range fields {
			values[name] = value
		}
		part := &genai.Part{FunctionCall: &genai.FunctionCall{ID: ids[k], Name: call.Name, Args: values}}
		if k == 0 && o.signed { // of parallel calls only the first one has a signature
			part.ThoughtSignature = []byte(foreignCall)
		}
		o.latest = append(o.latest, openCall{id: ids[k], name: call.Name})
		c.Parts = append(c.Parts, part)
	}
	return c, nil
}

// resultContent puts the results at the beginning of messages into one turn, in the order of the calls: that is how a
// server that knows no ids pairs them.
func (o *calls) resultContent(messages []model.Message) *genai.Content {
	c := &genai.Content{Role: genai.RoleUser}
	var strays []*genai.Part
	for _, m := range messages {
		if m.Role != model.ToolRole {
			break
		}
		for _, part := range m.Parts {
			if part.Result == nil {
				continue
			}
			key := "output"
			if part.Result.IsError {
				key = "error"
			}
			said := &genai.Part{FunctionResponse: &genai.FunctionResponse{
				ID: o.ids.Result(part.Result), Name: part.Result.Name, Response: map[string]any{key: part.Result.Content},
			}}
			at := slices.IndexFunc(o.latest, func(c openCall) bool { return c.id == said.FunctionResponse.ID && c.result == nil })
			if at < 0 {
				strays = append(strays, said)
				continue
			}
			said.FunctionResponse.Name = o.latest[at].name
			o.latest[at].result = said
		}
	}
	for _, open := range o.latest {
		if open.result != nil {
			c.Parts = append(c.Parts, open.result)
		}
	}
	o.latest = nil
	c.Parts = append(c.Parts, strays...)
	return c
}
