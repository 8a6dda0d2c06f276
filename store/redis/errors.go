package redis

import (
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

var (
	errClosed    = errors.New("the store is closed")
	errAbandoned = errors.New("the caller has given up")
	errTwice     = errors.New("a command is not sent twice")
)

// refusals are replies with which a server declines a command before it runs, and a script at its first write, before which
// our scripts change nothing. Others prove nothing.
var refusals = []string{
	"NOSCRIPT ", "MOVED ", "ASK ", "TRYAGAIN ", "CROSSSLOT ", "CLUSTERDOWN ", "MASTERDOWN ", "READONLY ", "LOADING ", "NOREPLICAS ",
	"MISCONF ", "OOM ", "BUSY ", "NOAUTH ", "WRONGPASS ", "ERR max number of clients", "ERR unknown command", "ERR invalid password",
}

// refused reports that err is a reply which proves that the script changed nothing.
func refused(err error) bool {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := reply.Error()
	for _, r := range refusals {
		// Redis 6 puts the reply that ended a script behind a preface, Redis 7 gives it as it is.
		if strings.HasPrefix(text, r) || strings.HasPrefix(text, "ERR Error running script") && strings.Contains(text, ": -"+r) {
			return true
		}
	}
	// A user who may not run scripts is refused before; one who may not run a command inside is refused in the middle.
	return strings.HasPrefix(text, "NOPERM ") && !strings.Contains(text, "script")
}

// is reports that err is a reply that begins so.
func is(err error, prefix string) bool { return err != nil && goredis.HasErrorPrefix(err, prefix) }

// classify gives the error of a command a kind and advice.
func classify(op string, err error) *fault.Error {
	var e *fault.Error
	if errors.As(err, &e) {
		c := *e
		c.Op = op
		return &c
	}
	out := &fault.Error{Op: op, Kind: fault.Unavailable, Err: err}
	switch {
	case is(err, "NOAUTH"), is(err, "WRONGPASS"), is(err, "invalid password"), is(err, "NOPERM"):
		out.Try = "correct the user and the password in the URL, or what this user may do"
	case is(err, "OOM"):
		out.Try = "give the server more memory (maxmemory), or erase sessions"
	case is(err, "MISCONF"):
		out.Try = "the server cannot write to its disk: see its log"
	case is(err, "READONLY"):
		out.Try = "the server is a replica: name the primary, its sentinels, or the Cluster"
	case is(err, "WRONGTYPE"):
		out.Kind = fault.Corrupt
		out.Try = "another program uses keys under this prefix: configure another prefix"
	default:
		if k := fault.KindOf(err); k != fault.Unknown {
			out.Kind = k // the context ended
		}
	}
	return out
}

// notSent is the error of a write of which nothing was or will be written.
func notSent(op string, err error) error {
	e := classify(op, err)
	e.Err = fmt.Errorf("%w: %w", session.ErrNotSent, err)
	return e
}

// unknown is the error of a write that may have been done.
func unknown(op string, err error) error {
	return &fault.Error{Op: op, Kind: fault.OutcomeUnknown, Err: err}
}

func conflict(op string) error {
	return &fault.Error{Op: op, Kind: fault.Conflict, Err: session.ErrConflict}
}

func noValue(op string) error {
	return &fault.Error{Op: op, Kind: fault.NotFound, Err: session.ErrNoValue}
}

// odd is the error of a reply that no script of ours gives.
func odd(op string) error {
	return fault.New(fault.Corrupt, op, "the server's answer makes no sense").
		WithTry("see whether another program uses keys under this prefix")
}

// foreign is the error for a session that only the kernel's predecessor knows.
func foreign(op string, key session.Key) error {
	return fault.New(fault.Unreadable, op, "session %s is stored in the format of another program, as a value of its own under the prefix", key).
		WithTry("use another prefix, or move that key away once nothing needs it")
}
