package inference

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestTheEngineFailsWithoutSayingSo: the failures that the other tests are about look like success on the wire. If an
// engine begins to report them, those tests prove less than they say.
func TestTheEngineFailsWithoutSayingSo(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "0", "ENGINE_HOLD=10")
	tools := `[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]`

	stream := bufio.NewReader(e.raw(t, count, "null"))
	for line := ""; !strings.Contains(line, `"content":"1"`); {
		var err error
		if line, err = stream.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	e.killWorker(t)
	if rest, err := io.ReadAll(stream); err != nil || strings.Contains(string(rest), "[DONE]") || strings.Contains(string(rest), `"finish_reason":"`) {
		t.Errorf("the cut stream: %v\n%s", err, rest)
	}

	broken, err := io.ReadAll(e.raw(t, "Broken call for Oslo.", tools))
	if s := string(broken); err != nil || !strings.Contains(s, `"finish_reason":"stop"`) || !strings.Contains(s, "[DONE]") || strings.Contains(s, "tool_calls") || strings.Contains(s, "Oslo") {
		t.Errorf("the unfinished call: %v\n%s", err, s)
	}

	long, err := io.ReadAll(e.raw(t, strings.Repeat("Say cat. ", 1500), "null"))
	finished, counted := regexp.MustCompile(`"finish_reason":"(stop|length)"`), regexp.MustCompile(`"prompt_tokens":[1-4]\d\d,`)
	if err != nil || !finished.Match(long) || !counted.Match(long) {
		t.Errorf("the long prompt: %v\n%s", err, long)
	}
}

// raw is the body of the engine's own answer, whose status is 200.
func (e *engine) raw(t *testing.T, prompt, tools string) io.Reader {
	t.Helper()
	content, err := json.Marshal(prompt)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"model":"ak-tiny","stream":true,"messages":[{"role":"user","content":%s}],"tools":%s}`, content, tools)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+e.port+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	return res.Body
}
