package gemini

import (
	"bytes"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func FuzzStream(f *testing.F) {
	f.Add([]byte(sse(say(`{"text":"hi"}`, "STOP"))))
	f.Add([]byte(sse(say(`{"functionCall":{"name":"f","args":{"x":1}}},{"functionCall":{"name":"g"}}`, "STOP"))))
	f.Add([]byte(sse(`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}`)))
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
		ids := map[string]bool{}
		for _, c := range answer.Message.Calls() {
			if c.Name == "" || c.ID == "" || ids[c.ID] || !bytes.HasPrefix(c.Args, []byte("{")) {
				t.Fatalf("call %+v", c)
			}
			ids[c.ID] = true
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":{"code":429,"message":"y","status":"RESOURCE_EXHAUSTED","details":[]}}`))
	f.Add([]byte(`[{"error":{"code":429}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := looseProblem(body)
		if p == nil {
			return
		}
		if kind := classify(p); kind.Trait() == (fault.Trait{}) || p.retry < 0 || p.retry > model.MaxHint {
			t.Fatalf("%q: %+v", body, p)
		}
	})
}
