package mcptool

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/schema"
	"github.com/agentkernel/agentkernel/session"
)

const maxDescription = 8 << 10 // bytes of a tool's description that models are told

// Offer is a tool of the server, with what the server hints at. Hints are for people to read.
type Offer struct {
	Tool        string // its name here
	Name        string // its name at the server
	Effect      session.Effect
	ReadOnly    bool // the server says that it changes nothing
	Idempotent  bool // the server says that a second call does no more
	Destructive bool // the server does not say that it only adds
}

// Offers are the tools that the client offers, in the server's order.
func (c *Client) Offers() []Offer { return c.offer }

// providerName is a name with everything replaced that model providers refuse in a tool's name.
func providerName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
}

// toolName is the name that models are told. One that would be too long ends in a digest of the whole.
func toolName(server, name string) string {
	full := server + "_" + providerName(name)
	if len(full) <= maxToolName {
		return full
	}
	sum := sha256.Sum256([]byte(name))
	return full[:maxToolName-9] + "_" + hex.EncodeToString(sum[:4])
}

// makeTools makes tools of what a server lists.
func (c *Client) makeTools(l *link) error {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(c.spec.Tools)) {
		if l.tools[name] == nil {
			problems = append(problems, "it has no tool "+name+", which the configuration treats in its own way")
		}
	}
	for _, name := range c.spec.Only {
		if l.tools[name] == nil {
			problems = append(problems, "it has no tool "+name)
		}
	}
	taken := map[string]string{}
	for _, name := range l.order {
		if len(c.spec.Only) > 0 && !slices.Contains(c.spec.Only, name) {
			continue
		}
		made, problem := c.makeTool(l.tools[name])
		if other, ok := taken[made.Name]; ok {
			problem = "its tools " + other + " and " + name + " would both be named " + made.Name
		}
		taken[made.Name] = name
		if problem != "" {
			problems = append(problems, problem)
		}
		c.tools = append(c.tools, made)
	}
	if len(problems) == 0 {
		return nil
	}
	return fault.New(fault.Config, "mcptool.Connect", "MCP server %s: %s", c.spec.Name, strings.Join(problems, "; ")).
		WithTry("name the tools to use (only); it has: %s", strings.Join(l.order[:min(len(l.order), 40)], ", "))
}

func (c *Client) makeTool(t *mcp.Tool) (*agentkernel.Tool, string) {
	p := c.spec.Tools[t.Name].over(c.spec.Defaults)
	parameters, err := json.Marshal(t.InputSchema)
	var object map[string]any
	problem := ""
	if err != nil || json.Unmarshal(parameters, &object) != nil || object["type"] != "object" {
		problem = "the parameters of its tool " + t.Name + " are not a JSON Schema of type object"
	}
	r := &remote{c: c, name: t.Name}
	if problem == "" {
		if r.args, err = schema.Compile(parameters); err != nil { // the server checks, then
			c.spec.Logger.Warn("the parameters of an MCP tool cannot be checked here", "mcp_server", c.spec.Name, "tool", t.Name, "error", err)
		}
	}
	text := t.Description
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}
	made := &agentkernel.Tool{
		Name: toolName(c.spec.Name, t.Name), Description: text, Parameters: parameters,
		Effect: p.Effect, Refuses: p.Refuses, OnDoubt: p.OnDoubt, Timeout: p.Timeout, Approval: p.Approval,
		MaxResult: c.spec.MaxResult, Call: r.Call,
	}
	if made.Effect == "" {
		made.Effect = session.AtMostOnce
	}
	o := Offer{Tool: made.Name, Name: t.Name, Effect: made.Effect, Destructive: true}
	if a := t.Annotations; a != nil {
		o.ReadOnly, o.Idempotent = a.ReadOnlyHint, a.IdempotentHint
		o.Destructive = !a.ReadOnlyHint && (a.DestructiveHint == nil || *a.DestructiveHint)
	}
	c.offer = append(c.offer, o)
	return made, problem
}
