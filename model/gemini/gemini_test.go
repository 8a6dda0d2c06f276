package gemini

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const testKey = "AIza-canary-0123456789"

// answering starts a server that gives one body to every request, and a provider for it.
func answering(t *testing.T, contentType, body string) *Provider {
	t.Helper()
	return against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
}

func against(t *testing.T, cfg Config, h http.HandlerFunc) *Provider {
	t.Helper()
	web := httptest.NewServer(h)
	cfg.BaseURL = web.URL
	if cfg.KeyFunc == nil && cfg.APIKey == "" {
		cfg.APIKey = testKey
	}
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

const stream, whole = "text/event-stream", "application/json; charset=UTF-8"

func sse(data ...string) string { return "data: " + strings.Join(data, "\r\n\r\ndata: ") + "\r\n\r\n" }

// say is a chunk of parts, given as JSON, and a finish reason, which may be empty.
func say(parts, finish string) string {
	return `{"candidates":[{"content":{"role":"model","parts":[` + parts + `]},"finishReason":"` + finish + `"}]}`
}

// bodies are responses of status 200 and what is to be made of them.
var bodies = []struct {
	name, contentType, body string
	text, calls             string
	kind                    fault.Kind
}{
	{"text in pieces", stream, sse(say(`{"text":"h"}`, ""), say(`{"text":"i"}`, "STOP")), "hi", "", ""},
	{"thoughts are not shown", stream, sse(say(`{"text":"hm","thought":true},{"text":"hi"}`, "STOP")), "hi", "", ""},
	{"a signature alone", stream, sse(say(`{"text":"hi"}`, ""), say(`{"text":"","thoughtSignature":"AA=="}`, "STOP")), "hi", "", ""},
	{
		"calls without ids", stream, sse(say(`{"functionCall":{"name":"f"}},{"functionCall":{"name":"f","args":{"x":1}}}`, "STOP")),
		"", `call_0 f {} call_1 f {"x":1}`, "",
	},
	{
		"calls with one id", stream, sse(say(`{"functionCall":{"id":"a","name":"f"}},{"functionCall":{"id":"a","name":"g"}}`, "STOP")),
		"", `a f {} call_1 g {}`, "",
	},
	{
		"a large number in arguments", stream, sse(say(`{"functionCall":{"name":"f","args":{"x":12345678901234567890}}}`, "STOP")),
		"", `call_0 f {"x":12345678901234567890}`, "",
	},
	{"a call without a name", stream, sse(say(`{"functionCall":{"args":{}}}`, "STOP")), "", "", fault.Truncated},
	{"a call that goes on", stream, sse(say(`{"functionCall":{"name":"f","willContinue":true}}`, "STOP")), "", "", fault.Truncated},
	{"arguments that are a list", stream, sse(say(`{"functionCall":{"name":"f","args":[1]}}`, "STOP")), "", "", fault.Truncated},
	{"one JSON body", whole, say(`{"text":"hi"}`, "STOP"), "hi", "", ""},
	{"a JSON list of chunks", whole, "[" + say(`{"text":"h"}`, "") + "," + say(`{"text":"i"}`, "STOP") + "]", "hi", "", ""},
	{"one JSON body without an end", whole, say(`{"text":"hi"}`, ""), "", "", fault.Truncated},
	{"one JSON body that is an error", whole, `{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}`, "", "", fault.Overloaded},
	{"no end", stream, sse(say(`{"text":"hi"}`, "")), "", "", fault.Truncated},
	{"an unspecified end is none", stream, sse(say(`{"text":"hi"}`, "FINISH_REASON_UNSPECIFIED")), "", "", fault.Truncated},
	{"an unknown end", stream, sse(say(`{"text":"hi"}`, "MOONRISE")), "", "", fault.Unknown},
	{"only white space", stream, sse(say(`{"text":" \n"}`, "STOP")), "", "", fault.Truncated},
	{"all tokens thought away", stream, sse(say(`{"text":"hm","thought":true}`, "MAX_TOKENS")), "", "", fault.Truncated},
	{"a malformed call", stream, sse(say(``, "MALFORMED_FUNCTION_CALL")), "", "", fault.Malformed},
	{"a blocked prompt", stream, sse(`{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}`), "", "", fault.Refused},
	{"safe feedback", stream, sse(`{"promptFeedback":{"safetyRatings":[]}}`, say(`{"text":"hi"}`, "STOP")), "hi", "", ""},
	{"another candidate", stream, sse(`{"candidates":[{"index":1,"content":{"parts":[{"text":"no"}]}}]}`, say(`{"text":"hi"}`, "STOP")), "hi", "", ""},
	{"an error with a status alone", stream, sse(`{"error":{"code":429}}`), "", "", fault.Throttled},
	{"an error that is a text", stream, sse(`{"error":"the model is overloaded"}`), "", "", fault.Overloaded},
	{"an error in a list", stream, sse(`[{"error":{"code":500,"status":"INTERNAL"}}]`), "", "", fault.Transient},
	{"an error after the end", stream, sse(say(`{"text":"hi"}`, "STOP"), `{"error":{"code":500}}`), "", "", fault.Transient},
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

func TestUsageCountsThoughtsAsOutput(t *testing.T) {
	p := answering(t, stream, sse(say(`{"text":"hi"}`, ""), `{"candidates":[{"finishReason":"STOP"}],"modelVersion":"m-001",`+
		`"usageMetadata":{"promptTokenCount":9,"toolUsePromptTokenCount":2,"cachedContentTokenCount":4,`+
		`"candidatesTokenCount":3,"thoughtsTokenCount":50}}`))
	a, err := p.Generate(t.Context(), ask("x"), nil)
	if err != nil || a.Model != "m-001" || a.Usage != (model.Usage{Input: 11, Cached: 4, Output: 53}) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAnEndlessAnswerIsBounded(t *testing.T) {
	p := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", stream)
		var err error
		for err == nil { // until the client hangs up
			_, err = io.WriteString(w, sse(say(`{"text":"`+strings.Repeat("x", 1<<16)+`"}`, "")))
		}
	})
	if _, err := p.Generate(t.Context(), ask("x"), nil); fault.KindOf(err) != fault.Truncated || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func TestACompleteAnswerIsNotLostToWhatFollows(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", stream)
		_, _ = io.WriteString(w, sse(say(`{"text":"hi"}`, "STOP")))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // the connection stays open until the client gives it up
	})
	a, err := p.Generate(ctx, ask("x"), func(model.Chunk) { cancel() })
	if err != nil || a.Message.Text() != "hi" {
		t.Errorf("got %v, %v", a, err)
	}
}

// The key is in a header of its own, which an HTTP client would send along to wherever it is redirected.
func TestTheKeyDoesNotFollowARedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the request was sent on, with the key %q", r.Header.Get("X-Goog-Api-Key"))
	}))
	defer other.Close()
	p := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := p.Generate(t.Context(), ask("x"), nil); fault.KindOf(err) != fault.Unknown {
		t.Errorf("got %v", err)
	}
}

func TestSecretsAreInNoText(t *testing.T) {
	const header = "canary-of-a-header"
	for name, body := range map[string]string{
		"message": `{"error":{"code":400,"message":"bad key ` + testKey + `, header ` + header + `"}}`,
		"word":    `{"error":{"code":400,"status":"` + testKey + `"}}`,
		"text":    testKey + " " + header,
	} {
		p := against(t, Config{Headers: map[string]string{"X-Team": header}}, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Goog-Api-Key") != testKey || r.Header.Get("X-Team") != header {
				t.Errorf("the headers are %v", r.Header)
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		_, err := p.Generate(t.Context(), ask("x"), nil)
		if err == nil || strings.Contains(err.Error(), testKey) || strings.Contains(err.Error(), header) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAConfigurationIsCheckedAtOnce(t *testing.T) {
	t.Setenv("GEMINI_API_KEY", "")
	t.Setenv("GOOGLE_API_KEY", "")
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"zero", Config{}, []string{"no API key"}},
		{"two mistakes", Config{BaseURL: "ftp://x"}, []string{"no API key", "the base URL must be"}},
		{"bad key", Config{APIKey: "AIza hunter2"}, []string{"contains a space"}},
		{"secret address", Config{APIKey: "k", BaseURL: "https://user:hunter2@:x"}, []string{"the base URL must be"}},
	} {
		_, err := New(c.cfg)
		for _, want := range c.want {
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q", c.name, err, want)
			}
		}
	}
	t.Setenv("GOOGLE_API_KEY", "second")
	if p, err := New(Config{}); err != nil || p.key() != "second" {
		t.Errorf("with a key in the environment the zero Config gives %v", err)
	}
	t.Setenv("GEMINI_API_KEY", "first")
	if p, err := New(Config{}); err != nil || p.key() != "first" {
		t.Errorf("with two keys in the environment the zero Config gives %v", err)
	}
}

func TestTheAddressMayNameAVersion(t *testing.T) {
	for base, want := range map[string]string{
		"": "/v1beta", "/": "/v1beta", "/v1": "/v1", "/v1alpha/": "/v1alpha", "/proxy": "/proxy/v1beta", "/proxy/v1beta": "/proxy/v1beta",
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != want+"/models/m:streamGenerateContent" || r.URL.RawQuery != "alt=sse" {
				t.Errorf("%q: the address is %s", base, r.URL)
			}
			w.Header().Set("Content-Type", stream)
			_, _ = io.WriteString(w, sse(say(`{"text":"hi"}`, "STOP")))
		}))
		p, err := New(Config{APIKey: testKey, BaseURL: web.URL + base})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Generate(t.Context(), ask("x"), nil); err != nil {
			t.Error(err)
		}
		_ = p.Close()
		web.Close()
	}
}
