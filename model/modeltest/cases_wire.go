package modeltest

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// wireCases are about what of a request reaches the server.
func wireCases() []*testCase {
	full := fullRequest()
	return []*testCase{
		{name: "the whole conversation reaches the server", req: full, verify: func(p *probe, _ *outcome) {
			got := p.server.Requests()[0].Request
			if !p.expect(got != nil, "the server could not read the request") {
				return
			}
			p.expect(got.Instructions == full.Instructions, "the instructions are %q", got.Instructions)
			p.expect(got.MaxTokens == 77, "the bound on tokens is %d, want 77", got.MaxTokens)
			p.expect(got.Temperature != nil && *got.Temperature == 0.25, "the temperature did not arrive")
			p.expect(jsonEqual(renamed(got.Messages), renamed(full.Messages)), "the messages are %s, want %s",
				encode(got.Messages), encode(full.Messages))
			p.expect(jsonEqual(got.Tools, full.Tools), "the tools are %s, want %s", encode(got.Tools), encode(full.Tools))
			p.expect(p.server.Requests()[0].Stream, "no stream was asked for")
		}},
		{
			name: "call ids of any origin are paired", req: repeatedIDs(),
			verify: func(p *probe, _ *outcome) {
				got := p.server.Requests()[0].Request
				if !p.expect(got != nil, "the server refused the conversation") {
					return
				}
				var results []string
				for _, m := range got.Messages {
					for _, part := range m.Parts {
						if part.Result != nil {
							results = append(results, part.Result.Name+part.Result.Content)
						}
					}
				}
				want := []string{"look1", "now2", "look3", "look1", "now2", "look3"}
				p.expect(slices.Equal(results, want), "the results belong to %q, want %q", results, want)
			},
		},
		{name: "the request is left as it was", check: func(p *probe) {
			before := string(encode(full))
			o := p.generate(p.ctx, full)
			p.expect(o != nil && o.err == nil, "Generate failed")
			p.expect(string(encode(full)) == before, "Generate changed the request")
		}},
		{name: "a request without a model is refused", check: func(p *probe) {
			o := p.generate(p.ctx, &model.Request{Messages: []model.Message{model.UserText("x")}})
			if o != nil {
				p.expectKind(o, fault.Invalid)
			}
		}},
	}
}

// fullRequest uses every field of a request.
func fullRequest() *model.Request {
	return withTools(&model.Request{
		Model: modelName, Instructions: "Be brief.", MaxTokens: 77, Temperature: new(0.25),
		Messages: []model.Message{
			model.UserText("first"),
			{Role: model.Assistant, Parts: []model.Part{
				{Text: "I look."},
				{Call: &model.Call{ID: "call_a", Name: "look", Args: json.RawMessage(`{"at":"x"}`)}},
				{Call: &model.Call{ID: "call_b", Name: "now", Args: json.RawMessage(`{}`)}},
			}},
			toolSaid("call_a", "look", "nothing"),
			toolSaid("call_b", "now", "noon"),
			{Role: model.Assistant, Parts: []model.Part{{Text: "Nothing at noon."}}},
			model.UserText("and now?"),
		},
	})
}

// renamed are messages whose call ids, unique in them, are numbers in order: not every format carries ids.
func renamed(messages []model.Message) []model.Message {
	names, out := map[string]string{}, []model.Message{}
	name := func(id string) string {
		if names[id] == "" {
			names[id] = strconv.Itoa(len(names) + 1)
		}
		return names[id]
	}
	for _, m := range messages {
		m.Parts = slices.Clone(m.Parts)
		for i, part := range m.Parts {
			if c := part.Call; c != nil {
				m.Parts[i].Call = &model.Call{ID: name(c.ID), Name: c.Name, Args: c.Args}
			}
			if r := part.Result; r != nil {
				m.Parts[i].Result = &model.Result{CallID: name(r.CallID), Name: r.Name, Content: r.Content}
			}
		}
		out = append(out, m)
	}
	return out
}

// repeatedIDs is a conversation with call ids that repeat, in one answer and in two, and one that is empty.
func repeatedIDs() *model.Request {
	twice := withTools(question("again"))
	for range 2 {
		twice.Messages = append(twice.Messages,
			model.Message{Role: model.Assistant, Parts: []model.Part{
				{Call: &model.Call{ID: "call_0", Name: "look", Args: json.RawMessage(`{"at":"x"}`)}},
				{Call: &model.Call{ID: "call_0", Name: "now", Args: json.RawMessage(`{}`)}},
				{Call: &model.Call{Name: "look", Args: json.RawMessage(`{"at":"y"}`)}},
			}},
			toolSaid("call_0", "look", "1"),
			toolSaid("call_0", "now", "2"),
			toolSaid("", "look", "3"),
		)
	}
	return twice
}

// toolSaid is a tool's result.
func toolSaid(id, name, content string) model.Message {
	return model.Message{Role: model.ToolRole, Parts: []model.Part{{
		Result: &model.Result{CallID: id, Name: name, Content: content},
	}}}
}

func jsonEqual(a, b any) bool { return sameJSON(encode(a), encode(b)) }
