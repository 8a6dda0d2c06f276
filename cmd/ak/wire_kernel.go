package main

import (
	"maps"
	"slices"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
	httptool "github.com/agentkernel/agentkernel/tool/http"
)

func toolSpec(t config.Tool) httptool.Spec {
	spec := httptool.Spec{
		Name: t.Name, Description: t.Description, Parameters: t.Parameters, Effect: session.Effect(t.Effect),
		Refuses: agentkernel.Refuses(t.Refuses), OnDoubt: agentkernel.OnDoubt(t.OnDoubt), Timeout: t.Timeout,
		MaxResult: int(t.MaxResult), Request: toolRequest(*t.HTTP),
	}
	if t.Reconcile != nil {
		ask := toolRequest(t.Reconcile.HTTP)
		spec.Reconcile = &ask
	}
	return spec
}

func toolRequest(h config.HTTP) httptool.Request {
	return httptool.Request{Method: h.Method, URL: h.URL.Reveal(), Headers: revealed(h.Headers)}
}

func approval(a config.Approval) agentkernel.Approval {
	return agentkernel.Approval{When: agentkernel.ApprovalWhen(a.When), Expires: a.Expires, Roles: slices.Clone(a.Roles)}
}

// kernelConfig is the kernel's part of the configuration, over parts that may be replaced.
func kernelConfig(cfg *config.Config, now *current, servers *mcpServers) (agentkernel.Config, error) {
	k := agentkernel.Config{
		Models: now.models(), ModelInfo: modelInfo(cfg.Models),
		LeaseTTL: cfg.Execution.LeaseTTL, SweepInterval: cfg.Execution.SweepInterval,
		MaxRecoveries: cfg.Execution.MaxRecoveries, MaxRunning: cfg.Execution.MaxRunningTurns,
		IdempotencyTTL: cfg.IdempotencyTTL(), SessionTTL: cfg.SessionTTL(), WaitMax: cfg.Execution.WaitMax,
		Retention: cfg.Session.Retention, SessionBytes: cfg.Session.MaxBytes, SnapshotEvery: cfg.Session.SnapshotEvery, CacheSize: cfg.Session.Cache.Size,
		AcceptLoss: cfg.Session.AcceptLoss, Version: readBuild().Version, Digest: cfg.FleetDigest(),
		Zone:       cfg.Execution.Zone,
		Failpoints: failpoint.FromEnv(),
	}
	tools := now.tools()
	for _, a := range cfg.Agents {
		agent := agentOf(a)
		agent.Hooks = now.hooks(a)
		for _, name := range a.Tools {
			switch t, ok := tools[name]; {
			case ok:
				agent.Tools = append(agent.Tools, t)
			case servers.tools[name] != nil:
				agent.Tools = append(agent.Tools, servers.tools[name]...)
			default:
				return k, fault.New(fault.Internal, "", "no tool is named %s", name) // the configuration's checks come first
			}
		}
		k.Agents = append(k.Agents, agent)
	}
	return k, nil
}

// agentOf is an agent without its tools and hooks.
func agentOf(a config.Agent) *agentkernel.Agent {
	return &agentkernel.Agent{
		Name: a.Name, Description: a.Description, Instructions: a.Instructions, Model: a.Model,
		Busy: agentkernel.Busy(a.Busy), OnDisconnect: agentkernel.OnDisconnect(a.OnDisconnect),
		OnStoreOutage: agentkernel.OnStoreOutage(a.OnStoreOutage),
		Handoffs:      slices.Clone(a.Handoffs), Subagents: slices.Clone(a.Subagents), OutputSchema: a.OutputSchema,
		History: agentkernel.History{Turns: a.History.Turns, Tokens: a.History.Tokens, Compact: agentkernel.Compact(a.History.Compact)},
		Limits: agentkernel.Limits{
			Steps: a.Limits.Steps, Attempts: a.Limits.Attempts, Tokens: a.Limits.Tokens, Money: a.Limits.Money,
			Repeats: a.Limits.Repeats, Wall: a.Limits.Wall, MaxTokens: int(a.Limits.MaxTokens), Queue: a.MaxQueue,
		},
	}
}

func modelInfo(models map[string]config.Model) map[string]agentkernel.ModelInfo {
	all := map[string]agentkernel.ModelInfo{}
	for name, m := range maps.All(models) {
		all[name] = agentkernel.ModelInfo{Window: m.Window, Input: m.Price.Input, Cached: m.Price.Cached, Output: m.Price.Output}
	}
	return all
}
