package scripted_test

import (
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model/scripted"
)

func TestMistakesInAScriptAreNamedWithTheirPlace(t *testing.T) {
	cases := []struct{ name, script, want string }{
		{"empty", ``, "the text is empty"},
		{"cut", `{"rules": [`, "ends in the middle"},
		{"unknown field", "{\n\"rules\": [{\"when\": \"a\", \"says\": \"b\"}]}", `line 2: json: unknown field "says"`},
		{"wrong type", "{\n\n\"rules\": {}}", "line 3"},
		{"two values", `{"rules": []} {}`, "more text after the end"},
		{"no when", `{"rules": [{"say": "b"}]}`, "rules[0].when: is missing"},
		{"bad when", `{"rules": [{"when": "(", "say": "b"}]}`, "rules[0].when: error parsing regexp"},
		{"bad recall", `{"rules": [{"when": "a", "recall": "[", "say": "b"}]}`, "rules[0].recall: error parsing"},
		{"no answer", `{"rules": [{"when": "a"}]}`, `rules[0].say: a stage needs "say" or "calls"`},
		{"no group", `{"rules": [{"when": "a(b)", "say": "${2}"}]}`, `rules[0].say: ${2}: "when" has 1 groups`},
		{"no named group", `{"rules": [{"when": "a", "say": "${city}"}]}`, `${city} is neither a known word nor a group`},
		{"no brace", `{"rules": [{"when": "a", "say": "x ${1"}]}`, "has no closing brace"},
		{"no result yet", `{"rules": [{"when": "a", "say": "${result}"}]}`, "no tool is called before this stage"},
		{
			"results from 1", `{"rules": [{"when": "a", "calls": [{"tool": "t"}], "then": [{"say": "${result.0}"}]}]}`,
			"rules[0].then[0].say: ${result.0}: results are counted from 1",
		},
		{"no recall", `{"rules": [{"when": "a", "say": "${recall}"}]}`, `the rule has no "recall"`},
		{"recall group", `{"rules": [{"when": "a", "recall": "b", "say": "${recall.1}"}]}`, `"recall" has 0 groups`},
		{"lone else", `{"rules": [{"when": "a", "say": "b", "else": "c"}]}`, `rules[0].else: means nothing without "recall"`},
		{"nameless tool", `{"rules": [{"when": "a", "calls": [{"args": {}}]}]}`, "rules[0].calls[0].tool: is missing"},
		{
			"bad args", `{"rules": [{"when": "a", "calls": [{"tool": "t", "args": {"x": [{"y": "${7}"}]}}]}]}`,
			`rules[0].calls[0].args.x: [0]: y: ${7}: "when" has 0 groups`,
		},
		{
			"unreachable", `{"rules": [{"when": "a", "say": "b", "then": [{"say": "c"}]}]}`,
			"rules[0].then[0]: is never reached",
		},
		{"pointless repeat", `{"rules": [{"when": "a", "say": "b", "repeat": true}]}`, "rules[0].repeat: the last stage"},
		{"calls otherwise", `{"rules": [], "otherwise": {"calls": [{"tool": "t"}]}}`, "otherwise.calls: only a rule"},
		{"group otherwise", `{"rules": [], "otherwise": {"say": "${1}"}}`, "otherwise.say: ${1} is not known here"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := scripted.Parse([]byte(c.script))
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a config error with %q", err, c.want)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := scripted.Parse([]byte(`{"rules": [{"say": "x"}, {"when": "a", "say": "${9}"}], "otherwise": {}}`))
	for _, want := range []string{"rules[0].when", "rules[1].say", "otherwise.say"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestDurationsAreWrittenAsText(t *testing.T) {
	var d struct {
		Wait scripted.Duration `json:"wait"`
	}
	if err := scripted.Decode([]byte(`{"wait": "250ms"}`), &d); err != nil || d.Wait != 250e6 {
		t.Errorf("got %v, %v", d.Wait, err)
	}
	for _, bad := range []string{`{"wait": "-1s"}`, `{"wait": "soon"}`, `{"wait": 3}`} {
		if scripted.Decode([]byte(bad), &d) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if text, _ := scripted.Duration(1500e6).MarshalText(); string(text) != "1.5s" {
		t.Errorf("got %s", text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(scripted.DefaultScript())
	f.Add([]byte(`{"rules": [{"when": "(?P<a>x)", "calls": [{"tool": "t", "args": {"v": "$${a} ${a}"}}], "repeat": true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := scripted.Parse(data)
		if (s == nil) == (err == nil) {
			t.Fatalf("got %v, %v", s, err)
		}
		if err != nil {
			if fault.KindOf(err) != fault.Config {
				t.Fatalf("kind %s: %v", fault.KindOf(err), err)
			}
			return
		}
		p, err := scripted.NewPlayer(*s)
		if err != nil {
			t.Fatalf("parsed, but does not play: %v", err)
		}
		req := ask("x charge order A-1 12.50", "x")
		answer := p.Answer(req)
		checkAnswer(t, answer)
	})
}
