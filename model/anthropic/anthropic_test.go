package anthropic

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func against(t *testing.T, cfg Config, h http.HandlerFunc) *Provider {
	t.Helper()
	web := httptest.NewServer(h)
	cfg.BaseURL, cfg.APIKey = web.URL, "sk-ant-test-key"
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

func answering(t *testing.T, contentType, body string) *Provider {
	t.Helper()
	return against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
}

func ask(text string) *model.Request {
	return &model.Request{Model: "m", Messages: []model.Message{model.UserText(text)}}
}

const stream, whole = "text/event-stream; charset=utf-8", "application/json"

func sse(data ...string) string { return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n" }

const (
	textBegins = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	hi         = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}`
	blockEnds  = `{"type":"content_block_stop","index":0}`
	turnEnds   = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}`
	callsEnd   = `{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`
	stop       = `{"type":"message_stop"}`
)

// bodies are responses of status 200 and what is to be made of them.
var bodies = []struct {
	name, contentType, body string
	text, calls             string
	kind                    fault.Kind
}{
	{"plain", stream, sse(textBegins, hi, blockEnds, turnEnds, stop), "hi", "", ""},
	{"ping, unknown events and deltas", stream, sse(`{"type":"ping"}`, textBegins, `{"type":"tomorrow","index":"x"}`[:18]+`}`, hi,
		`{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta"}}`, blockEnds, turnEnds, stop), "hi", "", ""},
	{"thinking is passed over", stream, sse(`{"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":""}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"hm"}}`, textBegins, hi, blockEnds, turnEnds, stop), "hi", "", ""},
	{"text in the block's beginning", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"hi"}}`,
		blockEnds, turnEnds, stop), "hi", "", ""},
	{"a call without pieces", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}`,
		blockEnds, callsEnd, stop), "", "a f {}", ""},
	{"a call with its input at once", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"x":1.0}}}`,
		blockEnds, turnEnds, stop), "", `a f {"x":1.0}`, ""},
	{"a call without an id", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"f"}}`,
		blockEnds, callsEnd, stop), "", "call_0 f {}", ""},
	{"a call that is not closed", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}`,
		callsEnd, stop), "", "", fault.Truncated},
	{"a call without a name", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a"}}`,
		blockEnds, callsEnd, stop), "", "", fault.Truncated},
	{"calls that did not come", stream, sse(textBegins, hi, blockEnds, callsEnd, stop), "", "", fault.Truncated},
	{"a piece without a block", stream, sse(hi, turnEnds, stop), "", "", fault.Truncated},
	{"a block that begins twice", stream, sse(textBegins, textBegins, hi, turnEnds, stop), "", "", fault.Truncated},
	{"no message_stop", stream, sse(textBegins, hi, blockEnds, turnEnds), "", "", fault.Truncated},
	{"no stop reason", stream, sse(textBegins, hi, blockEnds, stop), "", "", fault.Truncated},
	{"only white space", stream, sse(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":" \n"}}`, turnEnds, stop), "", "", fault.Truncated},
	{"no JSON", stream, sse(textBegins, hi, `{"type":`, blockEnds, turnEnds, stop), "", "", fault.Truncated},
	{"an error without words", stream, sse(`{"type":"error"}`), "", "", fault.Unknown},
	{"an error of odd shape", stream, sse(`{"type":"error","error":{"type":"overloaded_error","details":7}}`), "", "", fault.Overloaded},
	{"one JSON body", whole, `{"type":"message","model":"m","content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"a","name":"f","input":{"x":1}}],
		"stop_reason":"tool_use","usage":{"input_tokens":1}}`, "hi", `a f {"x":1}`, ""},
	{"one JSON body that is an error", whole, `{"type":"error","error":{"type":"overloaded_error","message":"no room"}}`, "", "", fault.Overloaded},
	{"one JSON body without an end", whole, `{"type":"message","content":[{"type":"text","text":"hi"}]}`, "", "", fault.Truncated},
	{"another JSON body", whole, `{"hello":1}`, "", "", fault.Truncated},
	{"no stream at all", "text/html", "<html>sign in, please</html>", "", "", fault.Truncated},
	{"nothing", stream, "", "", "", fault.Truncated},
}

func TestAnswersOfAllShapesAreUnderstood(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			a, err := answering(t, c.contentType, c.body).Generate(t.Context(), ask("x"), func(c model.Chunk) {
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

func TestUsageCountsEverythingThatWasRead(t *testing.T) {
	p := answering(t, stream, sse(
		`{"type":"message_start","message":{"model":"m-2026","usage":{"input_tokens":2,"cache_read_input_tokens":30,"cache_creation_input_tokens":400,"output_tokens":1}}}`,
		textBegins, hi, blockEnds, turnEnds, stop))
	a, err := p.Generate(t.Context(), ask("x"), nil)
	if err != nil || a.Model != "m-2026" || a.Usage != (model.Usage{Input: 432, Cached: 30, Output: 3}) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAnEndlessAnswerIsBounded(t *testing.T) {
	for name, piece := range map[string]func(i int) string{
		"one event":   func(int) string { return strings.Repeat("x", 1<<16) },
		"many events": func(int) string { return strings.Replace(hi, "hi", strings.Repeat("x", 1<<16), 1) + "\n\ndata: " },
		"many blocks": func(i int) string {
			index, _ := json.Marshal(i + 1)
			return strings.Replace(textBegins, `:0`, ":"+string(index), 1) + "\n\ndata: "
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", stream)
				_, err := io.WriteString(w, "data: "+textBegins+"\n\ndata: ")
				for i := 0; err == nil; i++ { // until the client hangs up
					_, err = io.WriteString(w, piece(i))
				}
			})
			_, err := p.Generate(t.Context(), ask("x"), nil)
			if fault.KindOf(err) != fault.Truncated || !strings.Contains(err.Error(), "longer than") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	seen := map[string]bool{}
	p := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		w.Header().Set("Content-Type", stream)
		_, _ = io.WriteString(w, sse(textBegins, hi, blockEnds, turnEnds, stop))
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

func TestBodiesOfAllShapesAreClassified(t *testing.T) {
	cases := []struct {
		status int
		body   string
		want   fault.Kind
		text   string
	}{
		{400, `{"type":"error","error":{"type":"invalid_request_error","message":"input length and max_tokens exceed context limit: 9 + 4 > 8"}}`, fault.ContextOverflow, "exceed"},
		{400, `{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`, fault.Refused, ""},
		{409, `{"type":"error","error":{"type":"conflict_error","message":"again"}}`, fault.Transient, ""},
		{413, `<html>Request Entity Too Large</html>`, fault.Invalid, "413: Request Entity Too Large"},
		{500, `{"type":"error","error":{"type":"api_error","message":"Overloaded"}}`, fault.Overloaded, ""},
		{503, `{"type":"error","error":{"type":"api_error","message":"x"}}`, fault.Overloaded, "503 api_error: x"},
		{404, `404 page not found`, fault.ModelGone, "404"},
		{429, `{"error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"}}}`, fault.Quota, "enforced_spend"},
		{429, `{"error":{"type":"rate_limit_error","details":{"error_code":"something_new"}}}`, fault.Throttled, ""},
		{529, ``, fault.Overloaded, "529"},
		{520, ``, fault.Transient, "520"},
		{418, ``, fault.Invalid, "teapot"},
		{302, ``, fault.Unknown, "302"},
	}
	for _, c := range cases {
		p := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, err := p.Generate(t.Context(), ask("x"), nil)
		if fault.KindOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d %s: got %s: %v, want %s: %q", c.status, c.body, fault.KindOf(err), err, c.want, c.text)
		}
	}
}

func TestTheTablesAreConsistent(t *testing.T) {
	for name := range table.Vague {
		if _, ok := table.Codes[name]; ok || name != strings.ToLower(name) {
			t.Errorf("%q is in both tables or not in lower case", name)
		}
	}
	for name := range table.Codes {
		if name != strings.ToLower(name) {
			t.Errorf("%q is not in lower case", name)
		}
	}
	for _, row := range table.Texts {
		if row.Text != strings.ToLower(row.Text) || row.Kind.Trait() == (fault.Trait{}) || len(row.Statuses) == 0 {
			t.Errorf("%+v", row)
		}
	}
	for name, f := range finishes {
		if (f.finish == "") == (f.kind == "") {
			t.Errorf("%q: %+v", name, f)
		}
	}
}

func TestAConfigurationIsCheckedAtOnce(t *testing.T) {
	t.Setenv("ANTHROPIC_API_KEY", "")
	t.Setenv("ANTHROPIC_BASE_URL", "")
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"zero", Config{}, []string{"no API key"}},
		{"many mistakes", Config{BaseURL: "ftp://x", MaxTokens: -1}, []string{"no API key", "the base URL must be", "less than 0"}},
		{"bad key", Config{APIKey: "sk a"}, []string{"contains a space"}},
		{"version in the address", Config{APIKey: "k", BaseURL: "https://x/v1/"}, []string{"must not end in /v1"}},
		{"secret address", Config{APIKey: "k", BaseURL: "https://user:hunter2@:x"}, []string{"the base URL must be"}},
	} {
		_, err := New(c.cfg)
		for _, want := range c.want {
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q", c.name, err, want)
			}
		}
	}
	t.Setenv("ANTHROPIC_API_KEY", "sk-x\n")
	if p, err := New(Config{}); err != nil || p.key() != "sk-x" {
		t.Errorf("with a key in the environment the zero Config gives %v", err)
	}
}
