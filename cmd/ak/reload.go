package main

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/model"
)

// current is the parts in use. The kernel holds on to providers and tools that ask it at every call, so that keys and
// secrets are replaced while turns run; a call under way ends with what it began with.
type current struct{ parts atomic.Pointer[parts] }

func newCurrent(p *parts) *current {
	c := &current{}
	c.parts.Store(p)
	return c
}

// replace puts new parts in place of the ones in use.
func (c *current) replace(p *parts) { c.parts.Swap(p).retire() }

// models are the providers as the kernel holds them.
func (c *current) models() map[string]model.Provider {
	all := map[string]model.Provider{}
	for id := range c.parts.Load().models {
		all[id] = replaceable{c, id}
	}
	return all
}

// replaceable is the provider of an id, whichever that is now.
type replaceable struct {
	now *current
	id  string
}

func (r replaceable) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	return r.now.parts.Load().models[r.id].Generate(ctx, req, emit)
}

// tools are the tools as the kernel holds them.
func (c *current) tools() map[string]*agentkernel.Tool {
	all := map[string]*agentkernel.Tool{}
	for name, t := range c.parts.Load().tools {
		held := *t
		held.Call = func(ctx context.Context, call agentkernel.ToolCall) (string, error) {
			return c.parts.Load().tools[name].Call(ctx, call)
		}
		if t.Reconcile != nil {
			held.Reconcile = func(ctx context.Context, call agentkernel.ToolCall) (agentkernel.Finding, error) {
				return c.parts.Load().tools[name].Reconcile(ctx, call)
			}
		}
		all[name] = &held
	}
	return all
}

// hooks are an agent's hooks as the kernel holds them, those before it first.
func (c *current) hooks(a config.Agent) (all []agentkernel.Hook) {
	for _, h := range a.Hooks.Before {
		key := hookKey{a.Name, h.Name}
		all = append(all, agentkernel.Hook{Name: h.Name, Before: func(ctx context.Context, t *agentkernel.Turn) (agentkernel.Verdict, error) {
			return c.parts.Load().hooks[key].Before(ctx, t)
		}})
	}
	for _, h := range a.Hooks.After {
		key := hookKey{a.Name, h.Name}
		all = append(all, agentkernel.Hook{Name: h.Name, After: func(ctx context.Context, t *agentkernel.Turn, reply agentkernel.Reply) (agentkernel.Reply, error) {
			return c.parts.Load().hooks[key].After(ctx, t, reply)
		}})
	}
	return all
}

// reload takes keys, secrets and the log level from the configuration as it is now. Everything else stays as it was at
// the start; if it has changed, the log says that a restart is needed.
func (h *host) reload() {
	is, err := h.load()
	if err != nil {
		h.log.Error("the configuration was not reloaded; the old one stays", "error", err)
		return
	}
	parts, err := makeParts(withSecretsOf(h.cfg, is))
	if err != nil {
		h.log.Error("the secrets were not reloaded; the old ones stay", "error", err)
		return
	}
	if err := h.gate.reload(is.Auth); err != nil {
		parts.retire()
		h.log.Error("the secrets were not reloaded; the old ones stay", "error", err)
		return
	}
	h.now.replace(parts)
	h.level.Set(logLevel(is.Log.Level))
	rest := *is
	rest.Log.Level = h.cfg.Log.Level
	if is.Auth.Mode == h.cfg.Auth.Mode {
		rest.Auth.Keys = h.cfg.Auth.Keys
	}
	if rest.Digest() != h.cfg.Digest() {
		h.log.Warn("secrets and log level were reloaded; the configuration has other changes, which need a restart")
		return
	}
	h.log.Info("secrets and log level were reloaded")
}

// withSecretsOf is the configuration was with the keys and secrets of is, where they belong to the same things.
func withSecretsOf(was, is *config.Config) *config.Config {
	c := *was
	c.Providers = maps.Clone(was.Providers)
	for id, p := range c.Providers {
		if fresh, ok := is.Providers[id]; ok && fresh.Type == p.Type {
			p.APIKey = fresh.APIKey
			p.BaseURL = freshURL(p.BaseURL, fresh.BaseURL)
			c.Providers[id] = p
		}
	}
	c.Tools = slices.Clone(was.Tools)
	for i := range c.Tools {
		t := &c.Tools[i]
		fresh, ok := is.Tool(t.Name)
		if !ok {
			continue
		}
		if t.HTTP != nil && fresh.HTTP != nil {
			h := freshHTTP(*t.HTTP, *fresh.HTTP)
			t.HTTP = &h
		}
		if t.Reconcile != nil && fresh.Reconcile != nil {
			t.Reconcile = &config.Reconcile{HTTP: freshHTTP(t.Reconcile.HTTP, fresh.Reconcile.HTTP)}
		}
	}
	c.Agents = slices.Clone(was.Agents)
	for i := range c.Agents {
		a := &c.Agents[i]
		for _, fresh := range is.Agents {
			if fresh.Name == a.Name {
				a.Hooks.Before = freshHooks(a.Hooks.Before, fresh.Hooks.Before)
				a.Hooks.After = freshHooks(a.Hooks.After, fresh.Hooks.After)
			}
		}
	}
	return &c
}

func freshHooks(was, is []config.Hook) []config.Hook {
	was = slices.Clone(was)
	for i := range was {
		for _, fresh := range is {
			if fresh.Name == was[i].Name {
				was[i].HTTP = freshHTTP(was[i].HTTP, fresh.HTTP)
			}
		}
	}
	return was
}

// freshURL is the new URL if it differs from the old one in its secrets only.
func freshURL(was, is config.URL) config.URL {
	if was.String() == is.String() {
		return is
	}
	return was
}

func freshHTTP(was, is config.HTTP) config.HTTP {
	was.URL = freshURL(was.URL, is.URL)
	was.Headers = maps.Clone(was.Headers)
	for name := range was.Headers {
		if value, ok := is.Headers[name]; ok {
			was.Headers[name] = value
		}
	}
	return was
}
