package modeltest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/model/modeltest"
)

// message asks for an answer in Anthropic's format and returns status and body.
func message(t *testing.T, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/messages", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Anthropic-Version", "2023-06-01")
	res, err := http.DefaultClient.Do(r)
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

func TestOneServerSpeaksEveryFormat(t *testing.T) {
	s, url := serve(t, modeltest.ServerConfig{Models: []string{"m"}, Script: modeltest.Script{Steps: []modeltest.Step{
		{Contains: "stop", Finish: "length"}, {Contains: "cache", Cached: 1}, {Contains: "unfinished", UnfinishedCall: true},
	}}})
	for text, want := range map[string]string{
		"hi":         `"stop_reason":"end_turn"`,
		"stop":       `"stop_reason":"max_tokens"`,
		"cache":      `"cache_read_input_tokens":1,"input_tokens":0`,
		"unfinished": `"input":null`,
	} {
		status, got := message(t, url, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"`+text+`"}]}`)
		if status != 200 || !strings.Contains(got, `"type":"message"`) || !strings.Contains(got, want) {
			t.Errorf("%s: got %d %s", text, status, got)
		}
	}
	status, got := message(t, url, `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"a b"}]}`)
	if status != 200 || strings.Count(got, "text_delta") < 2 || !strings.HasSuffix(got, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n") {
		t.Errorf("streamed: %d %s", status, got)
	}
	if status, got = message(t, url, `{"model":"other","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`); status != 404 || !strings.Contains(got, "not_found_error") {
		t.Errorf("another model: %d %s", status, got)
	}
	if status, got = post(t, url, body("m", "x", false)); status != 200 || !strings.Contains(got, "chat.completion") {
		t.Errorf("OpenAI's format beside it: %d %s", status, got)
	}
	if seen := s.Requests(); seen[0].Format != modeltest.Anthropic || seen[len(seen)-1].Format != modeltest.OpenAI {
		t.Errorf("recorded %v and %v", seen[0].Format, seen[len(seen)-1].Format)
	}
}

func TestTheServerRefusesWhatAnthropicWouldRefuse(t *testing.T) {
	const use = `{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"t","input":{}}]}`
	const result = `{"type":"tool_result","tool_use_id":"c","content":"x"}`
	_, url := serve(t, modeltest.ServerConfig{})
	for name, messages := range map[string]string{
		"nothing":               ``,
		"an empty text":         `{"role":"user","content":" "}`,
		"no content":            `{"role":"user","content":[]}`,
		"a system message":      `{"role":"system","content":"x"}`,
		"a call at the end":     use,
		"a call without result": use + `,{"role":"user","content":"x"}`,
		"a text before results": use + `,{"role":"user","content":[{"type":"text","text":"x"},` + result + `]}`,
		"a result twice":        use + `,{"role":"user","content":[` + result + `,` + result + `]}`,
		"a result alone":        `{"role":"user","content":[` + result + `]}`,
		"results in two messages": strings.Replace(use, `]}`, `,{"type":"tool_use","id":"d","name":"t","input":{}}]}`, 1) +
			`,{"role":"user","content":[` + result + `]},{"role":"user","content":[` + strings.Replace(result, `"c"`, `"d"`, 1) + `]}`,
		"an odd id":       strings.Replace(use, `"c"`, `"c.1"`, 1),
		"arguments cut":   strings.Replace(use, `{}`, `null`, 1),
		"a broken image":  `{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"?"}}]}`,
		"an unknown part": `{"role":"user","content":[{"type":"sound"}]}`,
	} {
		status, text := message(t, url, `{"model":"m","max_tokens":9,"messages":[`+messages+`]}`)
		if status != 400 || !strings.Contains(text, "invalid_request_error") {
			t.Errorf("%s: got %d %s", name, status, text)
		}
	}
	const hi = `"messages":[{"role":"user","content":"x"}]`
	for name, body := range map[string]string{
		"no JSON":             `{`,
		"no model":            `{"max_tokens":9,` + hi + `}`,
		"no bound":            `{"model":"m",` + hi + `}`,
		"a choice of no tool": `{"model":"m","max_tokens":9,"tool_choice":{"type":"none"},` + hi + `}`,
		"half a format":       `{"model":"m","max_tokens":9,"output_config":{"format":{"type":"json_schema"}},` + hi + `}`,
	} {
		if status, text := message(t, url, body); status != 400 {
			t.Errorf("%s: got %d %s", name, status, text)
		}
	}
}
