package mcptool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestASpecIsCheckedBeforeAnythingIsStarted(t *testing.T) {
	program := []string{"/bin/false"}
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"no name":          {Spec{Command: program}, "name"},
		"bad name":         {Spec{Name: "a b", Command: program}, "name"},
		"long name":        {Spec{Name: strings.Repeat("x", 33), Command: program}, "name"},
		"neither":          {Spec{Name: "a"}, "neither"},
		"both":             {Spec{Name: "a", Command: program, URL: "http://x/"}, "both"},
		"no scheme":        {Spec{Name: "a", URL: "x/y?key=hush-hush"}, "url is not"},
		"other scheme":     {Spec{Name: "a", URL: "ftp://x/"}, "url is not"},
		"header of ours":   {Spec{Name: "a", URL: "http://x/", Headers: map[string]string{"idempotency-key": "x"}}, "header"},
		"headers for none": {Spec{Name: "a", Command: program, Headers: map[string]string{"X": "x"}}, "headers are for"},
		"env for none":     {Spec{Name: "a", URL: "http://x/", Env: map[string]string{"X": "x"}}, "env and dir"},
		"bad variable":     {Spec{Name: "a", Command: program, Env: map[string]string{"A=B": "x"}}, "variable"},
		"negative":         {Spec{Name: "a", Command: program, MaxResult: -1}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), c.spec)
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestToolsAreNamedAndTreatedAsTheSpecSays(t *testing.T) {
	s, _ := stdio(t, "stdio")
	s.Only = []string{"echo", "add", "spell.out"}
	s.Defaults = Policy{OnDoubt: agentkernel.Tell, Timeout: 3 * time.Second}
	s.Tools = map[string]Policy{
		"echo": {Effect: session.ReadOnly, Timeout: time.Second},
		"add":  {Refuses: agentkernel.RefusesDuplicateKey, Approval: agentkernel.Approval{When: agentkernel.AlwaysApprove}},
	}
	c := connect(t, s)
	var got []string
	for _, tool := range c.Tools() {
		got = append(got, fmt.Sprint(tool.Name, " ", tool.Effect, " ", tool.Refuses, " ", tool.OnDoubt, " ", tool.Timeout, " ", tool.Approval.When))
	}
	want := []string{
		"srv_add at_most_once duplicate_key tell 3s always", "srv_echo read_only  tell 1s ", "srv_spell_out at_most_once  tell 3s ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("tools:\n%s", strings.Join(got, "\n"))
	}
	echo := tool(t, c, "srv_echo")
	if echo.Description != "does echo" || !strings.Contains(string(echo.Parameters), `"additionalProperties":false`) {
		t.Errorf("%+v %s", echo.Description, echo.Parameters)
	}
}

func TestHintsAreShownAndNotTrusted(t *testing.T) {
	s, _ := stdio(t, "stdio")
	s.Only = []string{"echo"}
	c := connect(t, s)
	want := Offer{Tool: "srv_echo", Name: "echo", Effect: session.AtMostOnce, ReadOnly: true, Idempotent: true}
	if o := c.Offers(); len(o) != 1 || o[0] != want {
		t.Errorf("%+v", o)
	}
	if e := tool(t, c, "srv_echo").Effect; e != session.AtMostOnce {
		t.Errorf("effect %s", e)
	}
}

func TestAServerWhoseToolsCannotBeOfferedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		tools string
		only  []string
		more  map[string]Policy
		want  string
	}{
		"collision":      {"a.b a_b", nil, nil, "both be named srv_a_b"},
		"unknown only":   {"a", []string{"b"}, nil, "has no tool b"},
		"unknown policy": {"a", nil, map[string]Policy{"b": {}}, "has no tool b"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stdio(t, "stdio")
			s.Only, s.Tools = c.only, c.more
			s.Env["MCP_TOOLS"] = filepath.Join(t.TempDir(), "tools")
			if err := os.WriteFile(s.Env["MCP_TOOLS"], []byte(c.tools), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Connect(t.Context(), s)
			if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestLongNamesStayDifferent(t *testing.T) {
	a, b := toolName("srv", strings.Repeat("long", 20)+"a"), toolName("srv", strings.Repeat("long", 20)+"b")
	if len(a) != maxToolName || a == b || a != toolName("srv", strings.Repeat("long", 20)+"a") {
		t.Errorf("%s %s", a, b)
	}
	if n := toolName("srv", "größe/2"); n != "srv_gr__e_2" {
		t.Errorf("%s", n)
	}
}

func TestParametersThatCannotBeCheckedHereAreLeftToTheServer(t *testing.T) {
	s, _ := stdio(t, "stdio")
	s.Env["MCP_TOOLS"] = filepath.Join(t.TempDir(), "tools")
	if err := os.WriteFile(s.Env["MCP_TOOLS"], []byte("odd"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := tool(t, connect(t, s), "srv_odd").Call(t.Context(), call(`{"any":1}`))
	if err != nil || got != "did odd" {
		t.Errorf("%q %v", got, err)
	}
}

// TestAKernelJournalsTheCalls runs a turn that calls a tool, and one whose tool kills its server.
func TestAKernelJournalsTheCalls(t *testing.T) {
	s, log := stdio(t, "stdio")
	c := connect(t, s)
	k, err := agentkernel.Open(t.Context(), memory.New(), agentkernel.Config{AcceptLoss: true, Agents: []*agentkernel.Agent{{
		Name: "a", Tools: c.Tools(),
		Runner: agentkernel.RunnerFunc(func(ctx context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
			text, err := turn.Tool(ctx, turn.Input().Text(), map[string]any{"n": 1})
			return agentkernel.Reply{Text: text}, err
		}),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	for _, x := range []struct {
		tool  string
		state session.TurnState
	}{{"srv_echo", session.Completed}, {"srv_die", session.Waiting}} {
		h, err := k.Start(t.Context(), agentkernel.Request{Session: x.tool, Prompt: x.tool})
		if err != nil {
			t.Fatal(err)
		}
		i, err := h.Settle(t.Context())
		if err != nil || i.State != x.state || x.state == session.Waiting && i.Waiting.Reason != session.WaitInDoubt {
			t.Errorf("%s: %+v %v", x.tool, i, err)
		}
	}
	got := traces(t, log)
	if len(got) != 2 || strings.Contains(got[0], "nil") || got[0] == got[1] {
		t.Errorf("the calls came with keys %v", got)
	}
}
