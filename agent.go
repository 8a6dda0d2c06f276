package agentkernel

import (
	"context"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Busy says what happens to a request into a session that is at work.
type Busy string

const (
	Queue  Busy = "queue"  // it waits for its turn, in order of acceptance; the default
	Reject Busy = "reject" // it is refused with kind Conflict
)

// Limits bound one turn. A zero field has the default that its comment names.
type Limits struct {
	Steps     int           // model calls per turn, 24
	Wall      time.Duration // running time per turn, waits not counted, 10m
	MaxTokens int           // bound on each answer in tokens, 0 leaves it to the provider
	Queue     int           // unfinished turns per session, the running one among them, 64
}

// Agent answers turns.
type Agent struct {
	Name         string
	Description  string
	Instructions string // the system prompt
	Model        string // "provider/model", where provider is a key of Config.Models
	Tools        []*Tool
	Busy         Busy
	Limits       Limits
	Runner       Runner // nil means the native model-and-tools loop
}

// Runner is any code that answers a turn. After a crash it is called again from the top, perhaps in another process:
// what it did through [Turn] is then answered from the journal instead of done again. It stops soon after its context
// ends, whose cause says why.
type Runner interface {
	Run(ctx context.Context, t *Turn) (Reply, error)
}

// RunnerFunc is a plain function that answers a turn.
type RunnerFunc func(ctx context.Context, t *Turn) (Reply, error)

// Run calls f.
func (f RunnerFunc) Run(ctx context.Context, t *Turn) (Reply, error) { return f(ctx, t) }

// Reply is a turn's answer.
type Reply = session.Reply

const (
	defaultSteps = 24
	defaultWall  = 10 * time.Minute
	defaultQueue = 64
)

func (a *Agent) check(models map[string]model.Provider) (problems []string) {
	if err := session.CheckID("an agent's name", a.Name); err != nil {
		problems = append(problems, err.Error())
	}
	if a.Runner == nil {
		if provider, name := splitModel(a.Model); models[provider] == nil || name == "" {
			problems = append(problems, "agent "+a.Name+": model "+a.Model+" does not name a provider/model of Config.Models")
		}
	}
	switch a.Busy {
	case "":
		a.Busy = Queue
	case Queue, Reject:
	default:
		problems = append(problems, "agent "+a.Name+": busy is "+string(a.Busy)+", not queue or reject")
	}
	a.Limits.Steps = orDefault(a.Limits.Steps, defaultSteps)
	a.Limits.Wall = orDefault(a.Limits.Wall, defaultWall)
	a.Limits.Queue = orDefault(a.Limits.Queue, defaultQueue)
	if a.Runner == nil {
		a.Runner = RunnerFunc(nativeLoop)
	}
	seen := map[string]bool{}
	tools := make([]*Tool, 0, len(a.Tools))
	for _, t := range a.Tools {
		c := *t
		problems = append(problems, c.check()...)
		if seen[c.Name] {
			problems = append(problems, "agent "+a.Name+": two tools are named "+c.Name)
		}
		seen[c.Name] = true
		tools = append(tools, &c)
	}
	a.Tools = tools
	return problems
}

func (a *Agent) tool(name string) *Tool {
	for _, t := range a.Tools {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// agent finds an agent by name; the empty name is the first one.
func (k *Kernel) agent(name string) (*Agent, error) {
	if name == "" && len(k.cfg.Agents) > 0 {
		return k.cfg.Agents[0], nil
	}
	for _, a := range k.cfg.Agents {
		if a.Name == name {
			return a, nil
		}
	}
	return nil, fault.New(fault.NotFound, "", "there is no agent %q", name).WithTry("GET /api/v1/agents lists them")
}
