package scripted_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

var shop = []model.Tool{
	{Name: "charge_card", Parameters: json.RawMessage(
		`{"type":"object","properties":{"order":{"type":"string"},"amount":{"type":"number"}}}`)},
	{Name: "get_weather", Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)},
}

// ask is a conversation of user messages, each but the last one answered, with the shop's tools on offer.
func ask(texts ...string) *model.Request {
	req := &model.Request{Model: "m", Tools: shop}
	for i, text := range texts {
		if i > 0 {
			req.Messages = append(req.Messages, model.Message{Role: model.Assistant, Parts: []model.Part{{Text: "ok"}}})
		}
		req.Messages = append(req.Messages, model.UserText(text))
	}
	return req
}

// feed appends an answer and the results of its calls.
func feed(req *model.Request, answer *model.Answer, results ...string) {
	req.Messages = append(req.Messages, answer.Message)
	for i, c := range answer.Message.Calls() {
		req.Messages = append(req.Messages, model.Message{Role: model.ToolRole, Parts: []model.Part{{
			Result: &model.Result{CallID: c.ID, Name: c.Name, Content: results[i]},
		}}})
	}
}

func player(t *testing.T, script string) *scripted.Player {
	t.Helper()
	s, err := scripted.Parse([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	p, err := scripted.NewPlayer(*s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func checkAnswer(t *testing.T, a *model.Answer) {
	t.Helper()
	calls := a.Message.Calls()
	switch {
	case a.Message.Role != model.Assistant:
		t.Errorf("role %q", a.Message.Role)
	case len(calls) == 0 && strings.TrimSpace(a.Message.Text()) == "":
		t.Error("the answer is empty")
	case (len(calls) > 0) != (a.Finish == model.FinishCalls):
		t.Errorf("%d calls, but finish is %q", len(calls), a.Finish)
	case a.Usage.Output < 1:
		t.Errorf("usage %+v", a.Usage)
	}
	ids := map[string]bool{}
	for _, c := range calls {
		var args map[string]any
		if json.Unmarshal(c.Args, &args) != nil || args == nil {
			t.Errorf("args are not an object: %s", c.Args)
		}
		if ids[c.ID] {
			t.Errorf("call id %s was used twice", c.ID)
		}
		ids[c.ID] = true
	}
}

func TestTheBuiltInScriptSaysWhatTheQuickstartShows(t *testing.T) {
	cases := []struct {
		name string
		say  []string
		want string
	}{
		{"greeting", []string{"Hello there"}, "Hello!"},
		{"name told", []string{"Hi, my name is Ada"}, "Nice to meet you, Ada."},
		{"name asked", []string{"my name is Ada", "and now?", "What is my name?"}, "Your name is Ada."},
		{"latest name counts", []string{"my name is Ada", "my name is Bo", "what's my name"}, "Your name is Bo."},
		{"name not told", []string{"what is my name?"}, "You have not told me"},
		{"first", []string{"apples", "pears", "What did I say first?"}, "was: apples"},
		{"first of all", []string{"What did I say first?"}, "This is the first thing"},
		{"before", []string{"apples", "pears", "what did I just say?"}, "you said: pears"},
		{"echo", []string{"costs $5"}, "You said: costs $5"},
		{"empty", []string{""}, "You said: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := scripted.DefaultPlayer().Answer(ask(c.say...))
			checkAnswer(t, a)
			if !strings.Contains(a.Message.Text(), c.want) {
				t.Errorf("got %q, want it to contain %q", a.Message.Text(), c.want)
			}
		})
	}
}

func TestTheBuiltInScriptCallsTools(t *testing.T) {
	cases := []struct {
		say     string
		args    []string
		results []string
		want    string
	}{
		{
			"charge order A-1 12.50",
			[]string{`{"amount":12.50,"order":"A-1"}`},
			[]string{"paid"},
			"I charged order A-1 with 12.50: paid",
		},
		{
			"Please charge the order 77 with $3",
			[]string{`{"amount":3,"order":"77"}`},
			[]string{"paid"},
			"I charged order 77 with 3: paid",
		},
		{
			"What is the weather in New York today?",
			[]string{`{"city":"New York"}`},
			[]string{"sunny"},
			"The weather in New York: sunny",
		},
		{
			"compare Paris and Rome",
			[]string{`{"city":"Paris"}`, `{"city":"Rome"}`},
			[]string{"rain", "sun"},
			"Paris: rain\nRome: sun",
		},
		{
			"Compare the weather in Paris and Rome, please.",
			[]string{`{"city":"Paris"}`, `{"city":"Rome"}`},
			[]string{"rain", "sun"},
			"Paris: rain\nRome: sun",
		},
	}
	for _, c := range cases {
		t.Run(c.say, func(t *testing.T) {
			req := ask("hello", c.say)
			a := scripted.DefaultPlayer().Answer(req)
			checkAnswer(t, a)
			var args []string
			for _, call := range a.Message.Calls() {
				args = append(args, string(call.Args))
			}
			if !reflect.DeepEqual(args, c.args) {
				t.Fatalf("called with %q, want %q", args, c.args)
			}
			feed(req, a, c.results...)
			last := scripted.DefaultPlayer().Answer(req)
			checkAnswer(t, last)
			if last.Message.Text() != c.want {
				t.Errorf("got %q, want %q", last.Message.Text(), c.want)
			}
		})
	}
}

func TestAToolThatIsNotOfferedIsSaidNotCalled(t *testing.T) {
	req := ask("charge order A-1 12.50")
	req.Tools = shop[1:]
	a := scripted.DefaultPlayer().Answer(req)
	checkAnswer(t, a)
	if a.Finish != model.FinishStop || !strings.Contains(a.Message.Text(), "charge_card") {
		t.Errorf("got %q, %q", a.Finish, a.Message.Text())
	}
}

func TestEqualRequestsGetEqualAnswers(t *testing.T) {
	for _, text := range []string{"hello", "compare Paris and Rome", "charge order A-1 1"} {
		one, two := scripted.DefaultPlayer().Answer(ask("a", text)), scripted.DefaultPlayer().Answer(ask("a", text))
		if !reflect.DeepEqual(one, two) {
			t.Errorf("%q: %+v and %+v", text, one, two)
		}
	}
}

func TestStagesFollowTheAssistantMessagesOfTheTurn(t *testing.T) {
	p := player(t, `{"rules": [{"when": "go (\\w+)",
		"say": "first", "calls": [{"tool": "get_weather", "args": {"city": "${1}"}}],
		"then": [{"calls": [{"tool": "charge_card", "args": {"order": "${result}", "n": [1, "${turn}"]}}]}]}]}`)
	req := ask("before", "go west")
	a := p.Answer(req)
	checkAnswer(t, a)
	if a.Message.Text() != "first" || a.Message.Calls()[0].Name != "get_weather" {
		t.Fatalf("stage 0: %+v", a.Message)
	}
	feed(req, a, "R1")
	a = p.Answer(req)
	checkAnswer(t, a)
	if got := string(a.Message.Calls()[0].Args); got != `{"n":[1,"2"],"order":"R1"}` {
		t.Fatalf("stage 1: %s", got)
	}
	feed(req, a, "R2")
	for range 2 { // a rule that ends in calls says their results, and goes on saying them
		a = p.Answer(req)
		checkAnswer(t, a)
		if a.Message.Text() != "R1\nR2" {
			t.Fatalf("the end: %+v", a.Message)
		}
		feed(req, a)
	}
}

func TestARepeatingRuleNeverEnds(t *testing.T) {
	p := player(t, `{"rules": [{"when": "loop", "calls": [{"tool": "get_weather"}], "repeat": true}]}`)
	req := ask("loop")
	for range 5 {
		a := p.Answer(req)
		checkAnswer(t, a)
		if len(a.Message.Calls()) != 1 {
			t.Fatalf("stopped: %+v", a.Message)
		}
		feed(req, a, "same")
	}
}

func TestArgumentsFollowTheToolsSchema(t *testing.T) {
	p := player(t, `{"rules": [{"when": "(.*)", "calls": [{"tool": "t", "args": {"v": "${1}"}}]}]}`)
	cases := []struct{ declared, text, want string }{
		{"number", "12.50", `{"v":12.50}`},
		{"number", "-3", `{"v":-3}`},
		{"number", "twelve", `{"v":"twelve"}`},
		{"number", "true", `{"v":"true"}`},
		{"number", "1 ", `{"v":"1 "}`},
		{"integer", "4", `{"v":4}`},
		{"integer", "4.5", `{"v":"4.5"}`},
		{"boolean", "true", `{"v":true}`},
		{"boolean", "1", `{"v":"1"}`},
		{"string", "12.50", `{"v":"12.50"}`},
		{"number", "", `{"v":""}`},
	}
	for _, c := range cases {
		req := ask(c.text)
		req.Tools = []model.Tool{{Name: "t", Parameters: json.RawMessage(
			`{"type":"object","properties":{"v":{"type":"` + c.declared + `"}}}`)}}
		if got := string(p.Answer(req).Message.Calls()[0].Args); got != c.want {
			t.Errorf("%s %q: got %s, want %s", c.declared, c.text, got, c.want)
		}
	}
}

func TestDollarSignsStandForThemselves(t *testing.T) {
	p := player(t, `{"rules": [{"when": "a", "say": "$5 $${x} ${text}$"}]}`)
	if got := p.Answer(ask("a")).Message.Text(); got != "$5 ${x} a$" {
		t.Errorf("got %q", got)
	}
}

func TestUsageCountsWords(t *testing.T) {
	req := ask("one two, three")
	req.Tools, req.Instructions = nil, "be brief"
	p := player(t, `{"rules": [{"when": ".", "say": "four words, no more"}]}`)
	if got, want := p.Answer(req).Usage, (model.Usage{Input: 5, Output: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPiecesJoinToTheText(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "word": 1, "two words": 2, " lead": 2, "a\n\nb  c ": 3, strings.Repeat("語", 50): 3,
	} {
		pieces := scripted.Pieces(text)
		if strings.Join(pieces, "") != text || len(pieces) != want {
			t.Errorf("%q: %q, want %d pieces", text, pieces, want)
		}
	}
}

func TestAnAnswerInWordsCallsNothing(t *testing.T) {
	req := ask("charge order A-1 12.50")
	req.NoCalls = true
	a := scripted.DefaultPlayer().Answer(req)
	if len(a.Message.Calls()) != 0 || a.Finish != model.FinishStop || !strings.Contains(a.Message.Text(), "charge_card") {
		t.Errorf("got %+v", a)
	}
}

func TestFilesAreNamed(t *testing.T) {
	req := ask("look")
	if got := scripted.DefaultPlayer().Answer(req).Message.Text(); got != "You said: look" {
		t.Errorf("without files: %q", got)
	}
	req.Messages[0].Parts = append(req.Messages[0].Parts,
		model.Part{File: &model.File{Name: "a.png", MediaType: "image/png"}}, model.Part{File: &model.File{MediaType: "text/csv"}})
	if got := scripted.DefaultPlayer().Answer(req).Message.Text(); got != "I have these files: a.png, text/csv. You said: look" {
		t.Errorf("got %q", got)
	}
	p := player(t, `{"rules": [{"when": "look", "files": true, "say": "${files.2}|${files.9}"}]}`)
	if got := p.Answer(req).Message.Text(); got != "text/csv|" {
		t.Errorf("got %q", got)
	}
	if _, err := scripted.Parse([]byte(`{"rules": [{"when": "x", "say": "${files.0}"}]}`)); err == nil {
		t.Error("${files.0} was taken")
	}
}

func TestAnAnswerFitsTheSchemaUnlessTheScriptSaysOtherwise(t *testing.T) {
	const own = `{"rules": [{"when": "plain", "say": "no object"}, {"when": "object", "say": "{\"n\":7}"}]}`
	for _, c := range []struct{ script, text, schema, want string }{
		{"", "hello", `{"type":"object","properties":{"reply":{"type":"string","maxLength":6},"n":{"type":"integer"}},"required":["reply"]}`, `{"reply":"Hello!"}`},
		{
			"", "a", `{"type":"object","properties":{"a":{"type":"integer","minimum":3},"b":{"type":"number","maximum":-2.50},"c":{"type":"boolean"},
			"d":{"enum":["x"]},"e":{"const":12345678901234567890},"f":{"type":"array","minItems":2,"items":{"type":["null"]}},
			"g":{"$ref":"#/$defs/g"},"h":{"type":"string","format":"date"},"i":{"type":"string","minLength":12},"j":{"anyOf":[{"type":"array"}]},"k":{"default":{}}},
			"$defs":{"g":{"properties":{"g":{"$ref":"#/$defs/g"}}}}}`,
			`{"a":3,"b":-2.50,"c":false,"d":"x","e":12345678901234567890,"f":[null,null],"g":{"g":{}},"h":"2026-01-01","i":"You said: a.","j":[],"k":{}}`,
		},
		{"", "a", `{"$ref":"#"}`, "You said: a"},
		{"", "a", `[]`, "You said: a"},
		{own, "plain", `{"type":"object"}`, "no object"},
		{own, "object", `{"type":"object"}`, `{"n":7}`},
		{own, "other", `{"type":"object","properties":{"t":{}}}`, `{"t":"You said: other"}`},
		{`{"rules": [], "otherwise": {"say": "words"}}`, "x", `{"type":"object"}`, "words"},
	} {
		p := scripted.DefaultPlayer()
		if c.script != "" {
			p = player(t, c.script)
		}
		req := ask(c.text)
		req.Schema = json.RawMessage(c.schema)
		if got := p.Answer(req).Message.Text(); got != c.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.text, c.schema, got, c.want)
		}
	}
	req := ask("charge order A-1 12.50")
	req.Schema = json.RawMessage(`{"type":"object"}`)
	if a := scripted.DefaultPlayer().Answer(req); len(a.Message.Calls()) != 1 {
		t.Errorf("a schema kept a call away: %+v", a)
	}
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"type":"object","properties":{"a":{"$ref":"#"},"b":{"type":"array","minItems":9,"items":{"$ref":"#/properties/b"}}}}`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		req := ask("x")
		req.Schema = schema
		checkAnswer(t, scripted.DefaultPlayer().Answer(req))
	})
}
