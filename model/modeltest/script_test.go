package modeltest_test

import (
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

func TestMistakesInAFaultScriptAreNamedWithTheirPlace(t *testing.T) {
	cases := []struct{ step, want string }{
		{`{"statsu": 500}`, `unknown field "statsu"`},
		{`{"delay": 5}`, "line 1"},
		{`{"delay": "long"}`, `"long" is not a duration`},
		{`{}`, "steps[0].has no effect"},
		{`{"call": -1, "status": 500}`, "call: -1 is less than 0"},
		{`{"times": -1, "status": 500}`, "times: -1"},
		{`{"call": 1, "times": 2, "status": 500}`, "times: means nothing"},
		{`{"status": 200}`, "status: 200 is not between"},
		{`{"cut_after": -2}`, "cut_after: is less than 0"},
		{`{"status": 500, "cut_after": 1}`, "cut_after: the request is refused"},
		{`{"reset": true, "finish": "stop"}`, "finish: the request is refused"},
		{`{"reset": true, "status": 500}`, "status: a connection that is reset"},
		{`{"error": {"message": "m"}, "no_done": true}`, "error: needs"},
		{`{"error_at": 2}`, "error_at: needs"},
		{`{"body": "x", "pace": "1s"}`, "body: needs"},
		{`{"body": "x", "status": 500, "error": {"message": "m"}}`, "not both"},
		{`{"headers": {"a b": "c"}}`, `headers: "a b" is not`},
		{`{"headers": {"content-length": "3"}}`, "headers: Content-Length is set by the server"},
		{`{"cut_after": 1, "stall_after": 2}`, "only one of"},
		{`{"empty": true, "unfinished_call": true}`, "unfinished_call: an empty answer"},
		{`{"cached": -1}`, "cached: -1 is less than 0"},
		{`{"cached": 1, "status": 500}`, "cached: the request is refused"},
		{`{"no_finish": true, "finish": "stop"}`, "no_finish: the step also"},
	}
	for _, c := range cases {
		_, err := modeltest.ParseScript([]byte(`{"steps": [` + c.step + `]}`))
		if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.step, err, c.want)
		}
	}
	_, err := modeltest.ParseScript([]byte(`{"replies": {"rules": [{"when": "("}]}, "steps": [{"call": -1}, {"status": 1}]}`))
	for _, want := range []string{"replies: ", "rules[0].when", "steps[0].call", "steps[1].status"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add([]byte(`{"steps": [{"call": 1, "status": 429, "headers": {"Retry-After": "1"}, "error": {"message": "m"}}]}`))
	f.Add([]byte(`{"replies": {"rules": []}, "steps": [{"stall_after": 3, "pace": "10ms"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := modeltest.ParseScript(data)
		switch {
		case (s == nil) == (err == nil):
			t.Fatalf("got %v, %v", s, err)
		case err != nil && fault.KindOf(err) != fault.Config:
			t.Fatalf("kind %s: %v", fault.KindOf(err), err)
		case err == nil:
			if _, err := modeltest.NewServer(modeltest.ServerConfig{Script: *s}); err != nil {
				t.Fatalf("parsed, but cannot be served: %v", err)
			}
		}
	})
}
