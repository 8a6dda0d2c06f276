package agentkernel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// eager is a model that calls a tool whatever it is told, with arguments that change, and says what it costs.
type eager struct {
	calls  int
	obey   bool // answers in words when no calls are wanted
	same   bool // always the same call
	spends model.Usage
	asked  []*model.Request
}

func (e *eager) Generate(_ context.Context, req *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	e.calls++
	e.asked = append(e.asked, req)
	a := &model.Answer{Message: model.Message{Role: model.Assistant}, Usage: e.spends, Model: "m"}
	if e.obey && req.NoCalls {
		a.Message.Parts = []model.Part{{Text: "in short"}}
		return a, nil
	}
	n := e.calls
	if e.same {
		n = 0
	}
	args := json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
	a.Message.Parts = []model.Part{{Call: &model.Call{ID: "c", Name: "read", Args: args}}}
	return a, nil
}

func TestATurnNearALimitIsBroughtToAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		limits Limits
		calls  int
		what   string
	}{
		"steps":    {Limits{Steps: 10}, 9, "limits.steps"},
		"one step": {Limits{Steps: 1}, 1, "limits.steps"},
		"attempts": {Limits{Steps: 10, Attempts: 5}, 5, "limits.attempts"},
		"tokens":   {Limits{Tokens: 1000}, 5, "limits.tokens"},
		"money":    {Limits{Money: 0.01}, 9, "limits.money"},
	} {
		t.Run(name, func(t *testing.T) {
			faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
				m := &eager{obey: true, spends: model.Usage{Input: 150, Cached: 50, Output: 50}}
				r.cfg.Models["test"] = m
				r.cfg.ModelInfo = map[string]ModelInfo{"test/m": {Input: 5, Cached: 1, Output: 10}} // 1050 millionths a call
				a := r.agentNamed(t, "a")
				a.Limits.Steps, a.Limits.Attempts = orDefault(c.limits.Steps, 24), orDefault(c.limits.Attempts, 72)
				a.Limits.Tokens, a.Limits.Money = c.limits.Tokens, c.limits.Money
				i := state(t, start(t, r, "x"))
				if i.State != session.Completed || *i.Result != "in short" {
					t.Fatalf("turn is %s, %+v", i.State, i.Error)
				}
				if m.calls != c.calls || len(i.Degraded) != 1 || i.Degraded[0].What != c.what {
					t.Errorf("%d model calls, degraded %+v", m.calls, i.Degraded)
				}
				last := m.asked[len(m.asked)-1]
				if !strings.Contains(last.Instructions, "close to a limit") || len(last.Tools) == 0 {
					t.Errorf("it was asked with %q and %d tools", last.Instructions, len(last.Tools))
				}
				if want := float64(c.calls) * 1050 / 1e6; i.Cost < want-1e-9 || i.Cost > want+1e-9 {
					t.Errorf("it cost %v, want %v", i.Cost, want)
				}
				w.checkSteps(w.fold(keyS).Turns[0])
			})
		})
	}
}

func TestAModelThatDoesNotStopMeetsTheLimitAndItsCallsAreNotMade(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		m := &eager{}
		r.cfg.Models["test"] = m
		r.agentNamed(t, "a").Limits.Steps = 5
		i := state(t, start(t, r, "x"))
		if i.State != session.Failed || i.Error.Kind != fault.Budget || !strings.Contains(i.Error.Message, "limits.steps: 5 of 5") {
			t.Errorf("turn is %s, %+v", i.State, i.Error)
		}
		if len(w.calls) != 4 || m.calls != 5 {
			t.Errorf("%d tool calls, %d model calls", len(w.calls), m.calls)
		}
		w.checkSteps(w.fold(keyS).Turns[0])
	})
}

func TestRunningTimeNearItsLimitBringsTheTurnToAnAnswer(t *testing.T) {
	faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
		m := &eager{obey: true}
		r.cfg.Models["test"] = m
		a := r.agentNamed(t, "a")
		a.Limits.Wall = 10 * time.Second
		read := a.tool("read")
		call := read.Call
		read.Timeout = time.Minute
		read.Call = func(ctx context.Context, c ToolCall) (string, error) {
			time.Sleep(3 * time.Second)
			return call(ctx, c)
		}
		i := state(t, start(t, r, "x"))
		if i.State != session.Completed || m.calls != 4 || i.Degraded[0].What != "limits.wall" {
			t.Errorf("turn is %s after %d model calls, %+v, %+v", i.State, m.calls, i.Error, i.Degraded)
		}
	})
}

func TestALoopIsDetectedAndEndsWithAnAnswer(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		m := &eager{obey: true, same: true}
		r.cfg.Models["test"] = m
		i := state(t, start(t, r, "x"))
		if i.State != session.Completed || m.calls != 4 || len(i.Degraded) != 1 || i.Degraded[0].What != "loop" {
			t.Errorf("turn is %s after %d model calls, %+v", i.State, m.calls, i.Degraded)
		}
	})
}

func TestLoopsAreRepeatsOfUpToThreeRounds(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "aa": false, "aaa": true, "baaa": true, "aaab": false, "ababab": true, "babab": false, "abcabcabc": true,
		"abcabcab": false, "abcdabcdabcd": false, "abb": false, "xababab": true,
	} {
		if got := rounds(strings.Split(s, "")).loops(3); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

func TestAnAnswerMustFitTheOutputSchema(t *testing.T) {
	for name, c := range map[string]struct {
		says  []string
		state session.TurnState
		value string
	}{
		"at once":       {[]string{`{"said":"x"}`}, session.Completed, `{"said":"x"}`},
		"in a fence":    {[]string{"```json\n{\"said\":\"x\"}\n```"}, session.Completed, `{"said":"x"}`},
		"repaired":      {[]string{`{"said":1}`, `{"said":"y"}`}, session.Completed, `{"said":"y"}`},
		"wrong twice":   {[]string{`no`, `{}`, `{"said":"z"}`}, session.Failed, ""},
		"wrong in type": {[]string{`["said"]`, `"said"`}, session.Failed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
				n := 0
				r.cfg.Models["test"] = provider(func() (*model.Answer, error) {
					n++
					return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Text: c.says[n-1]}}}}, nil
				})
				h, err := r.Start(t.Context(), Request{Session: "s", Agent: "shaped", Prompt: "x"})
				if err != nil {
					t.Fatal(err)
				}
				i := state(t, h)
				if i.State != c.state || string(i.Value) != c.value {
					t.Errorf("turn is %s, %s, %+v", i.State, i.Value, i.Error)
				}
				if c.state == session.Failed && (i.Error.Kind != fault.Malformed || n != 2) {
					t.Errorf("%d model calls, %+v", n, i.Error)
				}
			})
		})
	}
}

func TestHooksMayAnswerRefuseAndChange(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		a := r.agentNamed(t, "hooked")
		ask := func(prompt string) *TurnInfo {
			h, err := r.Start(t.Context(), Request{Session: "s", Agent: "hooked", Prompt: prompt})
			if err != nil {
				t.Fatal(err)
			}
			return state(t, h)
		}
		a.Hooks[0].Before = func(_ context.Context, t *Turn) (Verdict, error) {
			switch t.Input().Text() {
			case "cached":
				t.Volatile().Store("seen", true)
				return Verdict{Reply: &Reply{Text: "from the cache"}}, nil
			case "bad":
				return Verdict{}, fault.New(fault.BadRequest, "", "we do not talk about that")
			case "boom":
				panic("secret")
			}
			return Verdict{Note: "Be brief."}, nil
		}
		if i := ask("cached"); i.State != session.Completed || *i.Result != "FROM THE CACHE" || w.models != 0 {
			t.Errorf("a hook's answer: %s, %d model calls", i.State, w.models)
		}
		if i := ask("bad"); i.State != session.Failed || i.Error.Kind != fault.BadRequest {
			t.Errorf("a hook's refusal: %s, %+v", i.State, i.Error)
		}
		if i := ask("boom"); i.State != session.Failed || i.Error.Kind != fault.Internal || strings.Contains(i.Error.Message, "secret") {
			t.Errorf("a hook's panic: %s, %+v", i.State, i.Error)
		}
		m := &eager{obey: true}
		a.Limits.Steps = 1
		r.cfg.Models["test"] = m
		if i := ask("x"); *i.Result != "IN SHORT" || !strings.Contains(m.asked[0].Instructions, "Be brief.") {
			t.Errorf("%+v, instructions %q", *i.Result, m.asked[0].Instructions)
		}
		messages, _ := r.Messages(keyS)
		if last := messages[len(messages)-1].Text(); last != "IN SHORT" {
			t.Errorf("the transcript has %q", last)
		}
	})
}
