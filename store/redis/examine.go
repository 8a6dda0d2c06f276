package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/session"
)

// maxSkew is how far a server's clock may be from ours before someone should know. Nothing that must be right depends on it.
const maxSkew = time.Second

// Examine judges the set-up of each primary; see session.Examiner.
func (s *Store) Examine(ctx context.Context) ([]session.Finding, error) {
	const op = "redis.Examine"
	if err := ctx.Err(); err != nil {
		return nil, classify(op, err)
	}
	limited, cancel := context.WithTimeout(ctx, s.cfg.OpTimeout)
	defer cancel()
	if err := s.begin(); err != nil {
		return nil, classify(op, err)
	}
	defer s.running.Done()
	var all []session.Finding
	err := s.each(limited, func(c *goredis.Client) error {
		e := exam{s: s}
		if s.cluster != nil {
			e.where = " at " + c.Options().Addr
		}
		err := e.server(limited, c)
		all = append(all, e.found...)
		return err
	})
	if err != nil && len(all) == 0 {
		return nil, s.told(ctx, op, err)
	}
	if err != nil {
		all = append(all, session.Finding{
			Check: "reachable", Severity: session.FindingFail,
			Text: "a primary of the Cluster does not answer: " + err.Error(), Try: "see whether it runs",
		})
	}
	return all, nil
}

// exam looks at one server.
type exam struct {
	s     *Store
	where string
	info  map[string]string
	found []session.Finding
}

func (e *exam) note(check string, severity session.Severity, try, format string, args ...any) {
	e.found = append(e.found, session.Finding{Check: check, Severity: severity, Text: fmt.Sprintf(format, args...) + e.where, Try: try})
}

func (e *exam) server(ctx context.Context, c *goredis.Client) error {
	before := time.Now()
	now, err := c.Time(ctx).Result()
	after := time.Now()
	if err != nil && !answered(err) {
		return err
	}
	if err == nil {
		e.clock(now, before, after)
	}
	e.info = map[string]string{}
	text, err := c.Info(ctx).Result()
	if err != nil {
		if !answered(err) {
			return err
		}
		e.note("info", session.FindingWarn, "let this user run INFO, or look at version, memory, persistence and replicas yourself", "INFO is not allowed")
		return nil
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			e.info[name] = value
		}
	}
	e.version()
	e.eviction()
	e.persistence(ctx, c)
	e.replicas()
	return nil
}

// clock takes the middle of the round trip for the moment at which the server looked at its clock.
func (e *exam) clock(server, before, after time.Time) {
	skew := server.Sub(before.Add(after.Sub(before) / 2)).Abs()
	if skew > maxSkew+after.Sub(before) {
		e.note("clock", session.FindingWarn, "synchronise both clocks", "the server's clock is %s away from this machine's", skew.Round(time.Millisecond))
		return
	}
	e.note("clock", session.FindingOK, "", "the server's clock agrees with this machine's")
}

func (e *exam) version() {
	v := e.info["redis_version"]
	major, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	switch {
	case err1 != nil || err2 != nil:
		e.note("version", session.FindingWarn, "use Redis 6.2 or newer, or what behaves like it", "the server does not tell its version")
	case a < 6 || a == 6 && b < 2:
		e.note("version", session.FindingFail, "use Redis 6.2 or newer", "the server is Redis %s", v)
	default:
		e.note("version", session.FindingOK, "", "the server is Redis %s", v)
	}
}

// eviction: with a limit of memory, every policy but one drops sessions, since those that are idle have an expiry.
func (e *exam) eviction() {
	limit, policy := e.info["maxmemory"], e.info["maxmemory_policy"]
	switch {
	case limit == "" || policy == "":
		e.note("eviction", session.FindingWarn, "see to it that maxmemory-policy is noeviction", "the server does not tell what it does when its memory is full")
	case policy == "noeviction":
		e.note("eviction", session.FindingOK, "", "nothing is dropped when memory is full (noeviction)")
	case limit == "0":
		e.note("eviction", session.FindingWarn, "set maxmemory-policy noeviction before anyone sets a limit",
			"maxmemory-policy is %s; there is no limit of memory now", policy)
	default:
		e.note("eviction", session.FindingFail, "set maxmemory-policy noeviction", "the server drops sessions when its memory is full (%s)", policy)
	}
}

func (e *exam) persistence(ctx context.Context, c *goredis.Client) {
	settings := map[string]string{}
	for _, name := range []string{"appendfsync", "save"} {
		got, err := c.ConfigGet(ctx, name).Result()
		if err != nil {
			e.note("config", session.FindingWarn, "look at appendfsync and save where the service is managed", "CONFIG is not allowed here")
			break
		}
		settings[name] = got[name]
	}
	aof, sync, known := e.info["aof_enabled"], settings["appendfsync"], len(settings) == 2
	switch {
	case aof == "1" && sync == "always":
		e.note("persistence", session.FindingOK, "", "every write is on the disk before it is answered")
	case aof == "1":
		e.note("persistence", session.FindingOK, "", "the server writes a log (appendfsync %s): a restart may lose about the last second", orUnknown(sync))
	case known && settings["save"] != "":
		e.note("persistence", session.FindingWarn, "set appendonly yes", "the server saves only now and then (save %s): a restart loses what came since", settings["save"])
	default:
		e.note("persistence", session.FindingWarn, "set appendonly yes", "the server writes no log: a restart of it alone may lose every session")
	}
	if e.info["aof_enabled"] == "1" && e.info["aof_last_write_status"] == "err" || e.info["rdb_last_bgsave_status"] == "err" {
		e.note("disk", session.FindingFail, "see the server's log", "the server could not write to its disk the last time")
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (e *exam) replicas() {
	if role := e.info["role"]; role != "master" {
		e.note("role", session.FindingFail, "name the primary, its sentinels, or the Cluster", "the server is no primary (%s)", orUnknown(role))
		return
	}
	online := 0
	for name, value := range e.info {
		if strings.HasPrefix(name, "slave") && strings.Contains(value, "state=online") {
			online++
		}
	}
	want := e.s.cfg.Replicas
	switch {
	case e.s.replicated() && online < want:
		e.note("replicas", session.FindingFail, "start replicas, or lower session.redis.replicas", "%d replica(s) follow, the level replicated wants %d: no append counts", online, want)
	case e.s.replicated() && online == want:
		e.note("replicas", session.FindingWarn, "run one more, so that one may fail", "%d replica(s) follow, all of which must have every append", online)
	case online == 0:
		e.note("replicas", session.FindingWarn, "run a replica, and sentinels or a Cluster", "no replica follows: nothing takes over from the server")
	default:
		e.note("replicas", session.FindingOK, "", "%d replica(s) follow", online)
	}
}
