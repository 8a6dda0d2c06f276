package bedrock

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func FuzzStream(f *testing.F) {
	f.Add(frames(delta, hi, stop, ended, "metadata", `{"usage":{"inputTokens":1}}`))
	f.Add(frames(start, `{"start":{"toolUse":{"toolUseId":"a","name":"f"}}}`, delta, `{"delta":{"toolUse":{"input":"{}"}}}`, stop, tools))
	f.Add(frames("!throttlingException", `{"message":"slower"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		a := &assembly{}
		var text strings.Builder
		res := &http.Response{Body: io.NopCloser(bytes.NewReader(in))}
		if err := a.read(t.Context(), res, func(c model.Chunk) { text.WriteString(c.Text) }); err != nil {
			if kind := fault.KindOf(a.failure(t.Context(), res, err, model.NewScrubber())); kind == "" {
				t.Fatalf("the failure has no kind: %v", err)
			}
			return
		}
		answer, err := a.answer()
		if err != nil {
			if p, ok := err.(*problem); !ok || p.kind == "" || p.Error() == "" {
				t.Fatalf("the failure has no kind: %v", err)
			}
			return
		}
		if a.finish == "" || answer.Message.Text() != text.String() {
			t.Fatalf("answered %+v to a stream with the stop reason %q and the text %q", answer, a.finish, text.String())
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

// FuzzEvent puts any payload into a frame that is whole, which a fuzzer of bytes would seldom do.
func FuzzEvent(f *testing.F) {
	f.Add(delta, []byte(hi))
	f.Add(stop, []byte(ended))
	f.Add("!modelStreamErrorException", []byte(`{"originalStatusCode":429}`))
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		if len(name) > 100 || len(payload) > 1<<16 {
			return
		}
		a := &assembly{}
		in := append(frame(name, string(payload)), frames(delta, hi, stop, ended)...)
		res := &http.Response{Body: io.NopCloser(bytes.NewReader(in))}
		if err := a.read(t.Context(), res, nil); err != nil {
			if kind := fault.KindOf(a.failure(t.Context(), res, err, model.NewScrubber())); kind == "" {
				t.Fatalf("the failure has no kind: %v", err)
			}
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"message":"y","__type":"x#ThrottlingException"}`))
	f.Add([]byte(`{"originalStatusCode":"529"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := parseProblem(body)
		if kind := classify(p); kind.Trait() == (fault.Trait{}) || p.Error() == "" {
			t.Fatalf("%q: %+v", body, p)
		}
	})
}
