package modeltest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

func allCases(w wire) []*testCase {
	p := w.profile()
	return slices.Concat(answerCases(), refusalCases(p), hintCases(p), streamCases(w, p), wireCases(), askCases(p))
}

const modelName = "test-model"

// question is a request of one user message.
func question(text string) *model.Request {
	return &model.Request{Model: modelName, Messages: []model.Message{model.UserText(text)}}
}

// withTools offers the tools of the suite's scripts.
func withTools(req *model.Request) *model.Request {
	req.Tools = []model.Tool{
		{Name: "look", Description: "looks at a place", Parameters: json.RawMessage(
			`{"type":"object","properties":{"at":{"type":"string"},"zoom":{"type":"integer"}},"required":["at"]}`)},
		{Name: "now", Description: "tells the time", Parameters: json.RawMessage(`{"type":"object","properties":{}}`)},
	}
	return req
}

// say is a script of one rule that says a text.
func say(text string) *scripted.Script {
	return &scripted.Script{Rules: []scripted.Rule{{When: ".", Say: text}}}
}

// calling is a script that calls tools and then says their results.
func calling(text string, calls ...scripted.Call) *scripted.Script {
	return &scripted.Script{Rules: []scripted.Rule{{When: ".", Say: text, Calls: calls}}}
}

const longText = "It is a long answer:\n\n  – with «signs» \"and\" 語 👩‍🔧,\t\\n, and data: [DONE] in the middle.\nThe end. "

func answerCases() []*testCase {
	look := func(at string) scripted.Call {
		return scripted.Call{Tool: "look", Args: map[string]any{"at": at, "zoom": "7"}}
	}
	return []*testCase{
		{name: "text comes in order and is the answer", replies: say(longText), verify: func(p *probe, o *outcome) {
			p.expect(o.text() == longText, "the answer is %q, want %q", o.text(), longText)
			p.expect(len(o.pieces) > 1, "the text came in %d pieces, want it streamed", len(o.pieces))
			p.expect(o.answer.Finish == model.FinishStop, "the finish is %q, want stop", o.answer.Finish)
			p.expect(o.answer.Model == modelName, "the model is %q, want %q", o.answer.Model, modelName)
		}},
		{name: "usage is passed on", replies: say("four words in all"), verify: func(p *probe, o *outcome) {
			want := model.Usage{Input: 3, Output: 4}
			p.expect(o.answer.Usage == want, "the usage is %+v, want %+v", o.answer.Usage, want)
		}},
		{
			name: "what came from a cache is part of the input", step: Step{Cached: 2}, replies: say("four words in all"),
			verify: func(p *probe, o *outcome) {
				want := model.Usage{Input: 3, Cached: 2, Output: 4}
				p.expect(o.answer.Usage == want, "the usage is %+v, want %+v", o.answer.Usage, want)
			},
		},
		{
			name: "parallel tool calls are told apart", req: withTools(question("go")),
			replies: calling("", look("a"), scripted.Call{Tool: "now"}, look(`b "quoted" \ 語`)),
			verify: func(p *probe, o *outcome) {
				p.expectCalls(o, "look", `{"at":"a","zoom":7}`, "now", `{}`,
					"look", `{"at":"b \"quoted\" \\ 語","zoom":7}`)
				p.expect(o.answer.Finish == model.FinishCalls, "the finish is %q, want calls", o.answer.Finish)
				distinct(p, o.answer.Message.Calls())
			},
		},
		{
			name: "text and a call in one answer", req: withTools(question("go")), replies: calling("I look. ", look("a")),
			verify: func(p *probe, o *outcome) {
				p.expect(o.text() == "I look. ", "the text is %q", o.text())
				p.expectCalls(o, "look", `{"at":"a","zoom":7}`)
			},
		},
		{
			name: "an answer at its length bound is whole as sent", step: Step{Finish: "length"}, replies: say("so far"),
			verify: func(p *probe, o *outcome) {
				p.expect(o.answer.Finish == model.FinishLength, "the finish is %q, want length", o.answer.Finish)
				p.expect(o.text() == "so far", "the text is %q", o.text())
			},
		},
		{name: "emit may be nil", check: func(p *probe) {
			a, err := p.provider.Generate(p.ctx, question("x"), nil)
			p.expect(err == nil && a != nil && a.Message.Text() != "", "got %v, %v", a, err)
		}},
		{
			name: "a slow stream is no failure", step: Step{Pace: scripted.Duration(2 * time.Millisecond)},
			replies: say("slow but sure"), verify: func(p *probe, o *outcome) {
				p.expect(o.text() == "slow but sure", "the text is %q", o.text())
			},
		},
		{name: "calls at the same time do not mix", replies: say("you are ${text}"), check: concurrentCalls},
	}
}

func distinct(p *probe, calls []model.Call) {
	ids := map[string]bool{}
	for _, c := range calls {
		p.expect(c.ID != "" && !ids[c.ID], "the call id %q is empty or used twice", c.ID)
		ids[c.ID] = true
	}
}

// concurrentCalls asks different questions at once.
func concurrentCalls(p *probe) {
	const n = 8
	var calls []*running
	for i := range n {
		calls = append(calls, p.start(p.ctx, question(strings.Repeat("x", i+1))))
	}
	for i, call := range calls {
		select {
		case <-call.done:
		case <-time.After(2 * patience):
			p.expect(false, "Generate did not return within %s", 2*patience)
			return
		}
		o, want := p.finish(call), "you are "+strings.Repeat("x", i+1)
		p.expect(o.err == nil && o.text() == want, "got %q, %v, want %q", o.text(), o.err, want)
	}
	p.expect(p.server.Count() == n, "the server got %d requests for %d calls", p.server.Count(), n)
}

// expectCalls compares the answer's calls with pairs of name and arguments.
func (p *probe) expectCalls(o *outcome, want ...string) {
	calls := o.answer.Message.Calls()
	if !p.expect(len(calls) == len(want)/2, "the answer has %d calls, want %d", len(calls), len(want)/2) {
		return
	}
	for i, c := range calls {
		p.expect(c.Name == want[2*i] && sameJSON(c.Args, []byte(want[2*i+1])), "call %d is %s(%s), want %s(%s)",
			i, c.Name, c.Args, want[2*i], want[2*i+1])
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
