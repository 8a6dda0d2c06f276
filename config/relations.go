package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/internal/schema"
)

// relations checks what no single value can be blamed for.
func (c *checker) relations() {
	c.listen()
	e := c.cfg.Execution
	if e.SweepInterval > e.LeaseTTL {
		at := "execution.sweep_interval"
		if !c.cfg.isSet(at) {
			at = "execution.lease_ttl"
		}
		c.report(at, "does not fit", fmt.Sprintf("sweep_interval (%s) must not be longer than lease_ttl (%s)",
			short(e.SweepInterval), short(e.LeaseTTL)), "sweep_interval: "+short(min(e.LeaseTTL/5, e.SweepInterval)))
	}
	for _, id := range slices.Sorted(maps.Keys(c.cfg.Providers)) {
		c.provider(id, c.cfg.Providers[id])
	}
	for i, entry := range c.cfg.Egress.Allow {
		if !validEgress(entry) {
			c.report("egress.allow."+strconv.Itoa(i), "is no place a tool could connect to",
				"it must be a host, host:port, *.domain, an address or a network", "api.example.com, or 10.0.0.0/8")
		}
	}
	c.tools()
	c.agents()
}

// listen refuses to open an API without authentication to other machines unless somebody wrote that down.
func (c *checker) listen() {
	host := c.cfg.API.Host
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "":
		c.report("api.host", "is empty", "that would listen everywhere without saying so", "host: 127.0.0.1")
		return
	case err != nil && !validHost(host):
		c.report("api.host", "is no host", "it must be a host name or an IP address, without port and brackets", "host: 127.0.0.1")
		return
	case err == nil && addr.IsLoopback(), strings.EqualFold(host, "localhost"):
		return
	}
	if !c.cfg.isSet("auth.mode") {
		c.report("api.host", "is not loopback", "everyone who reaches it could use every agent, and nothing says that this is meant",
			"host: 127.0.0.1, or auth: {mode: none} if the network keeps others out")
	}
}

func (c *checker) provider(id string, p Provider) {
	at := "providers." + id
	unused := func(key, only string) {
		if c.cfg.isSet(at + "." + key) {
			c.report(at+"."+key, "has no effect", "only providers of type "+only+" have one", "remove it")
		}
	}
	if p.Type == "" {
		if !c.cfg.isSet(at + ".type") {
			c.report(at+".type", "is missing", "only the id openai has a type by itself", "type: openai_compatible")
		}
		return
	}
	if p.Type == Scripted {
		unused("api_key", "openai or openai_compatible")
		unused("base_url", "openai or openai_compatible")
		return
	}
	unused("script", "scripted")
	switch why := urlFault(p.BaseURL.Reveal()); {
	case p.BaseURL.IsZero() && p.Type == OpenAICompatible:
		c.report(at+".base_url", "is missing", "a provider of type openai_compatible can be anywhere", "base_url: http://127.0.0.1:11434/v1")
	case !p.BaseURL.IsZero() && why != "":
		c.report(at+".base_url", "is no usable URL", why, "base_url: http://127.0.0.1:11434/v1")
	}
	if !validHeaderValue(p.APIKey.Reveal()) {
		c.report(at+".api_key", "cannot be sent", "it holds a line break or another control character", "write the key alone")
	}
}

func (c *checker) tools() {
	seen := map[string]int{}
	for i, t := range c.cfg.Tools {
		at := fmt.Sprintf("tools.%d", i)
		if first, twice := seen[t.Name]; twice && t.Name != "" {
			c.report(at+".name", fmt.Sprintf("is %q", t.Name), fmt.Sprintf("tools.%d has that name", first), "rename one of them")
		}
		seen[t.Name] = i
		parameters := c.parameters(t, at)
		if t.HTTP != nil {
			c.request(*t.HTTP, at+".http", parameters)
		}
		if t.Reconcile != nil {
			c.request(t.Reconcile.HTTP, at+".reconcile.http", parameters)
		}
		if t.Effect != AtMostOnce && slices.Contains([]string{ReadOnly, Idempotent}, t.Effect) {
			for _, key := range []string{"reconcile", "refuses", "on_doubt"} {
				if c.cfg.isSet(at+"."+key) && (key != "on_doubt" || t.OnDoubt != Ask) { // a print shows the default
					c.report(at+"."+key, "has no effect", "a "+t.Effect+" call is simply repeated and never in doubt",
						"remove it, or effect: at_most_once")
				}
			}
		}
	}
}

// idempotencyKey is the placeholder that is no parameter.
const idempotencyKey = "idempotency_key"

// parameters checks the schema and returns its properties; nil when they cannot be told.
func (c *checker) parameters(t Tool, at string) map[string]json.RawMessage {
	at += ".parameters"
	var s struct {
		Type       any                        `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_, err := schema.Compile(t.Parameters)
	if err != nil {
		c.report(at, "is no JSON Schema", err.Error(), "parameters: {type: object, properties: {city: {type: string}}}")
		return nil
	}
	if err := json.Unmarshal(t.Parameters, &s); err != nil || s.Type != "object" {
		c.report(at, "does not describe an object", "models give arguments by name", "type: object")
		return nil
	}
	if _, taken := s.Properties[idempotencyKey]; taken {
		c.report(at, "takes the name "+idempotencyKey, "that is the key of the call", "rename the parameter")
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
	"Idempotency-Key", "Ak-Epoch", "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade",
}

func (c *checker) request(h HTTP, at string, parameters map[string]json.RawMessage) {
	if template := h.URL.Reveal(); template != "" {
		if why := templateFault(template); why != "" {
			c.report(at+".url", "is no usable URL", why, "url: http://127.0.0.1:9001/path/{"+idempotencyKey+"}")
		} else if parameters != nil {
			c.placeholders(template, at+".url", parameters)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		path := at + ".headers." + name
		switch {
		case slices.Contains(ownHeaders, name):
			c.report(path, "cannot be set", "the kernel sets it", "remove it")
		case !validHeaderValue(h.Headers[name].Reveal()):
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
	}
}

func (c *checker) agentModel(a Agent, at string) {
	id, model := a.ProviderAndModel()
	_, ok := c.cfg.Providers[id]
	if ok || model == "" || c.unread("providers") {
		return
	}
	known := slices.Sorted(maps.Keys(c.cfg.Providers))
	why, try := "there are no providers", "providers: {"+id+": {}}"
	if len(known) > 0 {
		why = "there is " + strings.Join(known, ", ")
	}
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
	for i, name := range a.Tools {
		path := fmt.Sprintf("%s.tools.%d", at, i)
		if slices.Index(a.Tools, name) < i {
			c.report(path, fmt.Sprintf("is %q", name), "the list has it already", "remove one")
			continue
		}
		if slices.Contains(known, name) || c.unread("tools") {
			continue
		}
		why, try := "there are no tools", "add it under tools"
		if len(known) > 0 {
			why = "there is " + strings.Join(known, ", ")
		}
		if near, ok := nearest(name, known); ok {
			try = near
		}
		c.report(path, fmt.Sprintf("names the tool %q, which is not configured", name), why, try)
	}
}

// validEgress reports whether an entry of the allow-list can match anything.
func validEgress(entry string) bool {
	if _, err := netip.ParsePrefix(entry); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(entry); err == nil {
		return true
	}
	host := entry
	if h, port, err := net.SplitHostPort(entry); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return false
		}
		if _, err := netip.ParseAddr(h); err == nil {
			return true
		}
		host = h
	}
	return validHost(strings.TrimPrefix(host, "*."))
}
