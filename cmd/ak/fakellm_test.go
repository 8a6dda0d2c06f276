package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestTheFakeModelServesAnAgent(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/script.json", `{"steps": [{"call": 1, "status": 429, "error": {"message": "slow down"}}]}`)
	fake := launch(t, dir, nil, "fakellm", "--addr", "127.0.0.1:0", "--script", "script.json", "--models", "m")
	url := fake.await(`at (http://\S+)`)[1]
	p := startServer(t, folder(t, `
session: {sqlite: {path: ./store.db}}
providers: {fake: {type: openai_compatible, base_url: "`+url+`"}}
agents: [{name: a, model: fake/m}]
`))
	if status, body, err := p.post("hello", ""); status != 503 || err != nil || body["code"] != "throttled" {
		t.Errorf("the first call: %d %v, %v", status, body, err)
	}
	if got := p.mustAnswer("my name is Ada", "")["result"]; !strings.Contains(got.(string), "Ada") {
		t.Errorf("the second call: %v", got)
	}
	res, err := http.Post(strings.TrimSuffix(url, "/v1")+"/v1/messages", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest { // understood, and refused as Anthropic would: it lacks everything
		t.Errorf("another format: status %d", res.StatusCode)
	}
	fake.signal(os.Interrupt)
	if code := fake.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
