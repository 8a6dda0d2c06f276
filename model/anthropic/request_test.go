package anthropic

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// sent is the body that req becomes.
func sent(t *testing.T, cfg Config, req *model.Request) map[string]json.RawMessage {
	t.Helper()
	t.Setenv("ANTHROPIC_AUTH_TOKEN", "from-the-environment")
	var body map[string]json.RawMessage
	p := against(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/messages" || r.Header.Get("X-Api-Key") != "sk-ant-test-key" || r.Header.Get("Authorization") != "" {
			t.Errorf("path %s, headers %v", r.URL.Path, r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", stream)
		_, _ = io.WriteString(w, sse(textBegins, hi, blockEnds, turnEnds, stop))
	})
	if _, err := p.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	return body
}

func said(id, name, content string, failed bool) model.Message {
	return model.Message{Role: model.ToolRole, Parts: []model.Part{{
		Result: &model.Result{CallID: id, Name: name, Content: content, IsError: failed},
	}}}
}

func TestAConversationIsWrittenAsTheAPIWantsIt(t *testing.T) {
	req := ask("x")
	req.Instructions = " "
	req.Tools = []model.Tool{{Name: "f"}, {Name: "g", Description: "d", Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"maximum":12345678901234567890}}}`)}}
	req.Messages = append(req.Messages,
		model.Message{Role: model.Assistant, Parts: []model.Part{
			{Text: "\n"},
			{Call: &model.Call{ID: "call.1", Name: "f"}},
			{Call: &model.Call{ID: "call_2", Name: "g", Args: json.RawMessage(`{"n":12345678901234567890}`)}},
		}},
		said("call.1", "f", "no such file", true),
		said("call_2", "g", "", false),
		model.UserText("go on"),
		model.Message{Role: model.Assistant},
		model.UserText(" "),
	)
	body := sent(t, Config{}, req)
	for field, want := range map[string]string{
		"max_tokens": "4096",
		"system":     "",
		"messages": `[{"content":[{"text":"x","type":"text"}],"role":"user"},` +
			`{"content":[{"id":"call_1_0_0","input":{},"name":"f","type":"tool_use"},` +
			`{"id":"call_2","input":{"n":12345678901234567890},"name":"g","type":"tool_use"}],"role":"assistant"},` +
			`{"content":[{"tool_use_id":"call_1_0_0","is_error":true,"content":[{"text":"no such file","type":"text"}],"type":"tool_result"},` +
			`{"tool_use_id":"call_2","type":"tool_result"},{"text":"go on","type":"text"}],"role":"user"}]`,
		"tools": `[{"input_schema":{"type":"object","properties":{}},"name":"f"},` +
			`{"input_schema":{"type":"object","properties":{"n":{"maximum":12345678901234567890}}},"name":"g","description":"d"}]`,
		"stream": "true", "tool_choice": "", "output_config": "",
	} {
		if string(body[field]) != want {
			t.Errorf("%s: got %s\nwant %s", field, body[field], want)
		}
	}
	if got := sent(t, Config{MaxTokens: 7}, ask("x"))["max_tokens"]; string(got) != "7" {
		t.Errorf("the configured bound was sent as %s", got)
	}
}

func TestASchemaIsReducedOrToldInWords(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{
			`{"$schema":"x","type":"object","properties":{"n":{"type":"integer","minimum":1,"default":10000000000000000001},"l":{"type":"array","maxItems":3,"items":{"oneOf":[{"type":"string","pattern":"a"},{"type":["null"]}]}}},"required":["n"]}`,
			`{"additionalProperties":false,"properties":{"l":{"items":{"anyOf":[{"type":"string"},{"type":["null"]}]},"type":"array"},"n":{"default":10000000000000000001,"type":"integer"}},"required":["n"],"type":"object"}`,
		},
		{`{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}}}`, ""},
		{`{"type":"object","additionalProperties":{"type":"string"}}`, ""},
		{`{"type":"object","properties":{"m":{"type":["object","null"]}}}`, ""},
		{`{"type":"object","properties":{},"additionalProperties":true}`, ""},
		{`{"allOf":[{"type":"object","properties":{}},{"type":"object","properties":{}}]}`, ""},
		{`{"type":"object","properties":{"any":true}}`, ""},
	} {
		req := ask("x")
		req.Instructions, req.Schema = "Be brief.", json.RawMessage(c.schema)
		body := sent(t, Config{}, req)
		want, told := `{"format":{"schema":`+c.want+`,"type":"json_schema"}}`, false
		if c.want == "" {
			want, told = "", true
		}
		var got any
		if len(body["output_config"]) > 0 && json.Unmarshal(body["output_config"], &got) != nil {
			t.Fatal("not JSON")
		}
		if !same(body["output_config"], want) || strings.Contains(string(body["system"]), "JSON Schema") != told {
			t.Errorf("%s: got %s, %s", c.schema, body["output_config"], body["system"])
		}
	}
	req := ask("x")
	req.Schema = json.RawMessage(`{"type":"object","properties":{}}`)
	if body := sent(t, Config{SchemaInWords: true}, req); body["output_config"] != nil || !strings.Contains(string(body["system"]), "JSON Schema") {
		t.Errorf("in words: got %s", body["system"])
	}
}

// same compares JSON after putting it into one form, numbers kept as they are written.
func same(got json.RawMessage, want string) bool {
	form := func(text string) string {
		if text == "" {
			return ""
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) != nil {
			return "not JSON: " + text
		}
		out, _ := json.Marshal(v)
		return string(out)
	}
	return form(string(got)) == form(want)
}

func TestRequestsThatCannotBeSentAreInvalid(t *testing.T) {
	p := answering(t, stream, "")
	for name, req := range map[string]*model.Request{
		"role":    {Model: "m", Messages: []model.Message{{Role: "elf"}}},
		"tool":    {Model: "m", Messages: ask("x").Messages, Tools: []model.Tool{{Name: "f", Parameters: json.RawMessage(`{`)}}},
		"schema":  {Model: "m", Messages: ask("x").Messages, Schema: json.RawMessage(`{} {}`)},
		"silence": {Model: "m", Messages: []model.Message{model.UserText(" ")}},
	} {
		if _, err := p.Generate(t.Context(), req, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(sse(textBegins, hi, blockEnds, turnEnds, stop)))
	f.Add([]byte(sse(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}`, blockEnds, callsEnd, stop)))
	f.Add([]byte(sse(`{"type":"error","error":{"type":"overloaded_error"}}`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		a := &assembly{}
		var text strings.Builder
		for stream := model.NewEvents(strings.NewReader(string(in))); !a.done; {
			data, err := stream.Next()
			if err != nil {
				return
			}
			piece, err := a.add(data)
			if err != nil {
				return
			}
			text.WriteString(piece)
		}
		answer, err := a.answer()
		if err != nil {
			if kind := fault.KindOf(err); kind == fault.Unknown && finishes[a.stop].finish != "" {
				t.Fatalf("the failure has no kind: %v", err)
			}
			return
		}
		if a.stop == "" || answer.Message.Text() != text.String() {
			t.Fatalf("answered %+v to a stream with the stop reason %q and the text %q", answer, a.stop, text.String())
		}
		for _, c := range answer.Message.Calls() {
			if c.Name == "" || c.ID == "" || !strings.HasPrefix(string(c.Args), "{") {
				t.Fatalf("call %+v", c)
			}
		}
	})
}

func FuzzReduce(f *testing.F) {
	f.Add([]byte(`{"type":"object","properties":{"a":{"type":"array","items":{"anyOf":[{"type":"string"}]}}}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := reduce(in)
		if err != nil {
			return
		}
		again, err := reduce(out)
		if errors.Is(err, errOpen) || err != nil || string(again) != string(out) {
			t.Fatalf("%s becomes %s, which becomes %s, %v", in, out, again, err)
		}
	})
}
