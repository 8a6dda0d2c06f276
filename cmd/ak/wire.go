package main

import (
	"context"
	"encoding/json"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/anthropic"
	"github.com/agentkernel/agentkernel/model/bedrock"
	"github.com/agentkernel/agentkernel/model/gemini"
	"github.com/agentkernel/agentkernel/model/openai"
	"github.com/agentkernel/agentkernel/model/scripted"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/dynamodb"
	"github.com/agentkernel/agentkernel/store/memory"
	"github.com/agentkernel/agentkernel/store/postgres"
	"github.com/agentkernel/agentkernel/store/redis"
	"github.com/agentkernel/agentkernel/store/sqlite"
	httptool "github.com/agentkernel/agentkernel/tool/http"
)

// This file makes of a configuration what it describes. A new store, provider or kind of tool is one line here.

// openStore opens the configured store. Those that are servers connect when they are first asked something.
func openStore(ctx context.Context, cfg *config.Config) (session.Store, error) {
	switch s := cfg.Session; s.Type {
	case config.SQLite:
		if err := localOnly(s.SQLite.Path, diskOf); err != nil {
			return nil, err
		}
		return sqlite.Open(ctx, s.SQLite.Path, sqlite.Config{})
	case config.InMemory:
		return memory.New(), nil
	case config.Redis:
		return redis.Open(ctx, s.Redis.URL.Reveal(), redisConfig(s.Redis))
	case config.DynamoDB:
		return dynamodb.Open(ctx, s.DynamoDB.TableName, dynamodb.Config{Region: s.DynamoDB.Region, Endpoint: s.DynamoDB.Endpoint.Reveal()})
	case config.Postgres:
		p := s.Postgres
		return postgres.Open(ctx, p.URL.Reveal(), postgres.Config{Schema: p.Schema, MaxConns: int32(p.MaxConns), Standby: postgres.Standby(p.Standby)})
	}
	return nil, fault.New(fault.Config, "", "session.type %q is not in this build", cfg.Session.Type)
}

func redisConfig(c config.RedisStore) redis.Config {
	rc := redis.Config{Prefix: c.Prefix, Durability: redis.Level(c.Durability)}
	if rc.Durability == redis.Replicated { // at the other level there are none to wait for
		rc.Replicas = c.Replicas
	}
	return rc
}

// parts are the things that hold keys and secrets. They are made anew when those change.
type parts struct {
	models map[string]model.Provider
	tools  map[string]*agentkernel.Tool
	hooks  map[hookKey]agentkernel.Hook
	close  []func()
}

// hookKey names a hook: names are unique in an agent only.
type hookKey struct{ agent, hook string }

// makeParts makes the providers that an agent uses, and all tools.
func makeParts(cfg *config.Config) (*parts, error) {
	p := &parts{models: map[string]model.Provider{}, tools: map[string]*agentkernel.Tool{}, hooks: map[hookKey]agentkernel.Hook{}}
	for _, a := range cfg.Agents {
		id, _ := a.ProviderAndModel()
		if p.models[id] != nil {
			continue
		}
		provider, err := makeProvider(cfg.Providers[id])
		if err != nil {
			return nil, fault.New(fault.Config, "", "provider %s: %s", id, text(err)).WithTry("%s", fault.Try(err))
		}
		p.models[id] = provider
		if c, ok := provider.(interface{ Close() error }); ok {
			p.close = append(p.close, func() { _ = c.Close() })
		}
	}
	client, err := httptool.NewClient(cfg.EgressAllow())
	if err != nil {
		return nil, err
	}
	p.close = append(p.close, client.Close)
	for _, t := range cfg.Tools {
		if t.HTTP == nil {
			continue
		}
		tool, err := client.Tool(toolSpec(t))
		if err != nil {
			return nil, err
		}
		tool.Approval = approval(t.Approval)
		p.tools[t.Name] = tool
	}
	for _, a := range cfg.Agents {
		if err := p.makeHooks(a, client); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *parts) makeHooks(a config.Agent, client *httptool.Client) error {
	for _, list := range []struct {
		hooks []config.Hook
		make  func(httptool.HookSpec) (agentkernel.Hook, error)
	}{{a.Hooks.Before, client.HookBefore}, {a.Hooks.After, client.HookAfter}} {
		for _, h := range list.hooks {
			made, err := list.make(httptool.HookSpec{Name: h.Name, Request: toolRequest(h.HTTP), Timeout: h.Timeout})
			if err != nil {
				return err
			}
			p.hooks[hookKey{a.Name, h.Name}] = made
		}
	}
	return nil
}

// retire closes what is idle. Calls under way go on.
func (p *parts) retire() {
	for _, f := range p.close {
		f()
	}
}

func makeProvider(p config.Provider) (model.Provider, error) {
	key, base := p.APIKey.Reveal(), p.BaseURL.Reveal()
	switch p.Type {
	case config.OpenAI, config.OpenAICompatible:
		return openai.New(openai.Config{APIKey: key, BaseURL: base, Compatible: p.Type == config.OpenAICompatible})
	case config.Anthropic:
		return anthropic.New(anthropic.Config{APIKey: key, BaseURL: base})
	case config.Gemini:
		return gemini.New(gemini.Config{APIKey: key, BaseURL: base})
	case config.Bedrock:
		return bedrock.New(bedrock.Config{APIKey: key, BaseURL: base, Region: p.Region})
	case config.Scripted:
		script, err := readScript(p.Script)
		if err != nil {
			return nil, err
		}
		return scripted.New(scripted.Config{Script: script})
	}
	return nil, fault.New(fault.Config, "", "type %q is not in this build", p.Type)
}

// readScript reads a script for the scripted model; no path is the built-in one.
func readScript(path string) (*scripted.Script, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Config, "", "the script cannot be read: %w", err)
	}
	if !json.Valid(data) { // YAML, or a mistake
		var doc any
		if err := yaml.Unmarshal(data, &doc); err != nil {
			return nil, fault.New(fault.Config, "", "%s is neither JSON nor YAML: %w", path, err)
		}
		if data, err = json.Marshal(doc); err != nil {
			return nil, fault.New(fault.Config, "", "%s: %w", path, err)
		}
	}
	script, err := scripted.Parse(data)
	if err != nil {
		return nil, fault.New(fault.Config, "", "%s: %s", path, text(err))
	}
	return script, nil
}
