package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

// cost is what one turn may cost, on a session that is in use.
type cost struct {
	Appends float64 `json:"appends"` // calls of Append
	Reads   float64 `json:"reads"`   // calls of Read, Heads, Snapshot and Blob
	Wire    float64 `json:"wire"`    // commands, statements or requests sent to the server; 0 where there is none
}

// agent answers "turn" at once, and "round" with one call of a tool first.
func agent() agentkernel.Config {
	player, err := scripted.New(scripted.Config{Script: &scripted.Script{Rules: []scripted.Rule{
		{When: "^round", Calls: []scripted.Call{{Tool: "look", Args: map[string]any{}}}, Then: []scripted.Stage{{Say: "looked"}}},
		{When: ".", Say: "said"},
	}}})
	if err != nil {
		panic(err)
	}
	look := agentkernel.NewTool("look", "Looks", func(context.Context, struct{}) (string, error) { return "seen", nil }, agentkernel.ReadOnly())
	return agentkernel.Config{
		Models: map[string]model.Provider{"scripted": player},
		Agents: []*agentkernel.Agent{{Name: "a", Model: "scripted/m", Tools: []*agentkernel.Tool{look}}},
		// Beats and sweeps are no part of a turn.
		LeaseTTL: 10 * time.Minute, SweepInterval: time.Hour, StoreTimeout: time.Minute,
	}
}

// turns has a kernel run some turns in one session.
func turns(t *testing.T, k *agentkernel.Kernel, prompt string, n int) {
	t.Helper()
	for range n {
		h, err := k.Start(t.Context(), agentkernel.Request{Session: "s", Prompt: prompt})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATurnCostsWhatIsDeclared(t *testing.T) {
	data, err := os.ReadFile("testdata/costs.json")
	if err != nil {
		t.Fatal(err)
	}
	var limits map[string]map[string]cost
	if err := json.Unmarshal(data, &limits); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]cost{}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			found[k.name] = costsOf(t, k)
			for prompt, is := range found[k.name] {
				limit, ok := limits[k.name][prompt]
				if !ok || is.Appends > limit.Appends || is.Reads > limit.Reads || is.Wire > limit.Wire {
					t.Errorf("one %s costs %+v, declared is %+v", prompt, is, limit)
				}
				if is.Appends < 2 || limit.Wire > 0 && is.Wire < is.Appends {
					t.Errorf("one %s costs %+v: not everything was counted", prompt, is)
				}
				t.Logf("%s: %+v, declared %+v", prompt, is, limit)
			}
		})
	}
	for name := range limits {
		if found[name] == nil {
			t.Errorf("testdata/costs.json has %s, which was not measured", name)
		}
	}
}

// counted is how many turns are averaged over.
const counted = 20

func costsOf(t *testing.T, k kind) map[string]cost {
	s := k.make(t)
	var store session.Store
	var wire *relay
	var err error
	if s.relayed == nil {
		store, err = s.open(context.Background())
	} else {
		store, wire, err = s.relayed(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := sessiontest.NewFaulty(store)
	defer f.Close()
	kernel, err := agentkernel.Open(t.Context(), f, agent())
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	out := map[string]cost{}
	for _, prompt := range []string{"turn", "round"} {
		turns(t, kernel, prompt, 3) // the first ones load the session, and open connections
		settle(t, f, wire)
		f.Reset()
		var before int64
		if wire != nil {
			before = wire.count.Load()
		}
		turns(t, kernel, prompt, counted)
		settle(t, f, wire)
		c := cost{
			Appends: float64(f.Count(sessiontest.Append)) / counted,
			Reads:   float64(f.Count(sessiontest.Read, sessiontest.Heads, sessiontest.GetSnapshot, sessiontest.GetBlob)) / counted,
		}
		if wire != nil {
			c.Wire = math.Round(float64(wire.count.Load()-before)/counted*100) / 100
		}
		out[prompt] = c
	}
	return out
}

// settle waits until nothing was counted for a while: the end of a turn is told before all that follows it is done.
func settle(t *testing.T, f *sessiontest.Faulty, wire *relay) {
	t.Helper()
	now := func() string {
		if wire == nil {
			return fmt.Sprint(f.Count())
		}
		return fmt.Sprint(f.Count(), wire.count.Load())
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last, quiet := now(), 0; quiet < 4; {
		<-tick.C
		if is := now(); is == last {
			quiet++
		} else {
			last, quiet = is, 0
		}
	}
}
