package agentkernel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// This file holds the agents and tools of the test world beyond the one with a tool of every class.

// more adds them.
func (w *world) more(cfg Config) Config {
	tool := func(name string, effect session.Effect, opts ...ToolOption) *Tool {
		t := &Tool{Name: name, Effect: effect, Timeout: 2 * time.Second, Call: w.act(false), Parameters: json.RawMessage(`{"type":"object"}`)}
		for _, o := range opts {
			o(t)
		}
		return t
	}
	long := tool("long", session.ReadOnly)
	long.Call = func(context.Context, ToolCall) (string, error) { return strings.Repeat("long ", 10_000), nil }
	again := tool("idem_okay", session.Idempotent, WithApproval(time.Hour))
	again.Call = w.act(true)
	first := cfg.Agents[0]
	first.Tools = append(first.Tools,
		tool("okay", session.AtMostOnce, WithApproval(time.Minute), WithReconcile(w.happened)), again,
		tool("nope", session.AtMostOnce, WithApproval(0)), tool("drop", session.AtMostOnce, WithApproval(0)),
		tool("halt", session.ReadOnly), tool("chat", session.ReadOnly), long,
	)
	first.Subagents, first.Handoffs = []string{"helper"}, []string{"other"}
	agent := func(name string, a Agent) {
		a.Name, a.Model, a.Tools = name, "test/m", first.Tools
		cfg.Agents = append(cfg.Agents, &a)
	}
	agent("helper", Agent{})
	agent("other", Agent{Instructions: "You are the other one."})
	agent("shaped", Agent{OutputSchema: json.RawMessage(`{"type":"object","properties":{"said":{"type":"string"}},"required":["said"]}`)})
	agent("steered", Agent{Busy: Steer})
	agent("tired", Agent{Limits: Limits{Steps: 4}})
	agent("hooked", Agent{Hooks: []Hook{{
		Name: "note",
		Before: func(_ context.Context, t *Turn) (Verdict, error) {
			return Verdict{Note: "Be brief."}, w.notRecorded(t, "h:before:note")
		},
		After: func(_ context.Context, t *Turn, r Reply) (Reply, error) {
			r.Text = strings.ToUpper(r.Text)
			return r, w.notRecorded(t, fmt.Sprintf("h:after:note:%d", t.models))
		},
	}}})
	agent("short", Agent{History: History{Turns: 2}})
	cfg.Agents = append(cfg.Agents, &Agent{Name: "sleepy", Runner: RunnerFunc(sleepy)})
	return cfg
}

// notRecorded is P3 for a step of the agent's own code.
func (w *world) notRecorded(t *Turn, key string) error {
	if st := w.fold(session.Key{ID: t.Session()}).Find(t.id).Step(key); st != nil && st.State == session.StepDone {
		w.violation("step %s ran although it is recorded", key)
	}
	return nil
}

func sleepy(ctx context.Context, t *Turn) (Reply, error) {
	if err := t.Sleep(ctx, 30*time.Second); err != nil {
		return Reply{}, err
	}
	a, err := t.Await(ctx, "go", map[string]string{"to": "bed"}, Approval{Expires: time.Hour})
	if err != nil {
		return Reply{}, err
	}
	if err := t.Sleep(ctx, time.Minute); err != nil {
		return Reply{}, err
	}
	return Reply{Text: fmt.Sprint("approved: ", a.Approved)}, nil
}

// special is what the scripted model says in other cases than usual.
func special(said string, req *model.Request) (string, bool) {
	switch {
	case strings.HasPrefix(said, "Sum up"):
		return fmt.Sprint("the minutes of ", len(req.Messages), " messages"), true
	case strings.HasPrefix(said, "Your answer does not fit"):
		return `{"said":"repaired"}`, true
	case said == "draft":
		return "not JSON", true
	case req.NoCalls:
		return "in short: " + said, true
	}
	return "", false
}

// arguments are those of a call that a word of a prompt names: "tool", or "tool:prompt" with "+" for " " and "/" for "|".
func arguments(word, n string) (string, json.RawMessage) {
	name, prompt, ok := strings.Cut(word, ":")
	args := map[string]string{"n": n}
	if ok {
		args = map[string]string{"prompt": strings.NewReplacer("+", " ", "/", "|").Replace(prompt)}
	}
	return name, mustJSON(args)
}

// meddle is what some tools do to their own turn from outside.
func (r *replica) meddle(ctx context.Context, c ToolCall) error {
	switch c.Name {
	case "halt":
		_, err := r.Cancel(ctx, TurnRef{ID: c.Turn})
		return err
	case "chat":
		req := Request{Session: c.Session, Agent: "steered", Prompt: "read", Key: "chat"}
		h, err := r.Start(ctx, req)
		for fault.KindOf(err) == fault.Unavailable && pause(ctx, 100*time.Millisecond) { // it is leaving, or its store is dead
			h, err = r.Start(ctx, req)
		}
		if err == nil && r.mode != "cancel" && (!h.Steered() || h.ID() != c.Turn) {
			r.w.violation("the message became turn %s", h.ID())
		}
		return err
	}
	return nil
}
