package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Format is the layout that this package writes.
const Format = 1

// Store keeps sessions in Redis. Make one with [Open].
type Store struct {
	cfg  Config
	keys layout

	single     *goredis.Client        // of a server, or of the primary that sentinels name
	cluster    *goredis.ClusterClient // or this
	subscriber interface {
		Subscribe(ctx context.Context, channels ...string) *goredis.PubSub
	}

	checked atomic.Bool // the server's Meta was seen and fits
	made    atomic.Bool // and it was this store that wrote it, of which nobody was told yet

	mu      sync.RWMutex
	closed  bool
	running sync.WaitGroup     // commands and watchers
	ending  context.Context    // ended by Close
	end     context.CancelFunc //
}

var (
	_ session.Store       = (*Store)(nil)
	_ session.Watcher     = (*Store)(nil)
	_ session.Initializer = (*Store)(nil)
	_ session.Examiner    = (*Store)(nil)
)

// Durability declares what the level keeps.
func (s *Store) Durability() session.Durability {
	recent := session.Exposure{Loses: session.LosesRecent}
	d := session.Durability{
		Store: "redis", Level: string(s.cfg.Durability),
		ProcessCrash:  recent, // what is kept depends on the server's appendonly and appendfsync
		MachineCrash:  recent,
		Failover:      recent,
		DiskLoss:      session.Exposure{Loses: session.LosesAll},
		ZoneLoss:      session.Exposure{Loses: session.LosesAll},
		OperatorError: session.Exposure{Loses: session.NotCovered},
		Note:          "a failover loses what the new primary had not received; what a server keeps over a restart depends on its appendonly and appendfsync: ak doctor tells",
		AppendWrites:  1, // the script
		// None is read back; but a session's first append looks for a value of the kernel's predecessor.
		AppendReadBacks: 0,
	}
	if s.cfg.Durability == Replicated {
		d.AppendWrites = 2 // the script and WAIT
		d.DiskLoss, d.ZoneLoss = recent, recent
		d.Failover.Shown = "TestAKilledPrimaryLosesNothingThatReplicasHad"
		d.Note = fmt.Sprintf("an append counts when %d replica(s) have it in memory: tests that kill the primary lose nothing; a primary that was cut off and comes back can still lose what it acknowledged to nobody else, "+
			"and a zone is survived only by replicas in another one", s.cfg.Replicas)
	}
	return d
}

// Close ends all calls that run, and drops the connections. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.end()
	var err error
	if s.cluster != nil {
		err = s.cluster.Close()
	} else {
		err = s.single.Close()
	}
	s.running.Wait()
	if err != nil && !errors.Is(err, goredis.ErrClosed) {
		return classify("redis.Close", err)
	}
	return nil
}

// ready makes sure, before anything else is done, that the store was made as it is used now.
func (s *Store) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	if s.checked.Load() {
		return nil
	}
	_, made, err := s.readMeta(ctx, op, true)
	if made {
		s.made.Store(true)
	}
	return err
}

// replicated reports that what is written must be on replicas.
func (s *Store) replicated() bool { return s.cfg.Durability == Replicated }

// write runs a verb that changes something, and returns its answer's first word and all of it. The error of a verb that may
// have been carried out is of kind OutcomeUnknown; any other one wraps ErrNotSent or is a conflict.
func (s *Store) write(ctx context.Context, op string, v *verb, keys []string, args ...any) (string, error) {
	if err := s.ready(ctx, op); err != nil {
		return "", notSent(op, err)
	}
	c := &call{verb: v, keys: keys, args: args, wait: s.replicated()}
	s.do(ctx, s.cfg.OpTimeout, c)
	if c.err != nil {
		err := s.told(ctx, op, c.err)
		if !c.sent || refused(c.err) {
			return "", notSent(op, err)
		}
		return "", unknown(op, err)
	}
	word, _, ok := answer(c.reply)
	switch {
	case !ok:
		return "", unknown(op, odd(op))
	case word == "conflict":
		return word, conflict(op)
	case c.wait && c.acked < int64(s.cfg.Replicas):
		return word, unknown(op, fmt.Errorf("the primary has it, but only %d of %d replicas said so within %s", c.acked, s.cfg.Replicas, s.cfg.WaitTimeout))
	}
	return word, nil
}

// read runs a verb that only reads.
func (s *Store) read(ctx context.Context, op string, v *verb, keys []string, args ...any) (string, []any, error) {
	if err := s.ready(ctx, op); err != nil {
		return "", nil, err
	}
	c := &call{verb: v, keys: keys, args: args}
	s.do(ctx, s.cfg.OpTimeout, c)
	return s.readAnswer(ctx, op, c)
}

func (s *Store) readAnswer(ctx context.Context, op string, c *call) (string, []any, error) {
	if c.err != nil {
		return "", nil, s.told(ctx, op, c.err)
	}
	word, reply, ok := answer(c.reply)
	if !ok {
		return "", nil, odd(op)
	}
	if c.wait && c.acked < int64(s.cfg.Replicas) {
		return "", nil, fault.New(fault.Unavailable, op, "only %d of %d replicas have what was read", c.acked, s.cfg.Replicas).
			WithTry("see whether the replicas run and follow the primary")
	}
	return word, reply, nil
}

// told classifies the error of a command. When the caller's context has ended it says so, whatever the connection made of it;
// when only our own time is over, it is the server that is not available.
func (s *Store) told(ctx context.Context, op string, err error) error {
	if cause := ctx.Err(); cause != nil {
		if !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%v)", cause, err)
		}
		return &fault.Error{Op: op, Kind: fault.KindOf(cause), Err: err}
	}
	e := classify(op, err)
	if e.Kind == fault.Cancelled || e.Kind == fault.TimeoutTotal {
		e.Kind, e.Err = fault.Unavailable, fmt.Errorf("no answer within %s", s.cfg.OpTimeout)
		e.Msg = ""
	}
	return e
}

// answer is the first word of a script's answer, and what follows.
func answer(reply any) (string, []any, bool) {
	all, ok := reply.([]any)
	if !ok || len(all) == 0 {
		return "", nil, false
	}
	word, ok := all[0].(string)
	return word, all[1:], ok
}

// texts are the elements of a list of texts; nil counts as "".
func texts(v any) ([]string, bool) {
	all, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(all))
	for i, e := range all {
		if e == nil {
			continue
		}
		if out[i], ok = e.(string); !ok {
			return nil, false
		}
	}
	return out, true
}

// share of the time for an operation that one of its steps may take.
func (s *Store) share(n int) time.Duration { return s.cfg.OpTimeout / time.Duration(n) }
