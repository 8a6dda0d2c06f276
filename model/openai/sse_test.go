package openai

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/agentkernel/agentkernel/fault"
)

func readAll(r io.Reader) (all []string, err error) {
	e := newEvents(r)
	for {
		data, err := e.next()
		if err != nil {
			return all, err
		}
		all = append(all, string(data))
	}
}

func TestEventsAreReadHoweverTheyArrive(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"plain", "data: a\n\ndata: b\n\n", "a|b"},
		{"no space", "data:a\n\n", "a"},
		{"two spaces", "data:  a\n\n", " a"},
		{"many lines", "data: a\ndata: b\n\n", "a\nb"},
		{"empty data", "data:\n\n", ""},
		{"field without colon", "data\n\n", ""},
		{"others", ": c\nevent: e\nid: 1\nretry: 5\ndatax: n\ndata: a\n\n", "a"},
		{"an event without data", "event: e\n\ndata: a\n\n", "a"},
		{"carriage returns", "data: a\r\n\r\ndata: b\r\n\r\n", "a|b"},
		{"no end", "data: a\n\ndata: b", "a|b"},
		{"no blank line", "data: a\n", "a"},
	}
	for _, c := range cases {
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			got, err := readAll(r)
			if err != io.EOF || strings.Join(got, "|") != c.want || len(got) == 0 {
				t.Errorf("%s, %s: got %q, %v, want %q", c.name, name, got, err, c.want)
			}
		}
	}
}

func TestALostConnectionIsNoEnd(t *testing.T) {
	lost := errors.New("lost")
	got, err := readAll(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(lost)))
	if !errors.Is(err, lost) || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(sse(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}`)))
	f.Add([]byte(sse(`{"choices":[{"delta":{"tool_calls":[{"index":3,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`)))
	f.Add([]byte("data: {\"error\":{\"code\":429}}\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := readAll(bytes.NewReader(in))
		slow, slowErr := readAll(iotest.OneByteReader(bytes.NewReader(in)))
		if err != io.EOF || slowErr != io.EOF || strings.Join(whole, "|") != strings.Join(slow, "|") {
			t.Fatalf("%q, %v; byte by byte %q, %v", whole, err, slow, slowErr)
		}
		a := &assembly{}
		var text strings.Builder
		for _, data := range whole {
			piece, err := a.add([]byte(data))
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
		if kind := classify(p); kind.Trait() == (fault.Trait{}) || newScrubber().clean(p.Error()) == "" && p.msg == "" {
			t.Fatalf("%q: %+v", body, p)
		}
	})
}
