package agentkernel

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/schema"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Busy says what happens to a request into a session that is at work.
type Busy string

const (
	Queue  Busy = "queue"  // it waits for its turn, in order of acceptance; the default
	Reject Busy = "reject" // it is refused with kind Conflict
	Steer  Busy = "steer"  // the running turn is told, and takes it into account; only for the native loop
)

// Limits bound one turn. A zero field has the default that its comment names.
type Limits struct {
	Steps     int           // model calls per turn, 24
	Attempts  int           // attempts of model calls per turn, failed ones among them, 3 times Steps
	Tokens    int64         // tokens read and written per turn, 0 for no bound
	Money     float64       // dollars per turn by the prices of Config.ModelInfo, 0 for no bound
	Repeats   int           // equal rounds of tool calls in a row before it counts as a loop, 3
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

	Handoffs     []string        // agents that it may hand the conversation over to
	Subagents    []string        // agents that it may ask, as it calls tools
	OutputSchema json.RawMessage // JSON Schema of type object that its reply must fit; empty for free text
	Hooks        []Hook          // run before and after each turn, in this order
	History      History         // how much of the conversation it is shown
	OnDisconnect OnDisconnect    // what a server does when the client that waits for the turn goes away

	OnStoreOutage OnStoreOutage // what becomes of a request while the store does not answer

	native    bool              // its runner is the native loop
	delegates []model.Tool      // how its model asks other agents
	output    *schema.Validator // of OutputSchema
}

// OnDisconnect says what becomes of a turn whose client went away. It is advice to servers; a turn that nobody waits for
// runs to its end.
type OnDisconnect string

const (
	ContinueTurn OnDisconnect = "continue" // it runs on, and can be asked for later; the default
	CancelTurn   OnDisconnect = "cancel"   // it is cancelled
)

// Hook is code around a turn. Before runs ahead of the agent, After behind it; either may be nil. Each is a step: its
// outcome is journaled, and a re-run of the turn gets the recorded one.
type Hook struct {
	Name string // unique among the agent's hooks
	// Before may answer instead of the agent (Verdict.Reply), add to its instructions for this turn (Verdict.Note), or
	// end the turn with an error.
	Before func(ctx context.Context, t *Turn) (Verdict, error)
	// After may replace the reply, or end the turn with an error.
	After func(ctx context.Context, t *Turn, reply Reply) (Reply, error)
}

// Verdict is what a hook found before a turn. The zero Verdict lets the turn go on as it is.
type Verdict struct {
	Reply *Reply `json:"reply,omitempty"` // the answer; neither the agent nor a later hook's Before is asked
	Note  string `json:"note,omitempty"`  // added to the instructions of this turn's model calls
}

// Compact says what becomes of the oldest part of a conversation that has grown too long to be shown to the model.
type Compact string

const (
	Summarize Compact = "summarize" // the agent's model sums it up, in a step of its own; the default
	Drop      Compact = "drop"      // it is left out, and the model is told so
)

// History bounds how much of the conversation a model is shown, and with it what a session keeps in memory. When either
// bound is met, the older half is summed up or dropped.
type History struct {
	Turns   int // ended turns that are shown, 200
	Tokens  int // estimated tokens that are shown, three quarters of the model's window (Config.ModelInfo), of 128,000 where it is not known
	Compact Compact
}

// ModelInfo is what the kernel has to know of a model, by its name as agents give it ("provider/model").
type ModelInfo struct {
	Window int     // tokens that fit into a request and its answer, 0 if unknown
	Input  float64 // dollars per million tokens read
	Cached float64 // dollars per million tokens read from the provider's cache, 0 means as Input
	Output float64 // dollars per million tokens written
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
	defaultTurns = 200
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
	case Steer:
		if a.Runner != nil {
			problems = append(problems, "agent "+a.Name+": only the native loop can be steered; say busy queue or reject")
		}
	default:
		problems = append(problems, "agent "+a.Name+": busy is "+string(a.Busy)+", not queue, reject or steer")
	}
	problems = append(problems, a.checkMore()...)
	a.Limits.Steps = orDefault(a.Limits.Steps, defaultSteps)
	a.Limits.Wall = orDefault(a.Limits.Wall, defaultWall)
	a.Limits.Queue = orDefault(a.Limits.Queue, defaultQueue)
	a.Limits.Attempts = orDefault(a.Limits.Attempts, 3*a.Limits.Steps)
	a.Limits.Repeats = orDefault(a.Limits.Repeats, defaultRepeats)
	a.History.Turns = orDefault(a.History.Turns, defaultTurns)
	if a.native = a.Runner == nil; a.native {
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

// checkMore checks what most agents do not have.
func (a *Agent) checkMore() (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, "agent "+a.Name+": "+fmt.Sprintf(format, args...))
	}
	if len(a.OutputSchema) > 0 {
		var object map[string]any
		var err error
		if a.output, err = schema.Compile(a.OutputSchema); err != nil {
			bad("output_schema: %v", err)
		} else if json.Unmarshal(a.OutputSchema, &object) != nil || object["type"] != "object" {
			bad("output_schema is not a JSON Schema of type object")
		}
	}
	switch a.OnDisconnect {
	case "":
		a.OnDisconnect = ContinueTurn
	case ContinueTurn, CancelTurn:
	default:
		bad("on_disconnect is %s, not continue or cancel", a.OnDisconnect)
	}
	switch a.OnStoreOutage {
	case "":
		a.OnStoreOutage = RefuseRequest
	case RefuseRequest, Stateless:
	default:
		bad("on_store_outage is %s, not refuse or stateless", a.OnStoreOutage)
	}
	switch a.History.Compact {
	case "":
		a.History.Compact = Summarize
	case Summarize, Drop:
	default:
		bad("history.compact is %s, not summarize or drop", a.History.Compact)
	}
	if a.History.Turns < 0 || a.History.Tokens < 0 || a.History.Turns == 1 {
		bad("history needs at least 2 turns, and no negative number of tokens")
	}
	hooks := map[string]bool{}
	for _, h := range a.Hooks {
		if h.Name == "" || hooks[h.Name] {
			bad("hooks need names of their own, and %q is not one", h.Name)
		}
		hooks[h.Name] = true
	}
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

func orDefault[T int | int64 | time.Duration](v, d T) T {
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
