package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// derive fills what is still unset and whose default depends on other values.
func (l *loader) derive() {
	c := l.cfg
	for id, p := range c.Providers {
		at := "providers." + id
		if _, ok := vendors[id]; ok && p.Type == "" && !c.isSet(at+".type") {
			p.Type = id
		}
		l.provider(&p, at)
		c.Providers[id] = p
	}
	for i := range c.Tools {
		t := &c.Tools[i]
		at := fmt.Sprintf("tools.%d", i)
		if t.HTTP != nil {
			defaultMethod(c, t.HTTP, at+".http.method", "POST")
		}
		if t.Reconcile != nil {
			defaultMethod(c, &t.Reconcile.HTTP, at+".reconcile.http.method", "GET")
		}
		if t.MCP != nil && !c.isSet(at+".parameters") {
			t.Parameters = nil // the server says what they are
		}
	}
	for i, a := range c.Agents {
		for kind, hooks := range map[string][]Hook{"before": a.Hooks.Before, "after": a.Hooks.After} {
			for j := range hooks {
				defaultMethod(c, &hooks[j].HTTP, fmt.Sprintf("agents.%d.hooks.%s.%d.http.method", i, kind, j), "POST")
			}
		}
	}
}

func defaultMethod(c *Config, h *HTTP, path, method string) {
	if h.Method == "" && !c.isSet(path) {
		h.Method = method
	}
}

func (c *Config) isSet(path string) bool {
	_, ok := c.from.at[path]
	return ok
}

// SessionTTL is how long an idle session is kept: session.<type>.ttl where it is given, else session.ttl.
func (c *Config) SessionTTL() time.Duration {
	s := c.Session
	own := map[string]time.Duration{
		SQLite: s.SQLite.TTL, InMemory: s.InMemory.TTL, Redis: s.Redis.TTL, DynamoDB: s.DynamoDB.TTL, Postgres: s.Postgres.TTL,
	}[s.Type]
	if own > 0 {
		return own
	}
	return s.TTL
}

// IdempotencyTTL is how long an Idempotency-Key is remembered: execution.idempotency_ttl, but never longer than the
// session that it belongs to.
func (c *Config) IdempotencyTTL() time.Duration {
	return min(c.Execution.IdempotencyTTL, c.SessionTTL())
}

// Address is what the API listens on, as "host:port".
func (c *Config) Address() string {
	return net.JoinHostPort(c.API.Host, fmt.Sprint(c.API.Port))
}

// ProviderAndModel splits the agent's model: "openai/gpt-5-mini" is provider "openai" and model "gpt-5-mini". What
// follows the first slash may hold more of them.
func (a Agent) ProviderAndModel() (provider, model string) {
	provider, model, _ = strings.Cut(a.Model, "/")
	return provider, model
}

// Tool is the tool of a name, and whether there is one.
func (c *Config) Tool(name string) (Tool, bool) {
	i := slices.IndexFunc(c.Tools, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return Tool{}, false
	}
	return c.Tools[i], true
}

// EgressAllow is where tools may connect to: "host:port" of every URL of every tool (its reconcile included), of every
// MCP server and of every hook, then egress.allow as written. It is sorted within both parts and holds nothing twice.
func (c *Config) EgressAllow() []string {
	var own []string
	for _, target := range c.targets() {
		if u, err := url.Parse(withoutPlaceholders(target.Reveal())); err == nil && u.Host != "" {
			own = append(own, hostPort(u))
		}
	}
	slices.Sort(own)
	allow := slices.Clone(c.Egress.Allow)
	slices.Sort(allow)
	var out []string
	for _, entry := range append(own, allow...) {
		if !slices.Contains(out, entry) {
			out = append(out, entry)
		}
	}
	return out
}

// targets are the URLs that tools and hooks send requests to.
func (c *Config) targets() []URL {
	var all []URL
	for _, t := range c.Tools {
		if t.HTTP != nil {
			all = append(all, t.HTTP.URL)
		}
		if t.Reconcile != nil {
			all = append(all, t.Reconcile.HTTP.URL)
		}
		if t.MCP != nil {
			all = append(all, t.MCP.URL)
		}
	}
	for _, a := range c.Agents {
		for _, h := range slices.Concat(a.Hooks.Before, a.Hooks.After) {
			all = append(all, h.HTTP.URL)
		}
	}
	return all
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// CheckServe reports what a valid configuration still lacks to serve: an agent, and keys for the providers in use. The
// error is a fault.Error of kind Config that wraps [Problems].
func (c *Config) CheckServe() error {
	var all Problems
	if len(c.Agents) == 0 {
		all = append(all, Problem{
			Where: c.from.near("agents").String(), Key: "agents", What: "no agent is configured",
			Why: "there is nothing to serve",
			Try: "add agents: [{name: assistant, model: offline/demo}] and providers: {offline: {type: scripted}} to " + c.fileOrDefault(),
		})
	}
	for i, a := range c.Agents {
		id, _ := a.ProviderAndModel()
		p := c.Providers[id]
		if v := vendors[p.Type]; v.needsKey && p.APIKey.IsZero() {
			key := "providers." + id + ".api_key"
			all = append(all, Problem{
				Where: c.from.near(key).String(), Key: key, What: key + " is missing",
				Why: fmt.Sprintf("agent %s (agents.%d) uses it", a.Name, i), Try: "set " + v.keys[0] + ", or " + VariableFor(key),
			})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &fault.Error{Op: "config.CheckServe", Kind: fault.Config, Err: all, Try: all[0].Try}
}

func (c *Config) fileOrDefault() string {
	if c.from.file != "" {
		return c.from.file
	}
	return DefaultFile
}
