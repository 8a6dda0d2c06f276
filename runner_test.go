package agentkernel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// TestAPlainFunctionsStepsAreNotRunTwice: the function's replica dies after its steps; the next one runs the function
// again, and the steps, the state and the tool call come from the journal.
func TestAPlainFunctionsStepsAreNotRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		ran := map[string]int{}
		cfg := func(hang bool) Config {
			c := w.config()
			a := &Agent{Name: "function", Model: "test/m", Tools: c.Agents[0].Tools}
			a.Runner = RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
				if got := string(tu.State("n")); got != "" {
					t.Errorf("the state at the turn's start is %s", got)
				}
				if got := string(tu.Extra()); got != `{"channel":"web"}` {
					t.Errorf("extra is %s", got)
				}
				if _, err := tu.Step(ctx, "price", func(context.Context) (any, error) { ran["price"]++; return 42, nil }); err != nil {
					return Reply{}, err
				}
				if err := tu.Set("n", 1); err != nil {
					return Reply{}, err
				}
				text, err := tu.Tool(ctx, "once", map[string]any{"n": "x"})
				if err != nil {
					return Reply{}, err
				}
				answer, err := tu.Model(ctx, []model.Message{model.UserText("hello " + text)})
				if err != nil {
					return Reply{}, err
				}
				_, err = tu.Step(ctx, "boom", func(context.Context) (any, error) { ran["boom"]++; return nil, errors.New("no") })
				if err == nil || errors.Is(err, context.Canceled) {
					t.Errorf("a failing step: %v", err)
				}
				if hang {
					<-ctx.Done()
					return Reply{}, ctx.Err()
				}
				return Reply{Text: answer.Message.Text()}, nil
			})
			c.Agents = append(c.Agents, a)
			return c
		}
		first := w.replica(cfg(true), "", 0, "")
		h, err := first.Start(t.Context(), Request{Session: "s", Agent: "function", Prompt: "go", Extra: []byte(`{"channel":"web"}`)})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		first.mu.Lock()
		first.dead = true
		first.mu.Unlock()
		first.stop()
		second := w.replica(cfg(false), "", 0, "")
		defer second.stop()
		sh, _ := second.Turn("", h.ID())
		i := state(t, sh)
		if i.State != session.Completed || ran["price"] != 1 || ran["boom"] != 1 || len(w.effects) != 1 || w.models != 1 {
			t.Errorf("%s, steps ran %v, %d effects, %d model calls", i.State, ran, len(w.effects), w.models)
		}
		if s := w.fold(keyS); string(s.State["n"]) != "1" {
			t.Errorf("state is %v", s.State)
		}
	})
}

func TestARunnersMisdeedsEndTheTurnWithAKind(t *testing.T) {
	for name, c := range map[string]struct {
		run  RunnerFunc
		want fault.Kind
	}{
		"panic": {func(context.Context, *Turn) (Reply, error) { panic("secret") }, fault.Internal},
		"error": {func(context.Context, *Turn) (Reply, error) { return Reply{}, errors.New("no") }, fault.Unknown},
		"kind":  {func(context.Context, *Turn) (Reply, error) { return Reply{}, fault.New(fault.Refused, "", "no") }, fault.Refused},
		"too long": {func(ctx context.Context, _ *Turn) (Reply, error) {
			<-ctx.Done()
			return Reply{}, ctx.Err()
		}, fault.Budget},
		"two steps of one name": {func(ctx context.Context, tu *Turn) (Reply, error) {
			nop := func(context.Context) (any, error) { return nil, nil }
			_, _ = tu.Step(ctx, "a", nop)
			_, err := tu.Step(ctx, "a", nop)
			return Reply{}, err
		}, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New())
				cfg := w.config()
				cfg.Agents = []*Agent{{Name: "a", Runner: c.run, Limits: Limits{Wall: time.Second}}}
				r := w.replica(cfg, "", 0, "")
				defer r.stop()
				h := start(t, r, "x")
				if i := state(t, h); i.State != session.Failed || i.Error.Kind != c.want {
					t.Errorf("%s, %+v, want %s", i.State, i.Error, c.want)
				}
				if _, err := h.Wait(t.Context()); fault.KindOf(err) != c.want {
					t.Errorf("wait: %v", err)
				}
			})
		})
	}
}

func TestToolMisdeedsAreToldToTheModel(t *testing.T) {
	for name, c := range map[string]struct {
		call func(context.Context, ToolCall) (string, error)
		want string
	}{
		"error":   {func(context.Context, ToolCall) (string, error) { return "", errors.New("no such city") }, "no such city"},
		"panic":   {func(context.Context, ToolCall) (string, error) { panic("secret") }, "the tool panicked: string"},
		"timeout": {func(ctx context.Context, _ ToolCall) (string, error) { <-ctx.Done(); return "", ctx.Err() }, "the tool did not finish within 2s: context deadline exceeded"},
		"flood":   {func(context.Context, ToolCall) (string, error) { return string(make([]byte, 1<<20)), nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
				r.cfg.Agents[0].tool("read").Call = c.call
				i := state(t, start(t, r, "read missing"))
				if i.State != session.Completed {
					t.Fatalf("%s %+v", i.State, i.Error)
				}
				steps := map[string]StepInfo{}
				for _, st := range i.Steps {
					steps[st.Step] = st
				}
				text := steps["m0.0"].Text
				if c.want != "" && (text != c.want || !steps["m0.0"].IsError) || len(text) > 300<<10 {
					t.Errorf("the model was told %.100q (%d bytes)", text, len(text))
				}
				if text := steps["m0.1"].Text; text != "there is no tool named missing" {
					t.Errorf("an unknown tool: %.100q", text)
				}
			})
		})
	}
}

func TestARiskyToolOverALossyStoreIsRefused(t *testing.T) {
	w := newWorld(t, memory.New())
	cfg := w.config()
	cfg.AcceptLoss = false
	if _, err := Open(t.Context(), w.store, cfg); fault.KindOf(err) != fault.Config {
		t.Errorf("got %v, want Config", err)
	}
}
