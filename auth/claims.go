package auth

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// claims are what a token says, by exact name.
type claims map[string]json.RawMessage

func parseClaims(payload []byte) (claims, error) {
	var c claims
	if json.Unmarshal(payload, &c) != nil || c == nil {
		return nil, unauthenticated("the token's content is not a JSON object")
	}
	return c, nil
}

// text is a JSON string; false when it is something else or missing.
func text(raw json.RawMessage) (s string, ok bool) {
	return s, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
}

// texts is a JSON string or a list of strings; nil when it is something else, even in part.
func texts(raw json.RawMessage) (list []string) {
	if s, ok := text(raw); ok {
		return []string{s}
	}
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// date is a NumericDate: seconds since 1970, maybe with a fraction.
func (c claims) date(name string) (at time.Time, given, ok bool) {
	raw, given := c[name]
	var seconds float64
	if !given || raw[0] == 'n' || json.Unmarshal(raw, &seconds) != nil || math.Abs(seconds) > 1e11 {
		return at, given, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true, true
}

// at is the claim of a name: one of that very name, else one inside of another, as realm_access.roles.
func (c claims) at(name string) json.RawMessage {
	if raw, ok := c[name]; ok {
		return raw
	}
	outer, rest, ok := strings.Cut(name, ".")
	var inner claims
	if !ok || json.Unmarshal(c[outer], &inner) != nil {
		return nil
	}
	return inner.at(rest)
}

// check is all that makes a signed token one for us, now.
func (j *JWT) check(c claims) error {
	if iss, _ := text(c["iss"]); iss != j.cfg.Issuer {
		return unauthenticated("the token is of another issuer").WithTry("get one from %s", j.cfg.Issuer)
	}
	if !slices.Contains(texts(c["aud"]), j.cfg.Audience) {
		return unauthenticated("the token is for another audience").WithTry("get one for the audience %s", j.cfg.Audience)
	}
	now := j.keys.now()
	expires, given, ok := c.date("exp")
	switch {
	case !given:
		return unauthenticated("the token does not say when it expires")
	case !ok:
		return unauthenticated("the token's exp is not a time")
	case now.After(expires.Add(j.cfg.Leeway)):
		return unauthenticated("the token expired %s ago", now.Sub(expires).Round(time.Second)).WithTry("get a new one")
	}
	for _, name := range []string{"nbf", "iat"} {
		from, given, ok := c.date(name)
		switch {
		case given && !ok:
			return unauthenticated("the token's %s is not a time", name)
		case given && from.After(now.Add(j.cfg.Leeway)):
			return unauthenticated("the token counts from %s on, in the future", from.Sub(now).Round(time.Second)).WithTry("compare the clocks of this server and of the provider")
		}
	}
	if sub, _ := text(c["sub"]); !subjectText(sub) {
		return unauthenticated("the token's sub must have 1 to %d printable characters", maxSubject)
	}
	return nil
}

// identity is who a good token is about.
func (j *JWT) identity(c claims) (Identity, error) {
	id := Identity{Roles: []string{string(User)}}
	id.Subject, _ = text(c["sub"])
	if name := j.cfg.TenantClaim; name != "" {
		// Without a tenant it would see what belongs to none.
		if id.Tenant, _ = text(c.at(name)); !idText(id.Tenant) {
			return Identity{}, fault.New(fault.Forbidden, "", "the token's claim %s does not name a tenant", name).
				WithTry("have the provider set it: 1 to %d characters out of letters, digits and -._:@+=", maxTenant)
		}
	}
	if name := j.cfg.RolesClaim; name != "" {
		names := texts(c.at(name))
		if len(names) == 1 {
			names = strings.Fields(names[0])
		}
		id.Roles = named(names)
	}
	return id, nil
}
