package agentkernel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

// An agent with one tool, over the model that answers from a script. README.md shows the same lines.
func Example() {
	ctx := context.Background()
	weather := agentkernel.NewTool("get_weather", "Tell the weather in a city", func(_ context.Context, in struct{ City string }) (string, error) {
		return "sunny in " + in.City, nil
	}, agentkernel.ReadOnly())
	offline, _ := scripted.New(scripted.Config{})
	k, err := agentkernel.Open(ctx, memory.New(), agentkernel.Config{
		Models: map[string]model.Provider{"offline": offline},
		Agents: []*agentkernel.Agent{{Name: "assistant", Model: "offline/demo", Tools: []*agentkernel.Tool{weather}}},
	})
	check(err)
	defer k.Close()
	h, err := k.Start(ctx, agentkernel.Request{Prompt: "What is the weather in Lisbon?"})
	check(err)
	reply, err := h.Wait(ctx)
	fmt.Println(reply.Text, err)
	// Output:
	// The weather in Lisbon: sunny in Lisbon <nil>
}

// A tool that moves money. Its connection breaks after it has acted, so nobody knows whether it did; the tool is asked,
// and not called again.
func ExampleWithReconcile() {
	ctx := context.Background()
	var charges atomic.Int32
	var known atomic.Pointer[string] // the desk's own record, by key

	type order struct {
		Order  string  `json:"order"`
		Amount float64 `json:"amount"`
	}
	charge := agentkernel.NewTool("charge_card", "Charge a customer's card",
		func(ctx context.Context, _ order) (string, error) {
			key := agentkernel.CallFrom(ctx).Key
			charges.Add(1)
			known.Store(&key)
			return "", agentkernel.Unclear(errors.New("the connection broke"))
		},
		agentkernel.AtMostOnce(),
		agentkernel.WithReconcile(func(_ context.Context, c agentkernel.ToolCall) (agentkernel.Finding, error) {
			if key := known.Load(); key != nil && *key == c.Key {
				return agentkernel.Finding{Outcome: session.Happened, Result: "receipt R-1"}, nil
			}
			return agentkernel.Finding{Outcome: session.DidNotHappen}, nil
		}))

	k, done := open(ctx, charge)
	defer done()
	h, err := k.Start(ctx, agentkernel.Request{Prompt: "charge order A-1 12.50", Key: "order-A-1"})
	check(err)
	reply, err := h.Wait(ctx)
	fmt.Println(reply.Text, err)
	fmt.Println(charges.Load(), "charge")
	// Output:
	// I charged order A-1 with 12.50: receipt R-1 <nil>
	// 1 charge
}

// open makes a kernel over a SQLite file in a folder of its own, which done removes.
func open(ctx context.Context, tools ...*agentkernel.Tool) (k *agentkernel.Kernel, done func()) {
	dir, err := os.MkdirTemp("", "ak-example-")
	check(err)
	store, err := sqlite.Open(ctx, filepath.Join(dir, "agentkernel.db"), sqlite.Config{})
	check(err)
	offline, err := scripted.New(scripted.Config{})
	check(err)
	k, err = agentkernel.Open(ctx, store, agentkernel.Config{
		Models: map[string]model.Provider{"offline": offline},
		Agents: []*agentkernel.Agent{{Name: "assistant", Model: "offline/demo", Tools: tools}},
	})
	check(err)
	return k, func() {
		check(k.Close())
		check(store.Close())
		check(os.RemoveAll(dir))
	}
}

// A plain function as a runner. Its steps are journaled: had the process died after the first one, the next run would
// take the price from the journal.
func ExampleRunnerFunc() {
	ctx := context.Background()
	quote := agentkernel.RunnerFunc(func(ctx context.Context, t *agentkernel.Turn) (agentkernel.Reply, error) {
		price, err := t.Step(ctx, "price", func(context.Context) (any, error) { return 42, nil })
		if err != nil {
			return agentkernel.Reply{}, err
		}
		if err := t.Set("last_price", price); err != nil { // the session's state, durable with the next record
			return agentkernel.Reply{}, err
		}
		return agentkernel.Reply{Text: fmt.Sprintf("%s costs %s", t.Input().Text(), price)}, nil
	})
	k, err := agentkernel.Open(ctx, memory.New(), agentkernel.Config{
		Agents: []*agentkernel.Agent{{Name: "quote", Runner: quote}},
	})
	check(err)
	defer func() { check(k.Close()) }()
	h, err := k.Start(ctx, agentkernel.Request{Prompt: "a lamp"})
	check(err)
	reply, err := h.Wait(ctx)
	fmt.Println(reply.Text, err)
	// Output:
	// a lamp costs 42 <nil>
}

// A turn as it happens. A reader that stops may go on after the last event it has seen, here or at another replica.
func ExampleHandle_Events() {
	ctx := context.Background()
	k, done := open(ctx)
	defer done()
	h, err := k.Start(ctx, agentkernel.Request{Prompt: "Hello!"})
	check(err)
	seen := "" // the id to go on after
	for event, err := range h.Events(ctx, seen) {
		check(err)
		seen = event.ID
		switch event.Type {
		case agentkernel.EventDelta, agentkernel.EventReset: // text to show while it is written; it comes in pieces of any size
		default:
			fmt.Println(event.Type)
		}
	}
	// Output:
	// turn.accepted
	// step.completed
	// done
}
