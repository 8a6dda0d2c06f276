package openai

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// answering starts a server that gives one body to every request, and a provider for it.
func answering(t *testing.T, contentType, body string, cfg Config) *Provider {
	t.Helper()
	return against(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
}

func against(t *testing.T, cfg Config, h http.HandlerFunc) *Provider {
	t.Helper()
	web := httptest.NewServer(h)
	cfg.BaseURL, cfg.Compatible = web.URL, true
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		web.Close()
	})
	return p
}

func ask(text string) *model.Request {
	return &model.Request{Model: "m", Messages: []model.Message{model.UserText(text)}}
}

const stream, whole = "text/event-stream; charset=utf-8", "application/json; charset=utf-8"

// bodies are responses of status 200 and what is to be made of them.
var bodies = []struct {
	name, contentType, body string
	text, calls             string
	kind                    fault.Kind
}{
	{"comments, names, CRLF and a mark", stream, "\xef\xbb\xbf: ping\r\n\r\nevent: message\r\nid: 7\r\n" +
		"data:{\"choices\":[{\"delta\":{\"content\":\"hi\"},\r\ndata: \"finish_reason\":\"stop\"}]}\r\n\r\n", "hi", "", ""},
	{"no blank line at the end", stream, `data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`, "hi", "", ""},
	{"one JSON body", whole, `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`, "hi", "", ""},
	{"one JSON body with a call", whole, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a",
			"function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}]}`, "", `a f {"x":1}`, ""},
	{"one JSON body that is an error", whole, `{"error":{"code":503,"message":"no room"}}`, "", "", fault.Overloaded},
	{"one JSON body without an end", whole, `{"choices":[{"message":{"content":"hi"}}]}`, "", "", fault.Truncated},
	{
		"calls without index", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},`+
			`{"id":"b","function":{"name":"g","arguments":"{\"y\""}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":":2}"}}]},"finish_reason":"tool_calls"}]}`),
		"", `a f {} b g {"y":2}`, "",
	},
	{
		"all calls at index 0", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"stop"}]}`),
		"", `a f {} b g {}`, "",
	},
	{
		"interleaved calls", stream, sse(
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}},{"index":1,"id":"b","function":{"name":"g","arguments":""}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}`),
		"", `a f {"x":1} b g {}`, "",
	},
	{
		"a call without id and arguments", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"index":-1,"function":{"name":"f"}}]},"finish_reason":"stop"}]}`),
		"", `call_0 f {}`, "",
	},
	{
		"null arguments", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"null"}}]},"finish_reason":"stop"}]}`),
		"", `a f {}`, "",
	},
	{
		"arguments as an object", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]},"finish_reason":"stop"}]}`),
		"", `a f {"x":1}`, "",
	},
	{
		"arguments that are a list", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]},"finish_reason":"tool_calls"}]}`),
		"", "", fault.Truncated,
	},
	{
		"a call without a name", stream, sse(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`),
		"", "", fault.Truncated,
	},
	{"an end for calls that did not come", stream, sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"tool_calls"}]}`), "", "", fault.Truncated},
	{"content in parts", stream, sse(`{"choices":[{"delta":{"content":[{"type":"thinking"},{"type":"text","text":"hi"}]},"finish_reason":"eos"}]}`), "hi", "", ""},
	{"an empty finish reason is none", stream, sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":""}]}`), "", "", fault.Truncated},
	{"an unknown finish reason", stream, sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"moonrise"}]}`), "", "", fault.Unknown},
	{"only white space", stream, sse(`{"choices":[{"delta":{"content":" \n"},"finish_reason":"stop"}]}`), "", "", fault.Truncated},
	{"all tokens thought away", stream, sse(`{"choices":[{"delta":{"content":""},"finish_reason":"length"}]}`), "", "", fault.Truncated},
	{"a refusal", stream, sse(`{"choices":[{"delta":{"refusal":"I will not"},"finish_reason":"stop"}]}`), "", "", fault.Refused},
	{"another choice", stream, sse(`{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}`), "hi", "", ""},
	{"an error at the top", stream, sse(`{"object":"error","message":"maximum context length is 8","code":400}`), "", "", fault.ContextOverflow},
	{"an error without words", stream, sse(`{"object":"error"}`), "", "", fault.Unknown},
	{"an error that is a text", stream, sse(`{"error":"the server is overloaded"}`), "", "", fault.Overloaded},
	{"an error in a choice", stream, sse(`{"choices":[{"delta":{},"finish_reason":"error","error":{"code":502,"message":"upstream"}}]}`), "", "", fault.Transient},
	{"an error in a list", stream, sse(`[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]`), "", "", fault.Throttled},
	{"an error that is null", stream, sse(`{"error":null,"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`), "hi", "", ""},
	{"an error after the end", stream, sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`, `{"error":{"message":"no"}}`), "", "", fault.Unknown},
	{"no stream at all", "text/html", "<html>sign in, please</html>", "", "", fault.Truncated},
	{"nothing", stream, "", "", "", fault.Truncated},
}

func TestCompatibleServersAreUnderstood(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			a, err := answering(t, c.contentType, c.body, Config{}).Generate(t.Context(), ask("x"), func(c model.Chunk) {
				shown.WriteString(c.Text)
			})
			if fault.KindOf(err) != c.kind {
				t.Fatalf("got %v, want kind %q", err, c.kind)
			}
			if err != nil {
				return
			}
			var calls []string
			for _, call := range a.Message.Calls() {
				calls = append(calls, call.ID, call.Name, string(call.Args))
			}
			if a.Message.Text() != c.text || shown.String() != c.text || strings.Join(calls, " ") != c.calls {
				t.Errorf("got %q (shown %q) and %q", a.Message.Text(), shown.String(), calls)
			}
		})
	}
}

func sse(data ...string) string {
	return "data: " + strings.Join(data, "\n\ndata: ") + "\n\ndata: [DONE]\n\n"
}

func TestUsageAndModelAreTheServers(t *testing.T) {
	p := answering(t, "text/event-stream", sse(`{"model":"m-2026","choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`,
		`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}`), Config{})
	a, err := p.Generate(t.Context(), ask("x"), nil)
	if err != nil || a.Model != "m-2026" || a.Usage != (model.Usage{Input: 9, Cached: 4, Output: 3}) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAnEndlessAnswerIsBounded(t *testing.T) {
	for name, body := range map[string]func(w io.Writer) error{
		"one event": func(w io.Writer) error {
			_, err := io.WriteString(w, strings.Repeat("x", 1<<16))
			return err
		},
		"many events": func(w io.Writer) error {
			_, err := io.WriteString(w, `{"choices":[{"delta":{"content":"`+strings.Repeat("x", 1<<16)+"\"}}]}\n\ndata: ")
			return err
		},
		"many calls": func(w io.Writer) error {
			_, err := io.WriteString(w, `{"choices":[{"delta":{"tool_calls":[`+strings.Repeat(`{"id":"a"},{"id":"b"},`, 99)+"{}]}}]}\n\ndata: ")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, err := io.WriteString(w, "data: ")
				for err == nil { // until the client hangs up
					err = body(w)
				}
			})
			_, err := p.Generate(t.Context(), ask("x"), nil)
			if fault.KindOf(err) != fault.Truncated || !strings.Contains(err.Error(), "longer than") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheRequestIsWhatServersOfEachKindKnow(t *testing.T) {
	var body map[string]any
	var header http.Header
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, header = nil, r.Header
		if r.URL.Path != "/v1/chat/completions" {
			t.Errorf("path %s", r.URL.Path)
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`))
	}))
	defer web.Close()
	t.Setenv("OPENAI_API_KEY", "sk-from-environment")
	t.Setenv("OPENAI_ORG_ID", "org-from-environment")
	req := ask("x")
	req.MaxTokens = 5
	req.Tools = []model.Tool{{Name: "f"}}
	req.Messages = append(req.Messages,
		model.Message{Role: model.Assistant, Parts: []model.Part{{Call: &model.Call{ID: strings.Repeat("i", 41), Name: "f"}}}},
		model.Message{Role: model.ToolRole, Parts: []model.Part{{Result: &model.Result{
			CallID: strings.Repeat("i", 41), Name: "f", Content: "no such file", IsError: true,
		}}}},
		model.Message{Role: model.Assistant},
	)
	for _, c := range []struct {
		cfg        Config
		field, key string
	}{
		{Config{BaseURL: web.URL + "/v1"}, "max_completion_tokens", "Bearer sk-from-environment"},
		{Config{BaseURL: web.URL + "/v1/", Compatible: true}, "max_tokens", ""},
		{Config{BaseURL: web.URL + "/v1", APIKey: "sk-mine\n", Headers: map[string]string{"X-Team": "a"}}, "max_completion_tokens", "Bearer sk-mine"},
	} {
		p, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Generate(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		_ = p.Close()
		if body[c.field] != 5.0 || header.Get("Authorization") != c.key || header.Get("OpenAI-Organization") != "" ||
			header.Get("X-Team") != c.cfg.Headers["X-Team"] {
			t.Errorf("%+v: got %v, %v", c.cfg, body, header)
		}
		messages, _ := json.Marshal(body["messages"])
		const want = `[{"content":"x","role":"user"},` +
			`{"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"call_1_0_0","type":"function"}]},` +
			`{"content":"Error: no such file","role":"tool","tool_call_id":"call_1_0_0"}]`
		if string(messages) != want {
			t.Errorf("got %s\nwant %s", messages, want)
		}
		tools, _ := json.Marshal(body["tools"])
		if string(tools) != `[{"function":{"name":"f","parameters":{"properties":{},"type":"object"}},"type":"function"}]` {
			t.Errorf("tools: %s", tools)
		}
	}
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	seen := map[string]bool{}
	p := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		w.Header().Set("Content-Type", stream)
		_, _ = io.WriteString(w, sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`))
	})
	for range 5 {
		if _, err := p.Generate(t.Context(), ask("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 1 {
		t.Errorf("five calls used %d connections", len(seen))
	}
}

func TestACompleteAnswerIsNotLostToWhatFollows(t *testing.T) {
	const end = `data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}` + "\n\n"
	for name, body := range map[string]string{"DONE and silence": end + "data: [DONE]\n\n", "silence": end} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", stream)
				_, _ = io.WriteString(w, body)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done() // the connection stays open until the client gives it up
			})
			var stop func(model.Chunk)
			if name == "silence" { // nothing but the end of the context ends this one
				stop = func(model.Chunk) { cancel() }
			}
			a, err := p.Generate(ctx, ask("x"), stop)
			if err != nil || a.Message.Text() != "hi" {
				t.Errorf("got %v, %v", a, err)
			}
		})
	}
}

func TestTimeoutsOfTheHTTPClientAreToldApart(t *testing.T) {
	for _, c := range []struct {
		begin bool
		want  fault.Kind
	}{{false, fault.TimeoutFirstToken}, {true, fault.TimeoutTotal}} {
		client := model.NewHTTPClient()
		client.Timeout = 50 * time.Millisecond
		p := against(t, Config{HTTPClient: client}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
			if c.begin {
				w.Header().Set("Content-Type", stream)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		})
		if _, err := p.Generate(t.Context(), ask("x"), nil); fault.KindOf(err) != c.want {
			t.Errorf("begun %t: got %v, want %s", c.begin, err, c.want)
		}
	}
}

func TestAConfigurationIsCheckedAtOnce(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "")
	t.Setenv("OPENAI_BASE_URL", "")
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"zero", Config{}, []string{"no API key"}},
		{"two mistakes", Config{BaseURL: "ftp://x"}, []string{"no API key", "the base URL must be"}},
		{"bad key", Config{APIKey: "sk a"}, []string{"contains a space"}},
		{"compatible without address", Config{Compatible: true}, []string{"the base URL must be"}},
		{"secret address", Config{APIKey: "k", BaseURL: "https://user:hunter2@:x"}, []string{"the base URL must be"}},
	} {
		_, err := New(c.cfg)
		for _, want := range c.want {
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q", c.name, err, want)
			}
		}
	}
	t.Setenv("OPENAI_API_KEY", "sk-x")
	if p, err := New(Config{}); err != nil || p.key() != "sk-x" {
		t.Errorf("with a key in the environment the zero Config gives %v", err)
	}
}

func TestMessagesThatCannotBeSentAreInvalid(t *testing.T) {
	p := answering(t, "text/event-stream", "", Config{})
	for name, req := range map[string]*model.Request{
		"role":   {Model: "m", Messages: []model.Message{{Role: "elf"}}},
		"tool":   {Model: "m", Tools: []model.Tool{{Name: "f", Parameters: json.RawMessage(`{`)}}},
		"schema": {Model: "m", Schema: json.RawMessage(`{`)},
	} {
		if _, err := p.Generate(t.Context(), req, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
