package modeltest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/agentkernel/agentkernel/model"
)

// wireRequest is the part of a chat-completions request that the server looks at.
type wireRequest struct {
	Model         string        `json:"model"`
	Messages      []wireMessage `json:"messages"`
	Tools         []wireTool    `json:"tools"`
	Stream        bool          `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int      `json:"max_tokens"`
	MaxCompletionTokens int      `json:"max_completion_tokens"`
	Temperature         *float64 `json:"temperature"`
}

type wireMessage struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	ToolCalls  []wireCall      `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
}

type wireCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type wireTool struct {
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// parseRequest reads a request as the real server would: a conversation that it would refuse is an error.
func parseRequest(body []byte) (*wireRequest, *model.Request, error) {
	var w wireRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, nil, fmt.Errorf("the body is not a JSON request: %w", err)
	}
	if w.Model == "" {
		return nil, nil, errors.New("you must provide a model parameter")
	}
	if len(w.Messages) == 0 {
		return nil, nil, errors.New("messages: at least one is needed")
	}
	req := &model.Request{Model: w.Model, MaxTokens: max(w.MaxTokens, w.MaxCompletionTokens), Temperature: w.Temperature}
	for _, t := range w.Tools {
		req.Tools = append(req.Tools, model.Tool{
			Name: t.Function.Name, Description: t.Function.Description, Parameters: t.Function.Parameters,
		})
	}
	open := map[string]string{} // id to tool name of the calls that have no result yet
	for i, m := range w.Messages {
		text, err := contentText(m.Content)
		if err != nil {
			return nil, nil, fmt.Errorf("messages[%d].content: %w", i, err)
		}
		if len(open) > 0 && m.Role != "tool" {
			return nil, nil, fmt.Errorf("messages[%d]: an assistant message with tool_calls must be followed by a tool "+
				"message for each tool_call_id; %d have none", i, len(open))
		}
		if err := addMessage(req, m, text, open); err != nil {
			return nil, nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	if len(open) > 0 {
		return nil, nil, fmt.Errorf("messages: %d tool calls at the end have no result", len(open))
	}
	return &w, req, nil
}

func addMessage(req *model.Request, m wireMessage, text string, open map[string]string) error {
	var parts []model.Part
	if text != "" {
		parts = []model.Part{{Text: text}}
	}
	role := model.User
	switch m.Role {
	case "system", "developer":
		req.Instructions += text
		return nil
	case "user":
		parts = []model.Part{{Text: text}}
	case "assistant":
		role = model.Assistant
		for _, c := range m.ToolCalls {
			if _, twice := open[c.ID]; c.ID == "" || twice {
				return fmt.Errorf("tool_calls: the id %q is empty or used twice", c.ID)
			}
			if !isObject(c.Function.Arguments) {
				return fmt.Errorf("tool_calls: the arguments of %s are not a JSON object", c.ID)
			}
			open[c.ID] = c.Function.Name
			parts = append(parts, model.Part{Call: &model.Call{
				ID: c.ID, Name: c.Function.Name, Args: json.RawMessage(c.Function.Arguments),
			}})
		}
		if len(parts) == 0 {
			return errors.New("an assistant message needs content or tool_calls")
		}
	case "tool":
		role = model.ToolRole
		name, ok := open[m.ToolCallID]
		if !ok {
			return fmt.Errorf("tool_call_id: %q answers no call of the message before", m.ToolCallID)
		}
		delete(open, m.ToolCallID)
		parts = []model.Part{{Result: &model.Result{CallID: m.ToolCallID, Name: name, Content: text}}}
	default:
		return fmt.Errorf("role: %q is not known", m.Role)
	}
	req.Messages = append(req.Messages, model.Message{Role: role, Parts: parts})
	return nil
}

// contentText reads a content, which is a string, a list of parts, or null.
func contentText(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var text *string
	if json.Unmarshal(raw, &text) == nil {
		if text == nil {
			return "", nil
		}
		return *text, nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", errors.New("is neither a string nor a list of parts")
	}
	all := ""
	for _, p := range parts {
		if p.Type != "text" {
			return "", fmt.Errorf("a part of type %q is not understood here", p.Type)
		}
		all += p.Text
	}
	return all, nil
}

func isObject(text string) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &m) == nil && m != nil
}
