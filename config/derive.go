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

const openAIBaseURL = "https://api.openai.com/v1"

// derive fills what is still unset and whose default depends on other values.
func (l *loader) derive() {
	c := l.cfg
	for id, p := range c.Providers {
		at := "providers." + id
		if p.Type == "" && id == OpenAI && !c.isSet(at+".type") {
			p.Type = OpenAI
		}
		if p.Type == OpenAI {
			l.openAI(&p, at)
		}
		c.Providers[id] = p
	}
	for i := range c.Tools {
		t := &c.Tools[i]
		if t.HTTP != nil {
			defaultMethod(c, t.HTTP, fmt.Sprintf("tools.%d.http.method", i), "POST")
		}
		if t.Reconcile != nil {
			defaultMethod(c, &t.Reconcile.HTTP, fmt.Sprintf("tools.%d.reconcile.http.method", i), "GET")
		}
	}
}

func defaultMethod(c *Config, h *HTTP, path, method string) {
	if h.Method == "" && !c.isSet(path) {
		h.Method = method
	}
}

func (l *loader) openAI(p *Provider, at string) {
	from := &l.cfg.from
	if key := l.env[EnvOpenAIKey]; p.APIKey.IsZero() && key != "" {
		l.vault.hide(key)
		p.APIKey = NewSecret(key)
		from.set(at+".api_key", Source{Kind: FromEnv, Name: EnvOpenAIKey})
	}
	if !p.BaseURL.IsZero() {
		return
	}
	p.BaseURL = NewURL(openAIBaseURL)
	if base := l.env[EnvOpenAIBaseURL]; base != "" {
		p.BaseURL = NewURL(base)
		from.set(at+".base_url", Source{Kind: FromEnv, Name: EnvOpenAIBaseURL})
		if u, err := url.Parse(base); err == nil && u.User != nil {
			password, _ := u.User.Password()
			l.vault.hide(password)
		}
	}
}

func (c *Config) isSet(path string) bool {
	_, ok := c.from.at[path]
	return ok
}

// SessionTTL is how long an idle session is kept: session.<type>.ttl where it is given, else session.ttl.
func (c *Config) SessionTTL() time.Duration {
	own := map[string]time.Duration{SQLite: c.Session.SQLite.TTL, InMemory: c.Session.InMemory.TTL}[c.Session.Type]
	if own > 0 {
		return own
	}
	return c.Session.TTL
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

// EgressAllow is where tools may connect to: "host:port" of every URL of every tool (its reconcile included), then
// egress.allow as written. It is sorted within both parts and holds nothing twice.
func (c *Config) EgressAllow() []string {
	var own []string
	for _, t := range c.Tools {
		var requests []HTTP
		if t.HTTP != nil {
			requests = append(requests, *t.HTTP)
		}
		if t.Reconcile != nil {
			requests = append(requests, t.Reconcile.HTTP)
		}
		for _, h := range requests {
			if u, err := url.Parse(withoutPlaceholders(h.URL.Reveal())); err == nil && u.Host != "" {
				own = append(own, hostPort(u))
			}
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
		if p := c.Providers[id]; p.Type == OpenAI && p.APIKey.IsZero() {
			key := "providers." + id + ".api_key"
			all = append(all, Problem{
				Where: c.from.near(key).String(), Key: key, What: key + " is missing",
				Why: fmt.Sprintf("agent %s (agents.%d) uses it", a.Name, i), Try: "set " + EnvOpenAIKey + ", or " + VariableFor(key),
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
