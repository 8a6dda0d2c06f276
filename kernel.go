package agentkernel

import (
	"container/list"
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/clock"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/internal/proc"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Config is what a kernel serves and how. Agents is required; every other zero field has the default its comment names.
type Config struct {
	Agents []*Agent                  // the first one answers requests that name none
	Models map[string]model.Provider // by the name in front of the slash of Agent.Model

	ModelInfo map[string]ModelInfo // by Agent.Model: windows and prices

	LeaseTTL       time.Duration // after so long without a beat a replica counts as dead, 5s
	SweepInterval  time.Duration // how often it looks for work that nobody does, 1s
	MaxRecoveries  int           // takeovers of a turn without progress before it is quarantined, 3
	MaxRunning     int           // turns running here at a time, 256
	IdempotencyTTL time.Duration // how long an idempotency key is remembered, 24h
	SessionTTL     time.Duration // how long an idle session is kept, 7 days; negative keeps it for ever
	Retention      time.Duration // how long records that a snapshot covers are kept, 7 days, at least IdempotencyTTL; negative keeps them for ever
	SessionBytes   int64         // bytes of files and long results that a session may hold before it takes no more files, 256 MiB
	SnapshotEvery  int           // records between two snapshots of a session, 256
	WaitMax        time.Duration // how long a turn waits for a person, 24h
	StoreTimeout   time.Duration // for one store operation, 5s
	CacheSize      int           // sessions kept folded in memory, 256
	AcceptLoss     bool          // allow at-most-once tools over a store that may lose acknowledged writes

	Scratch session.Store // a memory store, for agents that answer while the store does not; see Stateless

	Zone     string // shown to operators
	Version  string // shown to operators
	Digest   string // of the configuration, shown to operators
	Logger   *slog.Logger
	Observer Observer

	// Failpoints is for this module's own tests.
	Failpoints *failpoint.Set
	boot       func() time.Duration
}

// Kernel hosts agents over a store. Several kernels, in one process or many, share the work of one store.
type Kernel struct {
	cfg     Config
	store   *gate
	scratch *Kernel // answers without the store, nil when no agent wants that
	id      string  // of this replica, new at every start
	log     *slog.Logger
	obs     Observer
	fp      *failpoint.Set

	process proc.ID // this one, where all replicas are on one machine

	ctx    context.Context // ends when the kernel closes, with the cause
	cancel context.CancelCauseFunc
	life   sync.Mutex // orders the start of goroutines against Close
	wg     sync.WaitGroup

	mu       sync.Mutex
	sessions map[session.Key]*journal
	lru      *list.List // of *journal, most recently used first

	running   atomic.Int64  // sessions owned here, each runs one turn
	starved   atomic.Bool   // work was left for later because there was no room
	lease     atomic.Int64  // until when this replica may dispatch, on the boot clock
	term      atomic.Uint64 // goes up whenever the lease had lapsed
	peers     peers
	follow    following
	phase     atomic.Int32
	kick      chan struct{} // wakes the sweeper
	stuck     stuck
	rechecked time.Time            // when all that is in memory was last compared with the store; only the poller uses it
	dead      map[string]time.Time // since when a dead replica is known to be; only the sweeper uses it

	blobs      blobs
	version    atomic.Int32  // of the records it writes, 0 until the other replicas were seen
	snapshots  atomic.Bool   // every live replica understands its snapshots
	generation atomic.Uint64 // of the store, 0 until it said so
	retired    atomic.Pointer[error]
	rollbacks  atomic.Int64 // of sessions by the store, noticed here
	reappended atomic.Int64 // records, after those

	beating chan struct{} // has room for the one beat at a time; none after the replica left
	beat    uint64
	sent    time.Duration // when, on the boot clock
	deaf    int           // beats in a row that the store did not take
}

// The phases of a kernel's life.
const (
	operational int32 = iota
	draining          // serves, but starts nothing
	handingOver       // running turns leave at their next step boundary
	left              // it owns nothing and is not in the registry any more
	closed
)

// Open starts a kernel over a store. It starts even when the store does not answer: it is then degraded and refuses
// work. The caller closes the store after the kernel.
func Open(ctx context.Context, store session.Store, cfg Config) (*Kernel, error) {
	asked := cfg
	if err := cfg.complete(store.Durability()); err != nil {
		return nil, err
	}
	k := &Kernel{
		cfg: cfg, store: newGate(store), id: newID("r"), log: cfg.Logger, obs: cfg.Observer, fp: cfg.Failpoints,
		sessions: map[session.Key]*journal{}, lru: list.New(),
		kick: make(chan struct{}, 1), beating: make(chan struct{}, 1), stuck: stuck{}, follow: following{poke: make(chan struct{}, 1)},
	}
	if _, local := store.(session.Local); local {
		k.process = proc.Self()
	}
	k.log = k.log.With("replica", k.id)
	k.ctx, k.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	k.peers.seen = map[string]sighting{}
	if err := k.checkStore(); err != nil {
		k.cancel(err)
		return nil, err
	}
	if err := k.openScratch(ctx, asked); err != nil {
		k.cancel(err)
		return nil, err
	}
	k.renew()
	k.background(k.beats)
	k.background(k.sweeps)
	k.background(k.polls)
	return k, nil
}

func (c *Config) complete(d session.Durability) error {
	var problems []string
	if len(c.Agents) == 0 {
		problems = append(problems, "there is no agent")
	}
	agents := make([]*Agent, 0, len(c.Agents))
	names := map[string]bool{}
	for _, a := range c.Agents {
		own := *a
		problems = append(problems, own.check(c.Models)...)
		if names[own.Name] {
			problems = append(problems, "two agents are named "+own.Name)
		}
		names[own.Name] = true
		agents = append(agents, &own)
	}
	c.Agents = agents
	byName := map[string]*Agent{}
	for _, a := range agents {
		byName[a.Name] = a
	}
	for _, a := range agents {
		problems = append(problems, a.delegation(byName)...)
	}
	c.Retention = max(0, orDefault(c.Retention, 7*24*time.Hour))
	c.SnapshotEvery = orDefault(c.SnapshotEvery, 256)
	c.SessionBytes = orDefault(c.SessionBytes, 256<<20)
	c.LeaseTTL = orDefault(c.LeaseTTL, 5*time.Second)
	c.SweepInterval = orDefault(c.SweepInterval, time.Second)
	c.MaxRecoveries = orDefault(c.MaxRecoveries, 3)
	c.MaxRunning = orDefault(c.MaxRunning, 256)
	c.IdempotencyTTL = orDefault(c.IdempotencyTTL, 24*time.Hour)
	c.SessionTTL = max(0, orDefault(c.SessionTTL, 7*24*time.Hour))
	c.WaitMax = orDefault(c.WaitMax, 24*time.Hour)
	c.StoreTimeout = orDefault(c.StoreTimeout, 5*time.Second)
	c.CacheSize = orDefault(c.CacheSize, 256)
	if c.SessionTTL > 0 {
		c.IdempotencyTTL = min(c.IdempotencyTTL, c.SessionTTL)
	}
	if c.Retention > 0 {
		c.Retention = max(c.Retention, c.IdempotencyTTL)
	}
	c.furnish()
	try := ""
	if !c.AcceptLoss && !d.KeepsAcknowledged() {
		if risky := c.risky(d); len(risky) > 0 {
			problems = append(problems, risky...)
			try = "session.type: sqlite, postgres or dynamodb, or session.accept_loss: true (Config.AcceptLoss) if a second call does no harm"
		}
	}
	if len(problems) > 0 {
		return fault.New(fault.Config, "agentkernel.Open", "%s", strings.Join(problems, "; ")).WithTry("%s", try)
	}
	return nil
}

// furnish fills in what is not a number.
func (c *Config) furnish() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = silent{}
	}
	if c.boot == nil {
		c.boot = c.Failpoints.ClockOr(clock.Boot)
	}
}

// risky lists the tools that a lossy store could make act twice.
func (c *Config) risky(d session.Durability) (problems []string) {
	for _, a := range c.Agents {
		for _, t := range a.Tools {
			if t.Effect == session.AtMostOnce {
				problems = append(problems, fmt.Sprintf("agent %s: tool %s must not act twice, and a %s store at level %q may forget that it did", a.Name, t.Name, d.Store, d.Level))
			}
		}
	}
	return problems
}

// background runs f in a goroutine that Close waits for; false when the kernel is closed already.
func (k *Kernel) background(f func()) bool {
	k.life.Lock()
	defer k.life.Unlock()
	if k.ctx.Err() != nil {
		return false
	}
	k.wg.Go(f)
	return true
}

// ID names this replica; it is new at every start.
func (k *Kernel) ID() string { return k.id }

// errClosed is the cause with which a closing kernel ends everything.
var errClosed = errors.New("the kernel is closed")

// Close stops at once, like a crash but for the registration: turns that were running are taken over by another replica,
// or by the next start. Call [Kernel.Drain] first to hand them over.
func (k *Kernel) Close() error {
	k.phase.Store(closed)
	k.store.close()
	k.life.Lock()
	k.cancel(errClosed)
	k.life.Unlock()
	k.wg.Wait()
	if k.scratch != nil {
		return k.scratch.Close()
	}
	return nil
}

func newID(prefix string) string {
	var b [10]byte
	_, _ = cryptorand.Read(b[:])
	return prefix + "_" + hex.EncodeToString(b[:])
}

func now() session.Millis { return session.Millis(time.Now().UnixMilli()) }

func millis(d time.Duration) session.Millis { return session.Millis(d.Milliseconds()) }

func splitModel(s string) (provider, name string) {
	provider, name, _ = strings.Cut(s, "/")
	return provider, name
}

// opCtx bounds one store operation by the kernel's life, not by a caller's: what was begun for one caller may matter to
// others.
func (k *Kernel) opCtx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(k.ctx, k.cfg.StoreTimeout)
}

// jitter is d/2…d at random, so that replicas do not move in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// pause waits for d, spread; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(jitter(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only types of this package come here, and they all have a JSON form
	}
	return b
}
