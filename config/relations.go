package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// relations checks what no single value can be blamed for.
func (c *checker) relations() {
	c.listen()
	c.admin()
	c.auth()
	c.retention()
	c.store()
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
	c.models()
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

// retention keeps the records that answer a repeated request at least as long as it may be repeated.
func (c *checker) retention() {
	keep, keys := c.cfg.Session.Retention, c.cfg.IdempotencyTTL()
	if keep >= keys {
		return
	}
	at, try := "session.retention", "retention: "+short(keys)
	if !c.cfg.isSet(at) {
		at, try = "execution.idempotency_ttl", "idempotency_ttl: "+short(keep)
	}
	c.report(at, "does not fit", fmt.Sprintf("session.retention (%s) must not be shorter than execution.idempotency_ttl (%s)",
		short(keep), short(keys)), try)
}

func (c *checker) provider(id string, p Provider) {
	at := "providers." + id
	if p.Type == "" {
		if !c.cfg.isSet(at + ".type") {
			c.report(at+".type", "is missing", "only the ids openai, anthropic, gemini and bedrock have a type by themselves", "type: openai_compatible")
		}
		return
	}
	for key, has := range map[string]bool{
		"api_key": p.Type != Scripted, "base_url": p.Type != Scripted, "script": p.Type == Scripted, "region": p.Type == Bedrock,
	} {
		if !has && c.cfg.isSet(at+"."+key) {
			c.report(at+"."+key, "has no effect", "a provider of type "+p.Type+" has none", "remove it")
		}
	}
	if p.Type == Scripted {
		return
	}
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

// models checks that what is said about models is about models that there are.
func (c *checker) models() {
	var used []string
	for _, a := range c.cfg.Agents {
		used = append(used, a.Model)
	}
	for _, id := range slices.Sorted(maps.Keys(c.cfg.Models)) {
		at := join("models", keyPart(id))
		provider, model, _ := strings.Cut(id, "/")
		if _, ok := c.cfg.Providers[provider]; !ok && !c.unread("providers") {
			known := slices.Sorted(maps.Keys(c.cfg.Providers))
			why, try := one("providers", known), "remove it"
			if near, ok := nearest(provider, known); ok {
				try = near + "/" + model
			}
			c.report(at, fmt.Sprintf("names the provider %q, which is not configured", provider), why, try)
			continue
		}
		if slices.Contains(used, id) || c.unread("agents") {
			continue
		}
		text := at + " has no effect: no agent has that model"
		if near, ok := nearest(id, used); ok {
			text += "; the nearest that one has is " + near
		}
		c.cfg.from.warnings = append(c.cfg.from.warnings, text)
	}
}

// one says which things there are.
func one(what string, known []string) string {
	if len(known) == 0 {
		return "there are no " + what
	}
	return "there is " + strings.Join(known, ", ")
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
