package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
	mcptool "github.com/agentkernel/agentkernel/tool/mcp"
)

// loaded is a configuration from text alone.
func loaded(t *testing.T, text string, env ...string) *config.Config {
	t.Helper()
	dir := folder(t, text)
	cfg, err := config.Load(config.Options{Path: filepath.Join(dir, "config.yaml"), Env: append([]string{"AK_SECRETS_PATH=" + dir}, env...)})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestEveryConfiguredValueReachesTheKernel(t *testing.T) {
	cfg := loaded(t, `
session: {ttl: 3600, cache: {size: 7}, accept_loss: true, retention: 2h, snapshot_every: 99}
execution: {lease_ttl: 2s, sweep_interval: 300ms, max_recoveries: 9, max_running_turns: 11, idempotency_ttl: 10m, wait_max: 3h, zone: z1}
providers: {o: {type: scripted}, unused: {type: openai}}
models: {o/m/x: {window: 1000, price: {input: 1, cached: 0.5, output: 4}}}
tools:
  - name: pay
    description: pays
    effect: at_most_once
    refuses: duplicate_key
    on_doubt: tell
    timeout: 3s
    max_result: 99
    approval: {when: always, expires: 5m, roles: [operator]}
    parameters: {type: object, properties: {n: {type: number}}}
    http: {url: "http://127.0.0.1:1/"}
    reconcile: {http: {url: "http://127.0.0.1:1/{idempotency_key}"}}
  - {name: look, effect: read_only, http: {method: GET, url: "http://127.0.0.1:1/"}}
agents:
  - name: a
    description: d
    instructions: i
    model: o/m/x
    tools: [pay, look]
    busy: steer
    max_queue: 5
    limits: {steps: 6, attempts: 10, tokens: 9000, money: 1.5, repeats: 4, wall: 7s, max_tokens: 8}
    handoffs: [b]
    subagents: [b]
    output_schema: {type: object, properties: {x: {type: string}}}
    on_disconnect: cancel
    on_store_outage: stateless
    history: {turns: 12, tokens: 345, compact: drop}
    hooks: {before: [{name: b1, http: {url: "http://127.0.0.1:1/"}}, {name: b2, http: {url: "http://127.0.0.1:1/"}}], after: [{name: a1, http: {url: "http://127.0.0.1:1/"}}]}
  - {name: b, model: o/m}
`)
	parts, err := makeParts(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer parts.retire()
	k, err := kernelConfig(cfg, newCurrent(parts), &mcpServers{})
	if err != nil {
		t.Fatal(err)
	}
	if k.LeaseTTL != 2*time.Second || k.SweepInterval != 300*time.Millisecond || k.MaxRecoveries != 9 || k.MaxRunning != 11 ||
		k.IdempotencyTTL != 10*time.Minute || k.SessionTTL != time.Hour || k.CacheSize != 7 || !k.AcceptLoss || k.Digest != cfg.FleetDigest() || k.Zone != "z1" || k.Version == "" ||
		k.Retention != 2*time.Hour || k.SnapshotEvery != 99 || k.WaitMax != 3*time.Hour {
		t.Errorf("the kernel: %+v", k)
	}
	if m := k.ModelInfo["o/m/x"]; m != (agentkernel.ModelInfo{Window: 1000, Input: 1, Cached: 0.5, Output: 4}) || len(k.ModelInfo) != 1 {
		t.Errorf("the models: %+v", k.ModelInfo)
	}
	a := *k.Agents[0]
	pay, look := a.Tools[0], a.Tools[1]
	hooks := ""
	for _, h := range a.Hooks {
		hooks += fmt.Sprint(" ", h.Name, h.Before != nil, h.After != nil)
	}
	if hooks != " b1true false b2true false a1false true" {
		t.Errorf("the hooks:%s", hooks)
	}
	a.Tools, a.Hooks = nil, nil
	want := agentkernel.Agent{
		Name: "a", Description: "d", Instructions: "i", Model: "o/m/x", Busy: agentkernel.Steer,
		Limits:   agentkernel.Limits{Steps: 6, Attempts: 10, Tokens: 9000, Money: 1.5, Repeats: 4, Wall: 7 * time.Second, MaxTokens: 8, Queue: 5},
		Handoffs: []string{"b"}, Subagents: []string{"b"}, OutputSchema: a.OutputSchema, OnDisconnect: agentkernel.CancelTurn, OnStoreOutage: "stateless",
		History: agentkernel.History{Turns: 12, Tokens: 345, Compact: agentkernel.Drop},
	}
	if !reflect.DeepEqual(a, want) || !strings.Contains(string(a.OutputSchema), `"x"`) {
		t.Errorf("the agent: %+v", a)
	}
	if pay.Name != "pay" || pay.Description != "pays" || pay.Effect != session.AtMostOnce || pay.Refuses != agentkernel.RefusesDuplicateKey ||
		pay.OnDoubt != agentkernel.Tell || pay.Timeout != 3*time.Second || pay.MaxResult != 99 || pay.Reconcile == nil ||
		!reflect.DeepEqual(pay.Approval, agentkernel.Approval{When: agentkernel.AlwaysApprove, Expires: 5 * time.Minute, Roles: []string{"operator"}}) {
		t.Errorf("pay: %+v", pay)
	}
	if look.Effect != session.ReadOnly || look.Reconcile != nil || look.Approval.When != agentkernel.NeverApprove {
		t.Errorf("look: %+v", look)
	}
	if len(k.Models) != 1 {
		t.Errorf("%d providers were made, and one is used", len(k.Models))
	}
	kernel, err := agentkernel.Open(context.Background(), memory.New(), k)
	if err != nil {
		t.Fatalf("the kernel does not take it: %v", err)
	}
	_ = kernel.Close()
}

func TestTheQuickstartCanBeServedWithoutAKey(t *testing.T) {
	cfg, err := config.Load(config.Options{Path: "../../examples/quickstart/config.yaml", Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.CheckServe(); err != nil {
		t.Fatal(err)
	}
	parts, err := makeParts(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer parts.retire()
	k, err := kernelConfig(cfg, newCurrent(parts), &mcpServers{})
	if err != nil || len(k.Agents) != 1 || len(k.Agents[0].Tools) != 2 {
		t.Errorf("%+v, %v", k.Agents, err)
	}
}

func TestEveryTypeOfProviderIsMade(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, text := range map[string]string{
		"openai":            "openai: {api_key: k}",
		"openai_compatible": "openai: {type: openai_compatible, base_url: \"http://h/v1\"}",
		"anthropic":         "anthropic: {api_key: k}",
		"gemini":            "gemini: {api_key: k}",
		"bedrock":           "bedrock: {api_key: k, region: eu-central-1}",
		"scripted":          "o: {type: scripted}",
	} {
		id, _, _ := strings.Cut(text, ":")
		cfg := loaded(t, "providers: {"+text+"}\nagents: [{name: a, model: "+id+"/m}]")
		if got := cfg.Providers[id].Type; got != name {
			t.Errorf("%s is of type %s", text, got)
		}
		parts, err := makeParts(cfg)
		if err != nil || parts.models[id] == nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		parts.retire()
	}
}

func TestEveryConfiguredValueReachesAnMCPServer(t *testing.T) {
	cfg := loaded(t, `
providers: {o: {type: scripted}}
tools:
  - name: files
    effect: at_most_once
    on_doubt: fail
    timeout: 4s
    max_result: 77
    approval: {when: always, expires: 2m, roles: [operator]}
    mcp: {command: [prog, -x], env: {TOKEN: hush}, only: [read, write], each: {read: {effect: read_only, timeout: 1s, approval: {when: never}}, write: {refuses: duplicate_key, on_doubt: tell}}}
  - {name: web, mcp: {url: "http://h/mcp", headers: {X-Key: hush}}}
agents: [{name: a, model: o/m, tools: [files]}]
`)
	log := slog.New(slog.DiscardHandler)
	want := mcptool.Spec{
		Name: "files", Command: []string{"prog", "-x"}, Env: map[string]string{"TOKEN": "hush"}, Headers: map[string]string{}, Only: []string{"read", "write"}, MaxResult: 77, Logger: log,
		Defaults: mcptool.Policy{Effect: session.AtMostOnce, OnDoubt: agentkernel.FailTurn, Timeout: 4 * time.Second, Approval: agentkernel.Approval{When: agentkernel.AlwaysApprove, Expires: 2 * time.Minute, Roles: []string{"operator"}}},
		Tools: map[string]mcptool.Policy{
			"read":  {Effect: session.ReadOnly, Timeout: time.Second, Approval: agentkernel.Approval{When: agentkernel.NeverApprove, Expires: 24 * time.Hour}},
			"write": {Refuses: agentkernel.RefusesDuplicateKey, OnDoubt: agentkernel.Tell},
		},
	}
	if got := mcpSpec(cfg.Tools[0], log); !reflect.DeepEqual(got, want) {
		t.Errorf("files: %+v", got)
	}
	if got := mcpSpec(cfg.Tools[1], log); got.URL != "http://h/mcp" || got.Headers["X-Key"] != "hush" || len(got.Command) > 0 {
		t.Errorf("web: %+v", got)
	}
}

func TestAScriptMayBeJSONOrYAML(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"s.json": `{"otherwise": {"say": "it works"}}`,
		"s.yaml": "otherwise: {say: it works}\n",
	} {
		path := filepath.Join(dir, name)
		write(t, path, text)
		p, err := makeProvider(config.Provider{Type: config.Scripted, Script: path})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.Generate(context.Background(), &model.Request{Model: "m", Messages: []model.Message{model.UserText("x")}}, nil)
		if err != nil || answer.Message.Text() != "it works" {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
	}
	for name, text := range map[string]string{"bad.yaml": "a: [", "other.yaml": "otherwize: {}", "rule.json": `{"rules": [{"when": "("}]}`} {
		path := filepath.Join(dir, name)
		write(t, path, text)
		if _, err := makeProvider(config.Provider{Type: config.Scripted, Script: path}); fault.KindOf(err) != fault.Config {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlySecretsAreTakenFromAReloadedConfiguration(t *testing.T) {
	const text = `
providers: {p: {type: openai_compatible, base_url: "http://u:<file:pw>@h/v1", api_key: "<file:key>"}}
tools: [{name: t, http: {url: "http://h/x?token=<file:key>", headers: {X-Key: "<file:key>"}}}]
agents: [{name: a, model: p/m, tools: [t], hooks: {before: [{name: h, http: {url: "http://h/", headers: {X-Key: "<file:key>"}}}]}}]
`
	dir := t.TempDir()
	load := func(config_, key string) *config.Config {
		for name, content := range map[string]string{"config.yaml": config_, "key": key, "pw": "pw-" + key} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := config.Load(config.Options{Path: filepath.Join(dir, "config.yaml"), Env: []string{"AK_SECRETS_PATH=" + dir}})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	was := load(text, "first")
	got := withSecretsOf(was, load(text, "second"))
	p, tool := got.Providers["p"], got.Tools[0]
	if p.APIKey.Reveal() != "second" || p.BaseURL.Reveal() != "http://u:pw-second@h/v1" ||
		tool.HTTP.URL.Reveal() != "http://h/x?token=second" || tool.HTTP.Headers["X-Key"].Reveal() != "second" {
		t.Errorf("%s %s %s", p.APIKey.Reveal(), p.BaseURL.Reveal(), tool.HTTP.URL.Reveal())
	}
	if got.Agents[0].Hooks.Before[0].HTTP.Headers["X-Key"].Reveal() != "second" || was.Agents[0].Hooks.Before[0].HTTP.Headers["X-Key"].Reveal() != "first" {
		t.Error("the hook's secret was not taken, or taken in place")
	}
	if was.Providers["p"].APIKey.Reveal() != "first" || was.Tools[0].HTTP.Headers["X-Key"].Reveal() != "first" {
		t.Error("the configuration in use was changed")
	}

	other := load(`
providers: {p: {type: openai_compatible, base_url: "http://other/v1", api_key: third}}
tools: [{name: t, http: {url: "http://other/", headers: {X-Other: third}}}]
agents: [{name: a, model: p/m, tools: [t]}]
`, "third")
	got = withSecretsOf(was, other)
	if got.Providers["p"].BaseURL.Reveal() != was.Providers["p"].BaseURL.Reveal() || got.Tools[0].HTTP.URL.Reveal() != was.Tools[0].HTTP.URL.Reveal() ||
		len(got.Tools[0].HTTP.Headers) != 1 || got.Providers["p"].APIKey.Reveal() != "third" {
		t.Errorf("%+v", got)
	}
}
