package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// admin keeps the listener that asks nobody who they are on loopback.
func (c *checker) admin() {
	a := c.cfg.Admin
	if !loopback(a.Host) {
		c.report("admin.host", "is not loopback", "profiles show what is in memory, and nobody is asked who they are", "host: 127.0.0.1")
	}
	if a.Port != 0 && a.Port == c.cfg.API.Port {
		c.report("admin.port", "is the port of the API", "api.port is "+fmt.Sprint(a.Port)+" too", "port: 6060")
	}
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// auth checks that the chosen mode has what it needs, and that nothing stands there which no mode would use: a key that
// is written and not asked for looks like protection.
func (c *checker) auth() {
	a := c.cfg.Auth
	c.authKeys(a.Keys)
	if !slices.Contains([]string{NoAuth, APIKeyAuth, JWTAuth}, a.Mode) {
		return
	}
	switch {
	case a.Mode == APIKeyAuth && len(a.Keys) == 0:
		c.report("auth.keys", "is missing", "auth.mode is api_key, and without a key nobody could call", "keys: [{id: first, hash: …}]; ak auth key makes a key and its hash")
	case a.Mode != APIKeyAuth && len(a.Keys) > 0:
		c.report("auth.keys", "has no effect", "auth.mode is "+a.Mode+", so no key would be asked for", "auth: {mode: api_key, keys: […]}, or remove the keys")
	}
	c.jwt(a)
}

func (c *checker) authKeys(keys []AuthKey) {
	ids, hashes := map[string]int{}, map[string]int{}
	for i, k := range keys {
		at := fmt.Sprintf("auth.keys.%d", i)
		if first, twice := ids[k.ID]; twice && k.ID != "" {
			c.report(at+".id", fmt.Sprintf("is %q", k.ID), fmt.Sprintf("auth.keys.%d has that id", first), "rename one of them")
		}
		if first, twice := hashes[k.Hash]; twice && k.Hash != "" {
			c.report(at+".hash", "comes twice", fmt.Sprintf("auth.keys.%d has it too, and a key belongs to one entry", first), "remove one, or make another key with ak auth key")
		}
		if len(k.Roles) == 0 {
			c.report(at+".roles", "is empty", "a caller without a role could do nothing", "roles: [user]")
		}
		ids[k.ID], hashes[k.Hash] = i, i
	}
}

func (c *checker) jwt(a Auth) {
	j := a.JWT
	needs := a.Mode == JWTAuth
	for _, f := range []struct {
		key, value string
		required   bool
		example    string
	}{
		{"issuer", j.Issuer, true, "issuer: https://login.example.com"},
		{"audience", j.Audience, true, "audience: agents"},
		{"jwks_url", j.JWKSURL.Reveal(), false, ""},
		{"tenant_claim", j.TenantClaim, false, ""},
		{"roles_claim", j.RolesClaim, false, ""},
	} {
		at := "auth.jwt." + f.key
		switch {
		case needs && f.required && f.value == "":
			c.report(at, "is missing", "auth.mode is jwt, and tokens of anybody, for anybody, would be believed", f.example)
		case !needs && f.value != "":
			c.report(at, "has no effect", "auth.mode is "+a.Mode+", so no token would be asked for", "auth: {mode: jwt, jwt: {…}}, or remove it")
		}
	}
	if len(j.Algorithms) == 0 {
		c.report("auth.jwt.algorithms", "is empty", "no signature would be believed", "algorithms: [RS256, ES256]")
	}
	if why := fixedURLFault(j.Issuer); j.Issuer != "" && why != "" {
		c.report("auth.jwt.issuer", "is no usable URL", why, "issuer: https://login.example.com")
	}
	if why := fixedURLFault(j.JWKSURL.Reveal()); !j.JWKSURL.IsZero() && why != "" {
		c.report("auth.jwt.jwks_url", "is no usable URL", why, "jwks_url: https://login.example.com/keys")
	}
	for _, f := range []struct{ key, value string }{{"issuer", j.Issuer}, {"jwks_url", j.JWKSURL.Reveal()}} {
		if u, err := url.Parse(f.value); needs && err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			c.cfg.from.warnings = append(c.cfg.from.warnings,
				"auth.jwt."+f.key+" begins with http://: whoever is on the way there can make tokens; use https://")
		}
	}
}
