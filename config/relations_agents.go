package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (c *checker) agents() {
	seen := map[string]int{}
	for i, a := range c.cfg.Agents {
		at := fmt.Sprintf("agents.%d", i)
		if first, twice := seen[a.Name]; twice && a.Name != "" {
			c.report(at+".name", fmt.Sprintf("is %q", a.Name), fmt.Sprintf("agents.%d has that name", first), "rename one of them")
		}
		seen[a.Name] = i
		c.agentModel(a, at)
		c.agentTools(a, at)
		c.peers(a, at, "handoffs", a.Handoffs)
		c.peers(a, at, "subagents", a.Subagents)
		c.hooks(a, at)
		if len(a.OutputSchema) > 0 {
			c.objectSchema(a.OutputSchema, at+".output_schema", "a reply is an object with names for its parts")
		}
		if prices := join("models", keyPart(a.Model)) + ".price."; a.Limits.Money > 0 &&
			!c.cfg.isSet(prices+"input") && !c.cfg.isSet(prices+"output") {
			c.report(at+".limits.money", "cannot be kept", "nothing says what "+a.Model+" costs",
				fmt.Sprintf("models: {%q: {price: {input: 0.25, output: 2}}}, in dollars per million tokens", a.Model))
		}
	}
	c.cycles()
}

func (c *checker) agentModel(a Agent, at string) {
	id, model := a.ProviderAndModel()
	_, ok := c.cfg.Providers[id]
	if ok || model == "" || c.unread("providers") {
		return
	}
	known := slices.Sorted(maps.Keys(c.cfg.Providers))
	why, try := one("providers", known), "providers: {"+id+": {}}"
	if near, ok := nearest(id, known); ok {
		try = "model: " + near + "/" + model
	}
	c.report(at+".model", fmt.Sprintf("names the provider %q, which is not configured", id), why, try)
}

func (c *checker) agentTools(a Agent, at string) {
	var known []string
	for _, t := range c.cfg.Tools {
		if t.Name != "" && !slices.Contains(known, t.Name) {
			known = append(known, t.Name)
		}
	}
	c.references(a.Tools, at+".tools", "tool", known)
}

// references checks a list of names of things that are configured elsewhere: what is "tool" or "agent".
func (c *checker) references(names []string, at, what string, known []string) {
	for i, name := range names {
		path := fmt.Sprintf("%s.%d", at, i)
		if slices.Index(names, name) < i {
			c.report(path, fmt.Sprintf("is %q", name), "the list has it already", "remove one")
			continue
		}
		if slices.Contains(known, name) || c.unread(what+"s") {
			continue
		}
		try := "add it under " + what + "s"
		if near, ok := nearest(name, known); ok {
			try = near
		}
		c.report(path, fmt.Sprintf("names the %s %q, which is not configured", what, name), one(what+"s", known), try)
	}
}

// peers checks the other agents that an agent may turn to.
func (c *checker) peers(a Agent, at, key string, names []string) {
	var known []string
	for _, other := range c.cfg.Agents {
		if other.Name != "" {
			known = append(known, other.Name)
		}
	}
	c.references(names, at+"."+key, "agent", known)
	if i := slices.Index(names, a.Name); i >= 0 && a.Name != "" {
		c.report(fmt.Sprintf("%s.%s.%d", at, key, i), "is the agent itself", "it would only ask itself", "remove it")
	}
}

// cycles finds agents that would ask each other without end.
func (c *checker) cycles() {
	index := map[string]int{}
	for i, a := range c.cfg.Agents {
		index[a.Name] = i
	}
	const entered, left = 1, 2
	state := make([]int, len(c.cfg.Agents))
	var way []string
	var visit func(i int)
	visit = func(i int) {
		a := c.cfg.Agents[i]
		state[i] = entered
		way = append(way, a.Name)
		for n, name := range a.Subagents {
			next, ok := index[name]
			switch {
			case !ok || name == a.Name: // told elsewhere
			case state[next] == entered:
				round := append(slices.Clone(way[slices.Index(way, name):]), name)
				c.report(fmt.Sprintf("agents.%d.subagents.%d", i, n), "closes a circle", strings.Join(round, " asks ")+", without end", "remove one of them, or use handoffs")
			case state[next] != left:
				visit(next)
			}
		}
		way = way[:len(way)-1]
		state[i] = left
	}
	for i := range c.cfg.Agents {
		if state[i] == 0 {
			visit(i)
		}
	}
}

// hooks checks the services that are asked about an agent's turns.
func (c *checker) hooks(a Agent, at string) {
	seen := map[string]string{}
	for _, group := range []struct {
		name  string
		hooks []Hook
	}{{"before", a.Hooks.Before}, {"after", a.Hooks.After}} {
		for i, h := range group.hooks {
			path := fmt.Sprintf("%s.hooks.%s.%d", at, group.name, i)
			if first, twice := seen[h.Name]; twice && h.Name != "" {
				c.report(path+".name", fmt.Sprintf("is %q", h.Name), first+" has that name", "rename one of them")
			}
			seen[h.Name] = path
			if why := fixedURLFault(h.HTTP.URL.Reveal()); !h.HTTP.URL.IsZero() && why != "" {
				c.report(path+".http.url", "is no usable URL", why, "url: http://127.0.0.1:9001/hook")
			}
			if slices.Contains([]string{"GET", "PUT", "PATCH", "DELETE"}, h.HTTP.Method) {
				c.report(path+".http.method", fmt.Sprintf("is %q", h.HTTP.Method), "hooks are asked with POST", "method: POST")
			}
			c.headers(h.HTTP.Headers, path+".http", hookHeaders)
		}
	}
}

// hookHeaders are those of a hook's request that cannot be chosen.
var hookHeaders = append([]string{"Content-Type"}, ownHeaders...)
