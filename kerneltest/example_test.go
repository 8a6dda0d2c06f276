package kerneltest

import (
	"context"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// till is the outside world: what was charged, by idempotency key.
var till sync.Map

type order struct {
	Order string `json:"order"`
}

// charge is a tool that charges once for each key, however often it is called.
func charge(ctx context.Context, in order) (string, error) {
	till.LoadOrStore(agentkernel.CallFrom(ctx).Key, in.Order)
	return "charged " + in.Order, nil
}

// shop is the agent, and a conversation with it.
func shop() Agent {
	return Agent{
		New: func() agentkernel.Config {
			script, err := scripted.New(scripted.Config{Script: &scripted.Script{Rules: []scripted.Rule{{
				When:  "pay (.+)",
				Calls: []scripted.Call{{Tool: "charge", Args: map[string]any{"order": "${1}"}}},
				Then:  []scripted.Stage{{Say: "Done: ${result}"}},
			}}}})
			if err != nil {
				panic(err)
			}
			return agentkernel.Config{
				Models: map[string]model.Provider{"test": script},
				Agents: []*agentkernel.Agent{{Name: "shop", Model: "test/m", Tools: []*agentkernel.Tool{
					agentkernel.NewTool("charge", "Charge an order", charge, agentkernel.Idempotent()),
				}}},
			}
		},
		Turns: []agentkernel.Request{{Prompt: "pay A-17"}, {Prompt: "pay A-18"}},
		Reset: till.Clear,
		Effects: func() any {
			charged := map[string]int{}
			till.Range(func(_, order any) bool { charged[order.(string)]++; return true })
			return charged
		},
	}
}

// A test of your own is one line, once the agent and what it does to the world are written down.
func ExampleSurvive() {
	_ = func(t *testing.T) {
		Survive(t, shop())
	}
}
