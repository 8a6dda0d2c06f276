package config

import (
	"fmt"
	"maps"
	"slices"
)

// protocolHeaders are set by the Model Context Protocol's transport.
var protocolHeaders = append([]string{
	"Accept", "Content-Type", "Last-Event-Id", "Mcp-Protocol-Version", "Mcp-Session-Id",
}, ownHeaders...)

// server checks a tool that stands for the tools of an MCP server.
func (c *checker) server(t Tool, at string) {
	m, entry := t.MCP, at
	for key, why := range map[string]string{
		"parameters": "the server says what its tools' parameters are",
		"reconcile":  "a call of an MCP tool is no request that could be asked about",
	} {
		if c.cfg.isSet(at + "." + key) {
			c.report(at+"."+key, "is not for MCP servers", why, "remove it")
		}
	}
	at += ".mcp"
	if len(m.Command) > 0 {
		if m.Command[0] == "" {
			c.report(at+".command.0", "is empty", "it is the program that is started", "command: [program, argument]")
		}
		if len(m.Headers) > 0 {
			c.report(at+".headers", "has no effect", "a program that is started takes none", "remove it, or give url in place of command")
		}
	} else if len(m.Env) > 0 {
		c.report(at+".env", "has no effect", "no program is started", "remove it, or give command in place of url")
	}
	if why := fixedURLFault(m.URL.Reveal()); !m.URL.IsZero() && why != "" {
		c.report(at+".url", "is no usable URL", why, "url: https://tools.example.com/mcp")
	}
	c.headers(m.Headers, at, protocolHeaders)
	for i, name := range m.Only {
		path := fmt.Sprintf("%s.only.%d", at, i)
		if _, why := mapKey(field{keys: "tool"}, name); why != "" {
			c.report(path, "is no usable name", why, "write the name as the server has it")
		} else if slices.Index(m.Only, name) < i {
			c.report(path, fmt.Sprintf("is %q", name), "the list has it already", "remove one")
		}
	}
	c.each(t, entry)
}

// each checks what differs for single tools of a server.
func (c *checker) each(t Tool, entry string) {
	inDoubt := t.Effect == AtMostOnce
	for _, name := range slices.Sorted(maps.Keys(t.MCP.Each)) {
		one, path := t.MCP.Each[name], join(entry+".mcp.each", keyPart(name))
		if len(t.MCP.Only) > 0 && !slices.Contains(t.MCP.Only, name) {
			try := "remove it, or add it to only"
			if near, ok := nearest(name, t.MCP.Only); ok {
				try = near
			}
			c.report(path, "has no effect", "only does not have that tool, so it is not offered", try)
		}
		effect := t.Effect
		if one.Effect != "" {
			effect = one.Effect
		}
		if effect == AtMostOnce {
			inDoubt = true
			continue
		}
		for key, given := range map[string]bool{"refuses": one.Refuses != "", "on_doubt": one.OnDoubt != ""} {
			if given && slices.Contains([]string{ReadOnly, Idempotent}, effect) {
				c.report(path+"."+key, "has no effect", "a "+effect+" call is simply repeated and never in doubt", "remove it, or effect: at_most_once")
			}
		}
	}
	if !inDoubt {
		c.neverInDoubt(t, entry)
	}
}
