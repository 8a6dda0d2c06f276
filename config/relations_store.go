package config

import (
	"reflect"
	"strings"
)

// store checks that the chosen store is told where it is, and that nobody believes to have chosen another one.
func (c *checker) store() {
	s := c.cfg.Session
	switch s.Type {
	case Redis:
		c.needed("session.redis.url", s.Redis.URL.IsZero(), "redis://127.0.0.1:6379/0")
	case DynamoDB:
		c.needed("session.dynamodb.table_name", s.DynamoDB.TableName == "", "agentkernel")
	case Postgres:
		c.needed("session.postgres.url", s.Postgres.URL.IsZero(), "postgres://user@127.0.0.1:5432/agentkernel")
	}
	c.storeURL("session.redis.url", reflect.TypeFor[RedisStore](), s.Redis.URL, "redis://user:password@127.0.0.1:6379/0")
	c.storeURL("session.postgres.url", reflect.TypeFor[PostgresStore](), s.Postgres.URL, "postgres://user:password@127.0.0.1:5432/agentkernel")
	const endpoint = "session.dynamodb.endpoint"
	if why := fixedURLFault(s.DynamoDB.Endpoint.Reveal()); !s.DynamoDB.Endpoint.IsZero() && why != "" {
		c.report(endpoint, "is no usable URL", why, "endpoint: http://127.0.0.1:4567")
	}
	for _, f := range fieldsOf(reflect.TypeFor[Session]()) {
		if at := "session." + f.name; isObject(f.typ) && f.name != "cache" && f.name != s.Type && c.touched(at) {
			c.warn(at + " has no effect: session.type is " + s.Type)
		}
	}
	const replicas = "session.redis.replicas"
	if s.Type == Redis && s.Redis.Durability == RedisAsync && c.cfg.isSet(replicas) {
		c.warn(replicas + " has no effect: session.redis.durability is " + RedisAsync + ", which waits for no replica")
	}
}

// needed reports a key without which the chosen store cannot be found.
func (c *checker) needed(path string, missing bool, example string) {
	if !missing {
		return
	}
	state := "is missing"
	if c.cfg.isSet(path) {
		state = "is empty"
	}
	c.report(path, state, "session.type is "+c.cfg.Session.Type, "set "+VariableFor(path)+", or "+setting(path, example))
}

// storeURL checks a store's address as far as it can be without its library, and without quoting it.
func (c *checker) storeURL(path string, section reflect.Type, u URL, example string) {
	f, _ := fieldNamed(section, "url")
	if why := storeURLFault(u.Reveal(), f.schemes); !u.IsZero() && why != "" {
		c.report(path, "is no usable URL", why, setting(path, example))
	}
}

// storeURLFault says what is wrong with a store's address, without quoting it; empty means nothing. There may be several
// hosts in it, so it is no URL for the standard library. A password with signs that end it early would be shown in part
// wherever the address is printed, so it is refused.
func storeURLFault(text string, schemes []string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	known := false
	for _, s := range schemes {
		known = known || scheme == s
	}
	end := strings.IndexAny(rest, "/?#")
	switch {
	case !known:
		return "it must begin with " + strings.Join(schemes, "://, ") + "://"
	case rest == "":
		return "it names no server"
	case strings.ContainsAny(rest, "{}"):
		return "nothing is put in for a {placeholder} here; in a password these are %7B and %7D"
	case strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "it holds a blank or a control character; in a password a blank is %20"
	case strings.Contains(rest, "#"):
		return "what follows # would be lost; in a password # is %23"
	case end >= 0 && strings.Contains(rest[end:], "@"):
		return "an @ stands behind the host; in a password / is %2F, ? is %3F and @ is %40"
	}
	return ""
}

// touched reports whether anything in a section was set.
func (c *checker) touched(section string) bool {
	for at := range c.cfg.from.at {
		if strings.HasPrefix(at, section+".") {
			return true
		}
	}
	return false
}

func (c *checker) warn(text string) { c.cfg.from.warnings = append(c.cfg.from.warnings, text) }
