package modeltest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model/modeltest"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// serve starts a server and returns it with its address.
func serve(t *testing.T, cfg modeltest.ServerConfig) (*modeltest.Server, string) {
	t.Helper()
	s, err := modeltest.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		web.Close()
	})
	return s, web.URL
}

// post asks for a completion and returns status and body.
func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	res, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, "broken: " + err.Error()
	}
	return res.StatusCode, string(data)
}

func body(model, text string, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}],"stream":%t}`, model, text, stream)
}

func TestTheServerAnswersWhole(t *testing.T) {
	s, url := serve(t, modeltest.ServerConfig{})
	status, text := post(t, url, `{"model":"m","messages":[{"role":"system","content":"x"},
		{"role":"user","content":[{"type":"text","text":"charge order A-1 "},{"type":"text","text":"12.50"}]}],
		"tools":[{"type":"function","function":{"name":"charge_card","parameters":{"properties":{"amount":{"type":"number"}}}}}]}`)
	var got struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
			Message      struct {
				ToolCalls []struct {
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	c := got.Choices[0]
	if c.FinishReason != "tool_calls" || c.Message.ToolCalls[0].Function.Arguments != `{"amount":12.50,"order":"A-1"}` ||
		got.Usage.Total == 0 {
		t.Errorf("got %s", text)
	}
	if rec := s.Requests()[0]; rec.Text != "charge order A-1 12.50" || rec.Stream || rec.Step != -1 || rec.Call != 1 {
		t.Errorf("recorded %+v", rec)
	}
}

func TestTheServerStreams(t *testing.T) {
	_, url := serve(t, modeltest.ServerConfig{})
	status, text := post(t, url, `{"model":"m","messages":[{"role":"user","content":"a b"}],
		"stream":true,"stream_options":{"include_usage":true}}`)
	var said strings.Builder
	var last string
	usage := false
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok {
			continue
		}
		last = data
		var c struct {
			Choices []struct{ Delta struct{ Content string } }
			Usage   *struct{}
		}
		if json.Unmarshal([]byte(data), &c) == nil && len(c.Choices) > 0 {
			said.WriteString(c.Choices[0].Delta.Content)
		}
		usage = usage || c.Usage != nil
	}
	if status != 200 || said.String() != "You said: a b" || last != "[DONE]" || !usage {
		t.Errorf("got %d %q, last %q, usage %t", status, said.String(), last, usage)
	}
}

func TestTheServerRefusesWhatTheRealOneWouldRefuse(t *testing.T) {
	call := `{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"t","arguments":"{}"}}]}`
	_, url := serve(t, modeltest.ServerConfig{})
	for name, messages := range map[string]string{
		"nothing":              ``,
		"a call at the end":    call,
		"a call without reply": call + `,{"role":"user","content":"x"}`,
		"a reply without call": `{"role":"tool","tool_call_id":"c","content":"x"}`,
		"a reply twice":        call + `,{"role":"tool","tool_call_id":"c","content":"x"},{"role":"tool","tool_call_id":"c","content":"x"}`,
		"arguments cut":        strings.Replace(call, `"{}"`, `"{"`, 1),
		"an empty call id":     strings.Replace(call, `"id":"c"`, `"id":""`, 1),
		"a silent assistant":   `{"role":"assistant","content":""}`,
		"an unknown role":      `{"role":"elf","content":"x"}`,
		"an odd content":       `{"role":"user","content":7}`,
		"a picture":            `{"role":"user","content":[{"type":"image_url"}]}`,
		"a sound":              `{"role":"user","content":[{"type":"input_audio"}]}`,
	} {
		if status, text := post(t, url, `{"model":"m","messages":[`+messages+`]}`); status != 400 ||
			!strings.Contains(text, "invalid_request_error") {
			t.Errorf("%s: got %d %s", name, status, text)
		}
	}
	for name, body := range map[string]string{"no JSON": `{`, "no model": `{"messages":[{"role":"user","content":"x"}]}`} {
		if status, _ := post(t, url, body); status != 400 {
			t.Errorf("%s: got %d", name, status)
		}
	}
}

func TestStepsActOnTheRequestsTheyName(t *testing.T) {
	refuse := func(s modeltest.Step) modeltest.Step { s.Status = 503; return s }
	cases := []struct {
		name string
		step modeltest.Step
		want []int // statuses of: "a" to m, "ab" to m, "a" to n, "a" to m
	}{
		{"call", refuse(modeltest.Step{Call: 2}), []int{200, 503, 200, 200}},
		{"text", refuse(modeltest.Step{Contains: "b"}), []int{200, 503, 200, 200}},
		{"model", refuse(modeltest.Step{Model: "n"}), []int{200, 200, 503, 200}},
		{"times", refuse(modeltest.Step{Model: "m", Times: 2}), []int{503, 503, 200, 200}},
		{"both", refuse(modeltest.Step{Call: 2, Model: "n"}), []int{200, 200, 200, 200}},
		{"all", refuse(modeltest.Step{}), []int{503, 503, 503, 503}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, url := serve(t, modeltest.ServerConfig{Script: modeltest.Script{Steps: []modeltest.Step{c.step}}})
			for i, b := range []string{body("m", "a", true), body("m", "ab", false), body("n", "a", true), body("m", "a", false)} {
				if status, _ := post(t, url, b); status != c.want[i] {
					t.Errorf("request %d: got %d, want %d", i+1, status, c.want[i])
				}
			}
			if err := s.SetScript(modeltest.Script{}); err != nil {
				t.Fatal(err)
			}
			if status, _ := post(t, url, body("n", "b", false)); status != 200 || s.Count() != 5 {
				t.Errorf("after the script was replaced: %d, %d requests", status, s.Count())
			}
		})
	}
}

func TestAWholeAnswerHasItsFaultsToo(t *testing.T) {
	for name, c := range map[string]struct {
		step modeltest.Step
		want string
	}{
		"cut":       {modeltest.Step{CutAfter: new(1)}, "broken: unexpected EOF"},
		"error":     {modeltest.Step{ErrorAt: new(0), Error: &modeltest.WireError{Code: "c", Message: "m"}}, `"code":"c"`},
		"malformed": {modeltest.Step{MalformedAt: new(0)}, `"conte`},
		"finish":    {modeltest.Step{Finish: "length"}, `"finish_reason":"length"`},
	} {
		_, url := serve(t, modeltest.ServerConfig{Script: modeltest.Script{Steps: []modeltest.Step{c.step}}})
		if _, text := post(t, url, body("m", "a", false)); !strings.Contains(text, c.want) {
			t.Errorf("%s: got %q", name, text)
		}
	}
	_, url := serve(t, modeltest.ServerConfig{Script: modeltest.Script{Steps: []modeltest.Step{{EndAfter: new(1)}}}})
	if _, text := post(t, url, body("m", "a", false)); json.Valid([]byte(text)) {
		t.Errorf("ended: got %q", text)
	}
}

func TestNoWaitOutlivesItsRequestOrTheServer(t *testing.T) {
	for name, step := range map[string]modeltest.Step{
		"delay": {Delay: scripted.Duration(time.Hour)},
		"pace":  {Pace: scripted.Duration(time.Hour)},
		"stall": {StallAfter: new(1)},
	} {
		for _, stream := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s stream=%t", name, stream), func(t *testing.T) {
				s, err := modeltest.NewServer(modeltest.ServerConfig{Script: modeltest.Script{Steps: []modeltest.Step{step}}})
				if err != nil {
					t.Fatal(err)
				}
				for _, end := range []string{"client", "server"} {
					ctx, cancel := context.WithCancel(t.Context())
					r := httptest.NewRequestWithContext(ctx, "POST", "/v1/chat/completions", strings.NewReader(body("m", "a b", stream)))
					done := make(chan any)
					go func() {
						defer func() { done <- recover() }()
						s.ServeHTTP(httptest.NewRecorder(), r)
					}()
					if end == "client" {
						cancel()
					} else {
						s.Close()
					}
					if v := <-done; v != http.ErrAbortHandler {
						t.Errorf("the wait ended with %v when the %s went away", v, end)
					}
					cancel()
				}
				if s.Active() != 0 || s.Count() != 2 {
					t.Errorf("%d are active of %d", s.Active(), s.Count())
				}
			})
		}
	}
}

func TestOnlyTheLatestRequestsAreKept(t *testing.T) {
	s, url := serve(t, modeltest.ServerConfig{Keep: 2})
	for _, text := range []string{"a", "b", "c"} {
		post(t, url, body("m", text, false))
	}
	if seen := s.Requests(); len(seen) != 2 || seen[0].Text != "b" || seen[1].Call != 3 {
		t.Errorf("kept %+v", seen)
	}
}

func TestModelsAreListedAndOthersRefused(t *testing.T) {
	_, url := serve(t, modeltest.ServerConfig{Models: []string{"small", "vendor/large"}})
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/v1/models":              {200, `"id":"vendor/large"`},
		"/v1/models/vendor/large": {200, `"id":"vendor/large"`},
		"/v1/models/other":        {404, "model_not_found"},
		"/v2":                     {404, "unknown_url"},
	} {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want.status || !strings.Contains(string(data), want.text) {
			t.Errorf("%s: got %d %s", path, res.StatusCode, data)
		}
	}
	if status, text := post(t, url, body("other", "a", true)); status != 404 || !strings.Contains(text, "model_not_found") {
		t.Errorf("another model: %d %s", status, text)
	}
}
