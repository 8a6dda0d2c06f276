package openai

import (
	"bytes"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func FuzzStream(f *testing.F) {
	f.Add([]byte(sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`)))
	f.Add([]byte(sse(`{"choices":[{"delta":{"tool_calls":[{"index":3,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`)))
	f.Add([]byte("data: {\"error\":{\"code\":429}}\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a := &assembly{}
		var text strings.Builder
		for stream := model.NewEvents(bytes.NewReader(in)); ; {
			data, err := stream.Next()
			if err != nil {
				break
			}
			piece, err := a.add(data)
			if err != nil {
				return
			}
			text.WriteString(piece)
		}
		answer, err := a.answer()
		if err != nil {
			if p, ok := err.(*problem); !ok || p.kind == "" || p.Error() == "" {
				t.Fatalf("the failure has no kind: %v", err)
			}
			return
		}
		if a.finish == "" || answer.Message.Text() != text.String() {
			t.Fatalf("answered %+v to a stream with the finish reason %q and the text %q", answer, a.finish, text.String())
		}
		for _, c := range answer.Message.Calls() {
			if c.Name == "" || c.ID == "" || !bytes.HasPrefix(c.Args, []byte("{")) {
				t.Fatalf("call %+v", c)
			}
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"x","message":"y"}}`))
	f.Add([]byte(`[{"error":{"code":429}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := looseProblem(body)
		if p == nil {
			return
		}
		if kind := classify(p); kind.Trait() == (fault.Trait{}) || model.NewScrubber().Clean(p.Error()) == "" && p.msg == "" {
			t.Fatalf("%q: %+v", body, p)
		}
	})
}
