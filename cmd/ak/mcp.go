package main

import (
	"context"
	"log/slog"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/session"
	mcptool "github.com/agentkernel/agentkernel/tool/mcp"
)

// mcpServers are the connections to the MCP servers that agents use, and their tools by the name of the entry. They are
// made once, at the start: agents are told of their tools then. Their secrets are therefore read then, too.
type mcpServers struct {
	clients []*mcptool.Client
	tools   map[string][]*agentkernel.Tool
}

// connectMCP starts or reaches every MCP server that an agent uses. The first that cannot be used ends it.
func connectMCP(ctx context.Context, cfg *config.Config, log *slog.Logger) (*mcpServers, error) {
	used := map[string]bool{}
	for _, a := range cfg.Agents {
		for _, name := range a.Tools {
			used[name] = true
		}
	}
	m := &mcpServers{tools: map[string][]*agentkernel.Tool{}}
	for _, t := range cfg.Tools {
		if t.MCP == nil || !used[t.Name] {
			continue
		}
		c, err := mcptool.Connect(ctx, mcpSpec(t, log))
		if err != nil {
			m.close()
			return nil, err
		}
		m.clients = append(m.clients, c)
		m.tools[t.Name] = c.Tools()
		log.Info("MCP server", "name", t.Name, "tools", len(c.Tools()))
	}
	return m, nil
}

// close ends the connections and the programs. Calls that are under way are interrupted, so the kernel is closed first.
func (m *mcpServers) close() {
	for _, c := range m.clients {
		_ = c.Close() // it has nothing to lose
	}
}

func mcpSpec(t config.Tool, log *slog.Logger) mcptool.Spec {
	spec := mcptool.Spec{
		Name: t.Name, Command: t.MCP.Command, URL: t.MCP.URL.Reveal(), Env: revealed(t.MCP.Env), Headers: revealed(t.MCP.Headers),
		Only: t.MCP.Only, MaxResult: int(t.MaxResult), Logger: log, Tools: map[string]mcptool.Policy{},
		Defaults: mcptool.Policy{
			Effect: session.Effect(t.Effect), Refuses: agentkernel.Refuses(t.Refuses), OnDoubt: agentkernel.OnDoubt(t.OnDoubt),
			Timeout: t.Timeout, Approval: approval(t.Approval),
		},
	}
	for name, each := range t.MCP.Each {
		p := mcptool.Policy{
			Effect: session.Effect(each.Effect), Refuses: agentkernel.Refuses(each.Refuses), OnDoubt: agentkernel.OnDoubt(each.OnDoubt), Timeout: each.Timeout,
		}
		if each.Approval != nil {
			p.Approval = approval(*each.Approval)
		}
		spec.Tools[name] = p
	}
	return spec
}

// revealed are secrets where they are used.
func revealed(secrets map[string]config.Secret) map[string]string {
	all := map[string]string{}
	for name, s := range secrets {
		all[name] = s.Reveal()
	}
	return all
}
