package memory

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Format is the layout that [Store.Meta] reports.
const Format = 1

// Store keeps sessions in memory. Make one with [New].
type Store struct {
	mu       sync.Mutex
	closed   bool
	sessions map[session.Key]*entry
	tombs    map[tombID]tomb
	blobs    map[session.Key]map[blobID]blob // apart from entries: a blob may come before the first record
	replicas map[string]session.Replica
	hints    map[string]session.Hint
	watchers map[chan struct{}]struct{}

	generation uint64
}

var (
	_ session.Store   = (*Store)(nil)
	_ session.Watcher = (*Store)(nil)
)

// entry is a session that has records.
type entry struct {
	head    session.Head
	records []session.Record // without gaps; the first one's number tells what was trimmed
	snap    *session.Snapshot
}

// tombID is a hash of a key: the id itself must not outlive its session.
type tombID [sha256.Size]byte

type tomb struct {
	life uint64
	session.Tombstone
}

type blobID struct {
	life   uint64
	digest string
}

// New makes an empty store.
func New() *Store {
	return &Store{
		sessions: map[session.Key]*entry{},
		tombs:    map[tombID]tomb{},
		blobs:    map[session.Key]map[blobID]blob{},
		replicas: map[string]session.Replica{},
		hints:    map[string]session.Hint{},
		watchers: map[chan struct{}]struct{}{},

		generation: 1,
	}
}

// Local says that every replica is on this machine: it is in one process.
func (s *Store) Local() {}

// Durability declares that nothing outlives the process.
func (s *Store) Durability() session.Durability {
	return session.Durability{
		Store: "in_memory", Level: "memory",
		ProcessCrash:  session.Exposure{Loses: session.LosesAll},
		MachineCrash:  session.Exposure{Loses: session.LosesAll},
		Failover:      session.Exposure{Loses: session.CannotHappen},
		DiskLoss:      session.Exposure{Loses: session.CannotHappen},
		ZoneLoss:      session.Exposure{Loses: session.LosesAll},
		OperatorError: session.Exposure{Loses: session.NotCovered},
		Note:          "nothing is written to disk; every restart begins empty",
	}
}

// Meta returns the format and the generation; the agenda is not divided, and there is no prefix.
func (s *Store) Meta(ctx context.Context) (session.Meta, error) {
	if err := s.enter(ctx, "memory.Meta"); err != nil {
		return session.Meta{}, err
	}
	defer s.mu.Unlock()
	return session.Meta{Format: Format, Generation: s.generation, Buckets: 1}, nil
}

// RaiseGeneration tells every replica to stop; see session.Directory.
func (s *Store) RaiseGeneration(ctx context.Context) error {
	if err := s.enterWrite(ctx, "memory.RaiseGeneration"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.generation++
	return nil
}

// Close drops everything. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.sessions, s.tombs, s.blobs = nil, nil, nil
	s.replicas, s.hints, s.watchers = nil, nil, nil
	return nil
}

// Watch signals after every change, by whomever: the store cannot tell its users apart.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := s.enter(ctx, "memory.Watch"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	ch := make(chan struct{}, 1)
	s.watchers[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, ch)
	})
	return ch, nil
}

// enter locks the store for one call; without an error the caller must unlock it.
func (s *Store) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return &fault.Error{Op: op, Kind: fault.Unavailable, Err: errClosed}
	}
	return nil
}

var errClosed = errors.New("the store is closed")

// enterWrite is enter for calls that change something: its error says that nothing was.
func (s *Store) enterWrite(ctx context.Context, op string) error {
	err := s.enter(ctx, op)
	if err != nil {
		e := err.(*fault.Error) // enter makes no other
		e.Err = fmt.Errorf("%w: %w", session.ErrNotSent, e.Err)
	}
	return err
}

// changed tells the watchers; s.mu is held.
func (s *Store) changed() {
	for ch := range s.watchers {
		select {
		case ch <- struct{}{}:
		default: // one signal is waiting already
		}
	}
}

// head is a copy of the stored head of key; s.mu is held.
func (s *Store) head(key session.Key) session.Head {
	if e := s.sessions[key]; e != nil {
		return e.head
	}
	h := session.Head{Key: key}
	if t, ok := s.tombs[tombOf(key)]; ok {
		h.Life = t.life
		h.Tomb = &session.Tombstone{Until: t.Until, Keys: append([]string(nil), t.Keys...)}
	}
	return h
}

func tombOf(key session.Key) tombID { return sha256.Sum256([]byte("tomb/" + key.String())) }

func now() session.Millis { return session.Millis(time.Now().UnixMilli()) }

func conflict(op string) error {
	return &fault.Error{Op: op, Kind: fault.Conflict, Err: session.ErrConflict}
}
