package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/internal/schema"
)

func (c *checker) tools() {
	seen := map[string]int{}
	for i, t := range c.cfg.Tools {
		at := fmt.Sprintf("tools.%d", i)
		if first, twice := seen[t.Name]; twice && t.Name != "" {
			c.report(at+".name", fmt.Sprintf("is %q", t.Name), fmt.Sprintf("tools.%d has that name", first), "rename one of them")
		}
		seen[t.Name] = i
		if t.MCP != nil {
			c.server(t, at)
			continue
		}
		parameters := c.parameters(t, at)
		if t.HTTP != nil {
			c.request(*t.HTTP, at+".http", parameters)
		}
		if t.Reconcile != nil {
			c.request(t.Reconcile.HTTP, at+".reconcile.http", parameters)
		}
		c.neverInDoubt(t, at)
	}
}

// neverInDoubt refuses what only calls in doubt have, on a tool whose calls never are.
func (c *checker) neverInDoubt(t Tool, at string) {
	if !slices.Contains([]string{ReadOnly, Idempotent}, t.Effect) {
		return
	}
	for _, key := range []string{"reconcile", "refuses", "on_doubt"} {
		if c.cfg.isSet(at+"."+key) && (key != "on_doubt" || t.OnDoubt != Ask) { // a print shows the default
			c.report(at+"."+key, "has no effect", "a "+t.Effect+" call is simply repeated and never in doubt",
				"remove it, or effect: at_most_once")
		}
	}
}

// idempotencyKey is the placeholder that is no parameter.
const idempotencyKey = "idempotency_key"

// parameters checks the schema and returns its properties; nil when they cannot be told.
func (c *checker) parameters(t Tool, at string) map[string]json.RawMessage {
	at += ".parameters"
	properties := c.objectSchema(t.Parameters, at, "models give arguments by name")
	if _, taken := properties[idempotencyKey]; taken {
		c.report(at, "takes the name "+idempotencyKey, "that is the key of the call", "rename the parameter")
	}
	return properties
}

// objectSchema checks a schema that must describe an object, and returns its properties; nil when they cannot be told.
func (c *checker) objectSchema(raw json.RawMessage, at, because string) map[string]json.RawMessage {
	var s struct {
		Type       any                        `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_, err := schema.Compile(raw)
	if err != nil {
		c.report(at, "is no JSON Schema", err.Error(), lastPart(at)+": {type: object, properties: {city: {type: string}}}")
		return nil
	}
	if err := json.Unmarshal(raw, &s); err != nil || s.Type != "object" {
		c.report(at, "does not describe an object", because, "type: object")
		return nil
	}
	if s.Properties == nil {
		s.Properties = map[string]json.RawMessage{}
	}
	return s.Properties
}

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)

// withoutPlaceholders is a URL template as a URL.
func withoutPlaceholders(template string) string { return placeholder.ReplaceAllString(template, "x") }

// ownHeaders are set by the kernel or by the protocol.
var ownHeaders = []string{
	"Idempotency-Key", "Ak-Epoch", "Ak-Turn-Id", "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade",
}

func (c *checker) request(h HTTP, at string, parameters map[string]json.RawMessage) {
	if template := h.URL.Reveal(); template != "" {
		if why := templateFault(template); why != "" {
			c.report(at+".url", "is no usable URL", why, "url: http://127.0.0.1:9001/path/{"+idempotencyKey+"}")
		} else if parameters != nil {
			c.placeholders(template, at+".url", parameters)
		}
	}
	c.headers(h.Headers, at, ownHeaders)
}

// headers checks headers that are sent; taken are those that cannot be chosen.
func (c *checker) headers(all map[string]Secret, at string, taken []string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		path := join(at+".headers", keyPart(name))
		switch {
		case slices.Contains(taken, name):
			c.report(path, "cannot be set", "the kernel sets it", "remove it")
		case !validHeaderValue(all[name].Reveal()):
			c.report(path, "cannot be sent", "it holds a line break or another control character", "write it in one line")
		}
	}
}

func (c *checker) placeholders(template, at string, parameters map[string]json.RawMessage) {
	known := append(slices.Sorted(maps.Keys(parameters)), idempotencyKey)
	for _, m := range placeholder.FindAllStringSubmatch(template, -1) {
		if slices.Contains(known, m[1]) {
			continue
		}
		near, ok := nearest(m[1], known)
		if !ok {
			near = known[0]
		}
		c.report(at, "has the placeholder {"+m[1]+"}", "there is no such parameter; there is "+strings.Join(known, ", "), "{"+near+"}")
	}
}
