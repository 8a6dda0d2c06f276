package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Level says when an append counts.
type Level string

// Levels.
const (
	Async      Level = "async"      // when the primary has it
	Replicated Level = "replicated" // when replicas have it too
)

// Config tunes a store. The zero value works.
type Config struct {
	Prefix     string // of every key and of the channel; "" means "ak:sessions:"
	Durability Level  // "" means async
	Replicas   int    // at level replicated: how many replicas must have a write; 0 means 1. A Cluster wants two per shard to survive one
	Buckets    int    // parts of the agenda, fixed when the store is made; 0 means 1024

	WaitTimeout time.Duration // how long replicas may take; 0 means 1 s. It must be shorter than OpTimeout
	DialTimeout time.Duration // to connect; 0 means 1 s
	OpTimeout   time.Duration // of a call in all, with waiting for a connection; 0 means 3 s
	Conns       int           // connections to each server, at most; 0 means 100
}

const maxBuckets = 9999 // what the names of buckets have room for

// check fills in defaults and reports everything that is wrong at once.
func (c Config) check() (Config, error) {
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("config: "+format, args...))
		}
	}
	wrong(strings.ContainsAny(c.Prefix, "{}\x00"), "Prefix must not contain braces: they decide where a Cluster keeps a key")
	wrong(c.Durability != "" && c.Durability != Async && c.Durability != Replicated, "Durability must be %s or %s, not %q", Async, Replicated, c.Durability)
	wrong(c.Replicas < 0, "Replicas must not be negative, it is %d", c.Replicas)
	wrong(c.Replicas > 0 && c.Durability != Replicated, "Replicas is for the level %s only", Replicated)
	wrong(c.Buckets < 0 || c.Buckets > maxBuckets, "Buckets must be from 1 to %d, it is %d", maxBuckets, c.Buckets)
	wrong(c.Conns < 0, "Conns must not be negative, it is %d", c.Conns)
	wrong(c.WaitTimeout < 0, "WaitTimeout must not be negative, it is %s", c.WaitTimeout)
	wrong(c.DialTimeout < 0, "DialTimeout must not be negative, it is %s", c.DialTimeout)
	wrong(c.OpTimeout < 0, "OpTimeout must not be negative, it is %s", c.OpTimeout)
	or := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	or(&c.OpTimeout, 3*time.Second)
	or(&c.WaitTimeout, min(time.Second, c.OpTimeout/2))
	or(&c.DialTimeout, time.Second)
	wrong(c.WaitTimeout >= c.OpTimeout && c.OpTimeout > 0, "WaitTimeout (%s) must be shorter than OpTimeout (%s)", c.WaitTimeout, c.OpTimeout)
	wrong(c.WaitTimeout > 0 && c.WaitTimeout < time.Millisecond, "WaitTimeout must be at least a millisecond")
	if c.Prefix == "" {
		c.Prefix = "ak:sessions:"
	}
	if c.Durability == "" {
		c.Durability = Async
	}
	if c.Durability == Replicated && c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Buckets == 0 {
		c.Buckets = 1024
	}
	if c.Conns == 0 {
		c.Conns = 100
	}
	return c, errors.Join(problems...)
}

// Open makes a store on the Redis that url names; see the package for the grammar. It connects to nothing: a server that is
// down makes a store whose calls fail, and which works when the server does. Errors are of kind Config and name everything
// that is wrong, but never quote the url.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	const op = "redis.Open"
	if err := ctx.Err(); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	cfg, problems := cfg.check()
	target, err := parse(url)
	if err := errors.Join(problems, err); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Config, Msg: strings.ReplaceAll(err.Error(), "\n", "; "), Err: err}
	}
	s := &Store{cfg: cfg, keys: layout{prefix: cfg.Prefix, buckets: cfg.Buckets}}
	s.ending, s.end = context.WithCancel(context.Background())
	s.dial(target)
	return s, nil
}

// meta is what the store is opened with.
func (s *Store) meta() session.Meta {
	return session.Meta{Format: Format, Generation: 1, Buckets: s.cfg.Buckets, Prefix: s.cfg.Prefix}
}
