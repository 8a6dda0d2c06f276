package bedrock

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const testKey = "ABSK-canary-0123456789"

// answering starts a server that gives one body to every request, and a provider for it.
func answering(t *testing.T, body []byte) *Provider {
	t.Helper()
	return against(t, Config{APIKey: testKey}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		_, _ = w.Write(body)
	})
}

func against(t *testing.T, cfg Config, h http.HandlerFunc) *Provider {
	t.Helper()
	isolate(t)
	web := httptest.NewServer(h)
	cfg.BaseURL, cfg.Region = web.URL, "eu-central-1"
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

// frame is a frame as the SDK's own encoder writes it; a name that begins with "!" is that of an exception.
func frame(name, payload string) []byte {
	kind := "event"
	if strings.HasPrefix(name, "!") {
		kind, name = "exception", name[1:]
	}
	msg := eventstream.Message{Payload: []byte(payload)}
	msg.Headers.Set(":message-type", eventstream.StringValue(kind))
	msg.Headers.Set(":"+kind+"-type", eventstream.StringValue(name))
	msg.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	var buf bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&buf, msg); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// frames joins frames, given as pairs of name and payload.
func frames(pairs ...string) []byte {
	var all []byte
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, frame(pairs[i], pairs[i+1])...)
	}
	return all
}

const (
	start = "contentBlockStart"
	delta = "contentBlockDelta"
	stop  = "messageStop"
	hi    = `{"contentBlockIndex":0,"delta":{"text":"hi"}}`
	ended = `{"stopReason":"end_turn"}`
	tools = `{"stopReason":"tool_use"}`
)

// bodies are responses of status 200 and what is to be made of them.
var bodies = []struct {
	name        string
	body        []byte
	text, calls string
	kind        fault.Kind
}{
	{"text", frames("messageStart", `{"role":"assistant"}`, delta, hi, "contentBlockStop", `{}`, stop, ended), "hi", "", ""},
	{"reasoning is not shown", frames(delta, `{"delta":{"reasoningContent":{"text":"hm"}}}`, delta, hi, stop, ended), "hi", "", ""},
	{"two blocks of text", frames(delta, hi, delta, `{"contentBlockIndex":1,"delta":{"text":"!"}}`, stop, ended), "hi!", "", ""},
	{"interleaved calls", frames(
		start, `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"f"}}}`,
		start, `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"a","name":"g"}}}`,
		delta, `{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"x\":"}}}`,
		delta, `{"contentBlockIndex":0,"delta":{"toolUse":{"input":"1}"}}}`, stop, tools), "", `a f {"x":1} call_1 g {}`, ""},
	{"an end without tool_use", frames(start, `{"start":{"toolUse":{"toolUseId":"a","name":"f"}}}`, stop, ended), "", "a f {}", ""},
	{"a call that did not start", frames(delta, `{"delta":{"toolUse":{"input":"{}"}}}`, stop, tools), "", "", fault.Truncated},
	{"half of the arguments", frames(start, `{"start":{"toolUse":{"name":"f"}}}`, delta, `{"delta":{"toolUse":{"input":"{\"x"}}}`, stop, tools), "", "", fault.Truncated},
	{"an end for calls that did not come", frames(delta, hi, stop, tools), "", "", fault.Truncated},
	{"no end", frames(delta, hi), "", "", fault.Truncated},
	{"usage, but no end", frames(delta, hi, "metadata", `{"usage":{"inputTokens":1}}`), "", "", fault.Truncated},
	{"an end without a reason", frames(delta, hi, stop, `{}`), "", "", fault.Truncated},
	{"an unknown end", frames(delta, hi, stop, `{"stopReason":"moonrise"}`), "", "", fault.Unknown},
	{"only white space", frames(delta, `{"delta":{"text":" \n"}}`, stop, ended), "", "", fault.Truncated},
	{"all tokens thought away", frames(stop, `{"stopReason":"max_tokens"}`), "", "", fault.Truncated},
	{"an unknown event", frames("sunrise", `{}`, delta, hi, stop, ended), "hi", "", ""},
	{"a frame that is cut", frames(delta, hi, stop, ended)[:100], "", "", fault.Truncated},
	{"a frame that was changed", bytes.Replace(frames(delta, hi, stop, ended), []byte("hi"), []byte("ho"), 1), "", "", fault.Truncated},
	{"rubbish after the end", append(frames(delta, hi, stop, ended), "rubbish of more than a prelude"...), "hi", "", ""},
	{"an exception", frames(delta, hi, "!throttlingException", `{"message":"slower"}`), "", "", fault.Throttled},
	{"an exception after the end", frames(delta, hi, stop, ended, "!internalServerException", `{"message":"oh"}`), "", "", fault.Transient},
	{"an exception in other letters", frames("!ThrottlingException", `{"Message":"slower"}`), "", "", fault.Throttled},
	{"an unknown exception", frames("!moonException", `{}`), "", "", fault.Unknown},
	{"a model's failure", frames("!modelStreamErrorException", `{"message":"x","originalStatusCode":429}`), "", "", fault.Throttled},
	{"no stream at all", []byte("<html>sign in, please, and then come back to us</html>"), "", "", fault.Truncated},
	{"nothing", nil, "", "", fault.Truncated},
}

func TestAnswersOfAllShapesAreUnderstood(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			a, err := answering(t, c.body).Generate(t.Context(), ask("x"), func(c model.Chunk) { shown.WriteString(c.Text) })
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

func TestErrorFramesAreFailures(t *testing.T) {
	msg := eventstream.Message{}
	msg.Headers.Set(":message-type", eventstream.StringValue("error"))
	msg.Headers.Set(":error-code", eventstream.StringValue("serviceUnavailableException"))
	msg.Headers.Set(":error-message", eventstream.StringValue("busy"))
	var buf bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&buf, msg); err != nil {
		t.Fatal(err)
	}
	_, err := answering(t, buf.Bytes()).Generate(t.Context(), ask("x"), nil)
	if fault.KindOf(err) != fault.Overloaded || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v", err)
	}
}

func TestUsageCountsAllThatWasRead(t *testing.T) {
	p := answering(t, frames(delta, hi, stop, ended, "metadata",
		`{"usage":{"inputTokens":3,"outputTokens":5,"cacheReadInputTokens":4,"cacheWriteInputTokens":2,"totalTokens":14}}`))
	a, err := p.Generate(t.Context(), ask("x"), nil)
	if err != nil || a.Model != "m" || a.Usage != (model.Usage{Input: 9, Cached: 4, Output: 5}) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAnEndlessAnswerIsBounded(t *testing.T) {
	long := frames(delta, `{"delta":{"text":"`+strings.Repeat("x", 1<<16)+`"}}`)
	p := against(t, Config{APIKey: testKey}, func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for err == nil { // until the client hangs up
			_, err = w.Write(long)
		}
	})
	if _, err := p.Generate(t.Context(), ask("x"), nil); fault.KindOf(err) != fault.Truncated || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func TestACompleteAnswerIsNotLostToWhatFollows(t *testing.T) {
	for name, body := range map[string][]byte{
		"usage and silence": frames(delta, hi, stop, ended, "metadata", `{}`), "silence": frames(delta, hi, stop, ended),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := against(t, Config{APIKey: testKey}, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = w.Write(body)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done() // the connection stays open until the client gives it up
			})
			var end func(model.Chunk)
			if name == "silence" { // nothing but the end of the context ends this one
				end = func(model.Chunk) { time.AfterFunc(20*time.Millisecond, cancel) }
			}
			a, err := p.Generate(ctx, ask("x"), end)
			if err != nil || a.Message.Text() != "hi" {
				t.Errorf("got %v, %v", a, err)
			}
		})
	}
}

// In the SDK the streams of one client share a buffer; answers that come at once must not mix.
func TestAnswersThatComeAtOnceDoNotMix(t *testing.T) {
	p := against(t, Config{APIKey: testKey}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		letter := body[bytes.Index(body, []byte("say "))+4]
		for range 50 {
			_, _ = w.Write(frames(delta, `{"delta":{"text":"`+strings.Repeat(string(letter), 100)+`"}}`))
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(frames(stop, ended))
	})
	var all sync.WaitGroup
	for _, letter := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			a, err := p.Generate(t.Context(), ask("say "+letter), nil)
			if err != nil || a.Message.Text() != strings.Repeat(letter, 5000) {
				t.Errorf("%s: got another text, %v", letter, err)
			}
		})
	}
	all.Wait()
}

func TestRequestsAreSignedOrCarryTheKey(t *testing.T) {
	creds := credentials.NewStaticCredentialsProvider("access-key-id", "canary-secret-key", "canary-session-token")
	for name, c := range map[string]struct {
		cfg  Config
		env  string
		want string
	}{
		"key":                     {Config{APIKey: testKey + "\n"}, "", "Bearer " + testKey},
		"key before credentials":  {Config{APIKey: testKey, Credentials: creds}, "", "Bearer " + testKey},
		"key of the environment":  {Config{}, "of-the-environment", "Bearer of-the-environment"},
		"credentials":             {Config{Credentials: creds}, "", "AWS4-HMAC-SHA256 Credential=access-key-id/"},
		"credentials before env":  {Config{Credentials: creds}, "of-the-environment", "AWS4-HMAC-SHA256 Credential=access-key-id/"},
		"key func that has none":  {Config{Credentials: creds, KeyFunc: func() string { return "" }}, "", "AWS4-HMAC-SHA256 "},
		"key func with a new key": {Config{KeyFunc: func() string { return "new-one" }}, "of-the-environment", "Bearer new-one"},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			t.Setenv("AWS_BEARER_TOKEN_BEDROCK", c.env)
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if r.URL.EscapedPath() != "/model/eu.anthropic.m%3A0/converse-stream" {
					t.Errorf("the address is %s", r.URL.EscapedPath())
				}
				w.WriteHeader(http.StatusForbidden)
				said := r.Header.Get("Authorization") + " " + r.Header.Get("X-Amz-Security-Token")
				if !strings.HasPrefix(said, "Bearer") { // what comes after must fit into the text
					_, said, _ = strings.Cut(said, "x-amz-security-token, ")
					said += " canary-secret-key access-key-id"
				}
				_, _ = io.WriteString(w, `{"message":"`+said+`"}`)
			}))
			defer web.Close()
			c.cfg.BaseURL, c.cfg.Region = web.URL, "eu-central-1"
			p, err := New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			req := ask("x")
			req.Model = "eu.anthropic.m:0"
			_, err = p.Generate(t.Context(), req, nil)
			_ = p.Close()
			if fault.KindOf(err) != fault.Auth {
				t.Errorf("got %v", err)
			}
			secrets := []string{"access-key-id", "canary-secret-key", "canary-session-token"}
			if key, ok := strings.CutPrefix(c.want, "Bearer "); ok {
				secrets = []string{key}
			} else if !strings.Contains(err.Error(), "Signature=[secret]") {
				t.Errorf("the signature is not removed: %v", err)
			}
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the text contains %q: %v", secret, err)
				}
			}
		})
	}
}

func TestCredentialsThatCannotBeHadAreAFailureOfAuth(t *testing.T) {
	asked := 0
	p := against(t, Config{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		asked++
		return aws.Credentials{}, errors.New("the role expired; password=https://user:hunter2@host")
	})}, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	_, err := p.Generate(t.Context(), ask("x"), nil)
	if fault.KindOf(err) != fault.Auth || asked != 1 || strings.Contains(err.Error(), "hunter2") || fault.Try(err) == "" {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestTheCredentialDoesNotFollowARedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent on") }))
	defer other.Close()
	p := against(t, Config{APIKey: testKey}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := p.Generate(t.Context(), ask("x"), nil); fault.KindOf(err) != fault.Unknown {
		t.Errorf("got %v", err)
	}
}

func TestAConfigurationIsCheckedAtOnce(t *testing.T) {
	isolate(t)
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"zero", Config{}, []string{"no region"}},
		{"two mistakes", Config{BaseURL: "ftp://x"}, []string{"no region", "the base URL must be"}},
		{"bad key", Config{Region: "r", APIKey: "sk hunter2"}, []string{"contains a space"}},
		{"secret address", Config{Region: "r", BaseURL: "https://user:hunter2@:x"}, []string{"the base URL must be"}},
		{"no such profile", Config{Region: "r", Profile: "nobody"}, []string{"the AWS settings cannot be read"}},
	} {
		_, err := New(c.cfg)
		for _, want := range c.want {
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q", c.name, err, want)
			}
		}
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	if _, err := New(Config{}); err != nil {
		t.Errorf("with a region in the environment the zero Config gives %v", err)
	}
}
