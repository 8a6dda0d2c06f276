package agentkernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// An agent may give work away in two ways, and both look like a tool to its model.
//
// A sub-agent is asked one thing and answers it. It runs inside the call: its steps are in the same journal, under the
// claim of the same owner, with keys that begin with the call's. What is recorded of it is answered from the journal when
// the turn is run again, so a crash in the middle of a sub-agent costs no more than one in the agent itself. When it must
// wait for a person, the whole turn does.
//
// A hand-off gives the conversation away: from the next model call on, the other agent speaks, with its own instructions
// and tools. It keeps the conversation after the turn has completed: requests that name no agent go to it.

const (
	askPrefix     = "ask_"         // and the sub-agent's name
	handOffPrefix = "transfer_to_" // and the other agent's name
	maxDepth      = 8              // sub-agents of sub-agents
)

var (
	askParameters     = json.RawMessage(`{"type":"object","properties":{"prompt":{"type":"string","description":"What it should do, with everything it needs to know: it sees nothing else of this conversation."}},"required":["prompt"]}`)
	handOffParameters = json.RawMessage(`{"type":"object","properties":{"reason":{"type":"string","description":"Why."}}}`)
)

// delegation describes an agent's sub-agents and hand-offs to its model. It is called when all agents are known.
func (a *Agent) delegation(all map[string]*Agent) (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, "agent "+a.Name+": "+fmt.Sprintf(format, args...))
	}
	for _, name := range a.Subagents {
		if sub := all[name]; sub == nil || sub == a {
			bad("sub-agent %s is no other agent", name)
		} else {
			a.delegates = append(a.delegates, model.Tool{
				Name: askPrefix + name, Parameters: askParameters,
				Description: strings.TrimSpace("Ask agent " + name + ", which works on it alone and answers. " + sub.Description),
			})
		}
	}
	for _, name := range a.Handoffs {
		if other := all[name]; other == nil || other == a {
			bad("hand-off %s is no other agent", name)
		} else if a.Busy == Steer && !other.native {
			bad("it is steered, and %s could not hear what the user says: its runner is not the native loop", name)
		} else {
			a.delegates = append(a.delegates, model.Tool{
				Name: handOffPrefix + name, Parameters: handOffParameters,
				Description: strings.TrimSpace("Hand this conversation over to agent " + name + ", which goes on from here. " + other.Description),
			})
		}
	}
	for i, d := range a.delegates {
		for _, other := range a.delegates[:i] {
			if other.Name == d.Name {
				bad("%s is named twice", d.Name)
			}
		}
		if a.tool(d.Name) != nil {
			bad("its tool %s has the name that asks another agent", d.Name)
		}
	}
	return problems
}

// delegate finds what a call of the model means, if it is not one of a tool.
func (c *call) delegate() {
	a := c.t.agent
	for _, d := range a.delegates {
		if d.Name != c.model.Name {
			continue
		}
		if name, ok := strings.CutPrefix(d.Name, askPrefix); ok {
			c.sub, _ = c.t.k.agent(name)
		} else {
			c.handOff = strings.TrimPrefix(d.Name, handOffPrefix)
		}
	}
}

// ask runs a sub-agent inside the call.
func (c *call) ask(ctx context.Context) {
	var args struct {
		Prompt string `json:"prompt"`
	}
	if err := json.Unmarshal(c.model.Args, &args); err != nil || strings.TrimSpace(args.Prompt) == "" {
		c.finish("the arguments need a prompt", true, 0)
		return
	}
	if strings.Count(c.t.path, "/") >= maxDepth {
		c.finish("sub-agents may not ask each other deeper than this", true, 0)
		return
	}
	child := &Turn{work: c.t.work, path: c.key + "/", agent: c.sub, input: model.UserText(args.Prompt)}
	if c.err = child.recount(ctx); c.err != nil {
		return
	}
	reply, err := child.guard(ctx, c.sub.Runner)
	c.before = child.take()
	defer func() {
		if c.err != nil {
			c.t.add(c.before...) // what was paid for is recorded with the next record, whatever that is
		}
	}()
	switch {
	case ctx.Err() != nil:
		c.err = context.Cause(ctx)
	case c.t.resting():
		c.err = errRest
	case errors.Is(err, errDrain), errors.Is(err, errFenced), fault.KindOf(err) == fault.Diverged, fault.KindOf(err) == fault.InDoubt:
		c.err = err
	case err != nil:
		if _, c.err = c.t.budget(); c.err != nil {
			return
		}
		c.finish(err.Error(), true, 0)
	default:
		text := reply.Text
		if text == "" {
			text = string(reply.Value)
		}
		c.finish(text, false, 0)
	}
}

// recount finds how many changes of the state an earlier run of this sub-agent made.
func (t *Turn) recount(ctx context.Context) error {
	return t.look(ctx, func(s *session.Session) error {
		turn, err := t.owned(s)
		if err != nil {
			return err
		}
		for _, set := range turn.Sets {
			if set.Path == t.path {
				t.oldSets++
			}
		}
		return nil
	})
}

// hand records that the conversation is another agent's now.
func (c *call) hand() {
	text := "the conversation is handed over to " + c.handOff
	if c.t.path != "" {
		c.finish("a sub-agent cannot hand the conversation over", true, 0)
		return
	}
	c.result = c.resultOf(text, false)
	e := c.completed(0)
	e.Result.HandOff = c.handOff
	c.err = c.t.commit(working, []session.Event{e})
}

// handedTo is the agent to which one of an answer's calls handed the conversation, by the journal; nil when none did.
func (t *Turn) handedTo(ctx context.Context, key string, calls int) (next *Agent, err error) {
	for i := range calls {
		st, err := t.recorded(ctx, callKeyOf(key, i))
		if err != nil {
			return nil, err
		}
		if st == nil || st.Result == nil || st.Result.HandOff == "" {
			continue
		}
		if next, err = t.k.agent(st.Result.HandOff); err != nil {
			t.k.log.Warn("the agent that a conversation was handed to is gone; the one before goes on", "session", t.j.key.ID, "agent", st.Result.HandOff)
		}
	}
	return next, nil
}
