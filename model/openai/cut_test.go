package openai

import (
	"fmt"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func talk(parts ...string) *model.Request {
	req := &model.Request{Model: "m"}
	for i, text := range parts {
		role := model.User
		if i%2 == 1 {
			role = model.Assistant
		}
		req.Messages = append(req.Messages, model.Message{Role: role, Parts: []model.Part{{Text: text}}})
	}
	return req
}

func TestAPromptThatTheServerCutIsAFailedAttempt(t *testing.T) {
	long := strings.Repeat("word ", 1000)
	instructed := talk("hello", "yes", "and now?")
	instructed.Instructions = long
	for name, c := range map[string]struct {
		req    *model.Request
		tokens int
		want   fault.Kind
	}{
		"one long message":                        {req: talk(long), tokens: 400, want: fault.ContextOverflow},
		"one long message, read whole":            {req: talk(long), tokens: 1001},
		"words of two to a token":                 {req: talk(long), tokens: 500},
		"nothing counted":                         {req: talk(long), tokens: 0},
		"the same prompt again, cached":           {req: talk(long), tokens: 1},
		"a long history":                          {req: talk(long, "yes", long, "yes", "and now?"), tokens: 900, want: fault.ContextOverflow},
		"a long history, only the news counted":   {req: talk(long, "yes", long, "yes", strings.Repeat("b ", 90)), tokens: 99},
		"news that are too long":                  {req: talk("hello", "yes", long), tokens: 300, want: fault.ContextOverflow},
		"instructions that were cached":           {req: instructed, tokens: 100},
		"a text without spaces":                   {req: talk(strings.Repeat("文", 4000)), tokens: 400, want: fault.ContextOverflow},
		"a text without spaces, four to a token":  {req: talk(strings.Repeat("文", 4000)), tokens: 1000},
		"a long answer came before, not counted":  {req: talk("hello", long, "and now?"), tokens: 70},
		"a long answer came before, it was asked": {req: talk("hello", long, "and now?"), tokens: 1010},
	} {
		t.Run(name, func(t *testing.T) {
			p := answering(t, "text/event-stream", sse(fmt.Sprintf(
				`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d}}`, c.tokens)), Config{})
			if _, err := p.Generate(t.Context(), c.req, nil); fault.KindOf(err) != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestALongToolResultCountsAsPartOfThePrompt: results are what most often makes a prompt too long.
func TestALongToolResultCountsAsPartOfThePrompt(t *testing.T) {
	req := talk("hello")
	req.Messages = append(req.Messages,
		model.Message{Role: model.Assistant, Parts: []model.Part{{Call: &model.Call{ID: "a", Name: "f", Args: []byte("{}")}}}},
		model.Message{Role: model.ToolRole, Parts: []model.Part{{Result: &model.Result{CallID: "a", Name: "f", Content: strings.Repeat("word ", 1000)}}}})
	p := answering(t, "text/event-stream", sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":300}}`), Config{})
	if _, err := p.Generate(t.Context(), req, nil); fault.KindOf(err) != fault.ContextOverflow {
		t.Errorf("got %v", err)
	}
}
