package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
	"github.com/agentkernel/agentkernel/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is an outside world: what was done, by key, and how often without asking.
type ledger struct {
	mu    sync.Mutex
	byKey map[string]string
	all   []string
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byKey, l.all = map[string]string{}, nil
}

func (l *ledger) effects() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.all))
}

// write acts every time.
func (l *ledger) write(_ context.Context, in entry) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, in.What)
	return "wrote " + in.What, nil
}

// once acts once for each key.
func (l *ledger) once(ctx context.Context, in entry) (string, error) {
	key := agentkernel.CallFrom(ctx).Key
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.byKey[key]; !ok {
		l.byKey[key] = in.What
		l.all = append(l.all, in.What)
	}
	return "wrote " + in.What, nil
}

func (l *ledger) happened(_ context.Context, c agentkernel.ToolCall) (agentkernel.Finding, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if what, ok := l.byKey[c.Key]; ok {
		return agentkernel.Finding{Outcome: session.Happened, Result: "wrote " + what}, nil
	}
	return agentkernel.Finding{Outcome: session.DidNotHappen}, nil
}

type entry struct {
	What string `json:"what"`
}

// script is a model that calls the named tools, all at once, and then sums up.
func script(t testing.TB, tools ...string) map[string]model.Provider {
	t.Helper()
	rule := scripted.Rule{When: "(.+)", Then: []scripted.Stage{{Say: "done: ${result}"}}}
	if len(tools) == 0 {
		rule = scripted.Rule{When: "(.+)", Say: "you said ${1}"}
	}
	for i, name := range tools {
		rule.Calls = append(rule.Calls, scripted.Call{Tool: name, Args: map[string]any{"what": fmt.Sprint("${1} ", i)}})
	}
	p, err := scripted.New(scripted.Config{Script: &scripted.Script{Rules: []scripted.Rule{rule}}})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]model.Provider{"test": p}
}

// boss is a model that has the worker do everything.
type boss struct{}

func (*boss) Generate(_ context.Context, req *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	a := &model.Answer{Finish: model.FinishStop, Message: model.Message{Role: model.Assistant}}
	switch last := req.Messages[len(req.Messages)-1]; last.Role {
	case model.ToolRole:
		a.Message.Parts = []model.Part{{Text: "it says: " + last.Parts[0].Result.Content}}
	default:
		a.Finish = model.FinishCalls
		a.Message.Parts = []model.Part{{Call: &model.Call{ID: "c", Name: "ask_worker", Args: []byte(`{"prompt":"` + last.Text() + `"}`)}}}
	}
	return a, nil
}

// native is an agent of the native loop with one tool of each class.
func native(t testing.TB, l *ledger, tools ...*agentkernel.Tool) Agent {
	var names []string
	for _, tool := range tools {
		names = append(names, tool.Name)
	}
	return Agent{
		New: func() agentkernel.Config {
			return agentkernel.Config{
				Models: script(t, names...),
				Agents: []*agentkernel.Agent{{Name: "a", Model: "test/m", Tools: tools}},
			}
		},
		Turns: []agentkernel.Request{{Prompt: "first"}, {Prompt: "second"}},
		Reset: l.reset, Effects: l.effects,
	}
}

func runner(l *ledger, f agentkernel.RunnerFunc, tools ...*agentkernel.Tool) Agent {
	return Agent{
		New: func() agentkernel.Config {
			return agentkernel.Config{Agents: []*agentkernel.Agent{{Name: "a", Runner: f, Tools: tools}}}
		},
		Turns: []agentkernel.Request{{Prompt: "go"}}, Reset: l.reset, Effects: l.effects,
	}
}

func TestSoundAgentsSurvive(t *testing.T) {
	l := &ledger{}
	read := agentkernel.NewTool("read", "reads", func(context.Context, entry) (string, error) { return "data", nil }, agentkernel.ReadOnly())
	idem := agentkernel.NewTool("idem", "writes once", l.once, agentkernel.Idempotent())
	careful := agentkernel.NewTool("careful", "writes once", l.once, agentkernel.WithReconcile(l.happened))
	refuses := agentkernel.NewTool("refuses", "writes once", l.once, agentkernel.WithRefuses(agentkernel.RefusesDuplicateKey))
	asks := agentkernel.NewTool("asks", "writes if allowed", l.once, agentkernel.WithReconcile(l.happened), agentkernel.WithApproval(time.Hour))
	ask := agentkernel.NewTool("ask", "writes", l.once)

	t.Run("no tool", func(t *testing.T) { Survive(t, native(t, l)) })
	t.Run("every class", func(t *testing.T) { Survive(t, native(t, l, read, idem, careful, refuses)) })
	t.Run("approval", func(t *testing.T) { Survive(t, native(t, l, asks)) })
	t.Run("denial", func(t *testing.T) {
		a := native(t, l, asks, read)
		a.Decide = func(*agentkernel.TurnInfo) Word { return Deny("not today") }
		Survive(t, a)
	})
	t.Run("a person knows", func(t *testing.T) {
		a := native(t, l, ask)
		a.Decide = func(i *agentkernel.TurnInfo) Word {
			what := strings.TrimSpace(i.Prompt) + " 0"
			if slices.Contains(l.effects().([]string), what) {
				return Happened("wrote " + what)
			}
			return RunAgain()
		}
		Survive(t, a)
	})
	t.Run("the model is told", func(t *testing.T) {
		a := native(t, l, agentkernel.NewTool("tell", "writes", l.write, agentkernel.WithOnDoubt(agentkernel.Tell)))
		a.Check = func() error {
			if all := l.effects().([]string); len(slices.Compact(all)) != len(all) {
				return fmt.Errorf("something was done twice: %v", all)
			}
			return nil
		}
		Survive(t, a)
	})
	t.Run("two sessions", func(t *testing.T) {
		a := native(t, l, idem)
		a.Turns = []agentkernel.Request{{Session: "x", Prompt: "first"}, {Session: "y", Prompt: "second", Key: "mine"}}
		Survive(t, a)
	})
	t.Run("the example", func(t *testing.T) { Survive(t, shop()) })
	t.Run("sub-agent and hooks", func(t *testing.T) {
		a := native(t, l, idem)
		a.New = func() agentkernel.Config {
			hook := agentkernel.Hook{Name: "polite", After: func(_ context.Context, _ *agentkernel.Turn, reply agentkernel.Reply) (agentkernel.Reply, error) {
				reply.Text += ", please"
				return reply, nil
			}}
			models := script(t, "idem")
			models["boss"] = &boss{}
			return agentkernel.Config{Models: models, Agents: []*agentkernel.Agent{
				{Name: "boss", Model: "boss/m", Subagents: []string{"worker"}, Hooks: []agentkernel.Hook{hook}},
				{Name: "worker", Model: "test/m", Tools: []*agentkernel.Tool{idem}},
			}}
		}
		Survive(t, a)
	})
	t.Run("a pause and a question", func(t *testing.T) {
		Survive(t, runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
			if err := turn.Sleep(ctx, time.Minute); err != nil {
				return agentkernel.Reply{}, err
			}
			if _, err := turn.Await(ctx, "go on?", map[string]any{"n": 1}, agentkernel.Approval{}); err != nil {
				return agentkernel.Reply{}, err
			}
			text, err := turn.Tool(ctx, "careful", entry{What: "late"})
			return agentkernel.Reply{Text: text}, err
		}, careful))
	})
	t.Run("a runner with steps", func(t *testing.T) {
		Survive(t, runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
			chance, err := turn.Step(ctx, "roll", func(context.Context) (any, error) { return "six", nil })
			if err != nil {
				return agentkernel.Reply{}, err
			}
			if err := turn.Set("rolled", chance); err != nil {
				return agentkernel.Reply{}, err
			}
			text, err := turn.Tool(ctx, "careful", entry{What: string(chance)})
			return agentkernel.Reply{Text: text}, err
		}, careful))
	})
}

// failures runs Survive's work on an agent that is expected to fail, and returns what it reported.
func failures(t *testing.T, a Agent) map[string]string {
	t.Helper()
	found := map[string]string{}
	l := &lab{a: a, virtual: true, log: t.Logf}
	l.each = func(name string, f func(report)) bool {
		synctest.Test(t, func(*testing.T) {
			f(func(format string, args ...any) { found[name] += fmt.Sprintf(format, args...) + "\n" })
		})
		return found[name] == ""
	}
	l.run()
	return found
}

func TestBrokenAgentsAreFound(t *testing.T) {
	l := &ledger{}
	calls := 0
	for name, c := range map[string]struct {
		agent Agent
		place string // where it must fail, among others
		want  string
	}{
		"an idempotent tool that acts twice": {
			native(t, l, agentkernel.NewTool("pay", "pays", l.write, agentkernel.Idempotent())),
			"tool.after/1/crash", "pay, declared idempotent, was called 2 times",
		},
		"a read-only tool that writes": {
			native(t, l, agentkernel.NewTool("peek", "peeks", l.write, agentkernel.ReadOnly())),
			"tool.after/2/crash", "peek, declared read_only, was called 2 times",
		},
		"arguments by chance": {
			runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
				text, err := turn.Tool(ctx, "write", entry{What: fmt.Sprint(rand.Int64())})
				return agentkernel.Reply{Text: text}, err
			}, agentkernel.NewTool("write", "writes", l.once, agentkernel.Idempotent())),
			"undisturbed", "two runs that nothing disturbed differ",
		},
		"an effect beside the journal": {
			runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
				_, _ = l.write(ctx, entry{What: "mail"})
				_, err := turn.Step(ctx, "s", func(context.Context) (any, error) { return 1, nil })
				return agentkernel.Reply{Text: "sent"}, err
			}),
			"step.after/1/crash", "mail",
		},
		"memory of the process": {
			func() Agent {
				a := runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
					calls++
					n := calls
					_, err := turn.Step(ctx, "s", func(context.Context) (any, error) { return 1, nil })
					return agentkernel.Reply{Text: fmt.Sprint("run ", n)}, err
				})
				a.Reset = func() { calls = 0 }
				return a
			}(),
			"append.before/2/crash", `+ turn 1: completed, "run 2"`,
		},
		"other arguments the second time": {
			func() Agent {
				a := runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
					calls++
					text, err := turn.Tool(ctx, "write", entry{What: fmt.Sprint("run ", calls)})
					return agentkernel.Reply{Text: text}, err
				}, agentkernel.NewTool("write", "writes", l.once, agentkernel.WithReconcile(l.happened)))
				a.Reset = func() { calls = 0; l.reset() }
				return a
			}(),
			"tool.after/1/crash", "diverged",
		},
		"a reconcile hook that always says yes": {
			native(t, l, agentkernel.NewTool("pay", "pays", l.once, agentkernel.WithReconcile(
				func(context.Context, agentkernel.ToolCall) (agentkernel.Finding, error) {
					return agentkernel.Finding{Outcome: session.Happened, Result: "wrote first 0"}, nil
				}))),
			"tool.before/1/crash", "-   \"first 0\"",
		},
		"a reconcile hook that always says no": {
			native(t, l, agentkernel.NewTool("pay", "pays", l.once, agentkernel.WithReconcile(
				func(context.Context, agentkernel.ToolCall) (agentkernel.Finding, error) {
					return agentkernel.Finding{Outcome: session.DidNotHappen, Fenced: true}, nil
				}))),
			"tool.after/2/crash", "pay was found not to have happened (by reconcile), but it had returned its result",
		},
		"nobody to ask": {
			native(t, l, agentkernel.NewTool("pay", "pays", l.once)),
			"tool.after/1/crash", "give the tool a reconcile hook, or let Decide answer",
		},
		"a promise that does not hold": {
			func() Agent {
				a := native(t, l, agentkernel.NewTool("tell", "writes", l.write, agentkernel.WithOnDoubt(agentkernel.Tell)))
				a.Check = func() error {
					if n := len(l.effects().([]string)); n != 2 {
						return fmt.Errorf("%d entries", n)
					}
					return nil
				}
				return a
			}(),
			"tool.before/1/crash", "Check: 1 entries",
		},
		"a configuration that is wrong": {
			Agent{New: func() agentkernel.Config { return agentkernel.Config{} }, Turns: []agentkernel.Request{{Prompt: "x"}}},
			"undisturbed", "there is no agent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := failures(t, c.agent)
			if !strings.Contains(found[c.place], c.want) {
				t.Errorf("%s is reported as:\n%s\nof %d: %v", c.place, found[c.place], len(found), slices.Sorted(maps.Keys(found)))
			}
			if c.place != "undisturbed" && found["undisturbed"] != "" {
				t.Errorf("it fails without a crash: %s", found["undisturbed"])
			}
		})
	}
}

// TestADispatchTooManyIsFound: the count does not rely on the outside world.
func TestADispatchTooManyIsFound(t *testing.T) {
	w := &world{l: &lab{}}
	tool := &agentkernel.Tool{Name: "pay"}
	w.dispatched(tool, agentkernel.ToolCall{Key: "k"})
	if v := w.acted(); v != "" {
		t.Error(v)
	}
	w.dispatched(tool, agentkernel.ToolCall{Key: "k"})
	if v := w.acted(); !strings.Contains(v, "pay was dispatched 2 times with key k") {
		t.Errorf("%q", v)
	}
}

func TestNormalizeRemovesWhatMayDiffer(t *testing.T) {
	a := runner(&ledger{}, func(context.Context, *agentkernel.Turn) (agentkernel.Reply, error) {
		return agentkernel.Reply{Text: fmt.Sprint(rand.Int64())}, nil
	})
	a.Normalize = func(o *Outcome) {
		o.Turns, o.Sessions = nil, nil
	}
	Survive(t, a)
}

// TestRealTimeWorksToo is for agents that need a network.
func TestRealTimeWorksToo(t *testing.T) {
	l := &ledger{}
	a := runner(l, func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
		_, err := turn.Step(ctx, "s", func(context.Context) (any, error) { return 1, nil })
		return agentkernel.Reply{Text: "ok"}, err
	})
	a.Real = true
	Survive(t, a)
}

// recorder is a testing.TB that is no *testing.T, as a wrapper of a test framework would be.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Logf(string, ...any)       {}
func (r *recorder) Failed() bool              { return len(r.errors) > 0 }
func (r *recorder) Errorf(f string, a ...any) { r.errors = append(r.errors, fmt.Sprintf(f, a...)) }
func (r *recorder) Error(a ...any)            { r.errors = append(r.errors, fmt.Sprint(a...)) }
func (r *recorder) Fatal(a ...any)            { r.Error(a...); panic(errFatal) }

var errFatal = errors.New("fatal")

func TestAnyTestingTBWillDo(t *testing.T) {
	broken := &recorder{TB: t}
	Survive(broken, Agent{New: func() agentkernel.Config { return agentkernel.Config{} }, Turns: []agentkernel.Request{{Prompt: "x"}}})
	if len(broken.errors) != 1 || !strings.HasPrefix(broken.errors[0], "undisturbed: the agent cannot be opened") {
		t.Errorf("%q", broken.errors)
	}
	empty := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		Survive(empty, Agent{})
	}()
	if len(empty.errors) != 1 {
		t.Errorf("%q", empty.errors)
	}
}

func TestADiffShowsWhatChangedAndWhatIsBeforeIt(t *testing.T) {
	got := strings.Join(changed([]string{"a", "b", "c", "d"}, []string{"a", "b", "x", "d", "e"}), "\n")
	if want := "  b\n- c\n+ x\n  d\n+ e"; got != want {
		t.Errorf("%s", got)
	}
}
