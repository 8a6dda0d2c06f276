package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Every operation goes to the store through a gate, which knows whether the store answers. It shuts when an operation
// fails and none has succeeded for a moment: so one part of a store that fails does not shut it while others answer, and
// a store that is gone shuts it with the first time-out. While it is shut operations are refused at once and nothing is
// sent, but for the beats: they probe, and the first operation that succeeds opens the gate again. Work that is paid for
// waits behind it; requests are refused with advice to come back.

const (
	patience   = time.Second            // without a success, before a failure shuts the gate
	probeEvery = 250 * time.Millisecond // while it is shut; also the advice to clients, rounded up to what HTTP can say
)

// gate is the kernel's store.
type gate struct {
	session.Store

	mu    sync.Mutex
	err   error     // of the last operation, nil when it succeeded
	good  time.Time // when one last succeeded, or when the gate was made
	shut  bool
	open  context.Context // ends when the gate shuts, and what reads wait for with it
	stop  context.CancelCauseFunc
	over  bool          // the kernel is closed: what fails now says nothing of the store
	probe chan struct{} // has room for one; asks for a beat
	back  chan struct{} // has room for one; says that the store answers again
}

func newGate(store session.Store) *gate {
	g := &gate{Store: store, good: time.Now(), probe: make(chan struct{}, 1), back: make(chan struct{}, 1)}
	g.open, g.stop = context.WithCancelCause(context.Background())
	return g
}

// enter refuses while the gate is shut.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		return nil
	}
	return fault.New(fault.Unavailable, "", "%w", fmt.Errorf("%w: it has not answered since %s (%v)", session.ErrNotSent,
		g.good.UTC().Format(time.RFC3339), g.err)).WithAfter(time.Second)
}

// said notes how an operation ended.
func (g *gate) said(err error) {
	if errors.Is(err, context.Canceled) {
		return // someone gave up; that is no word of the store
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.over:
	case !troublesStore(err):
		if g.err != nil {
			select {
			case g.back <- struct{}{}:
			default:
			}
		}
		g.err, g.good = nil, time.Now()
		if g.shut {
			g.shut = false
			g.open, g.stop = context.WithCancelCause(context.Background())
		}
	default:
		g.err = err
		if !g.shut && time.Since(g.good) >= patience {
			g.shut = true
			g.stop(errShut)
			select {
			case g.probe <- struct{}{}:
			default:
			}
		}
	}
}

// trouble is what the last operation failed with, nil when it succeeded.
func (g *gate) trouble() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
}

// troublesStore reports whether an error says that the store does not work, rather than that it said no.
func troublesStore(err error) bool {
	switch {
	case err == nil, errors.Is(err, session.ErrConflict), errors.Is(err, session.ErrTrimmed), errors.Is(err, session.ErrNoValue):
		return false
	}
	switch fault.KindOf(err) {
	case fault.Unreadable, fault.TooLarge: // of one session
		return false
	}
	return true
}

// do performs a write through the gate.
func (g *gate) do(call func() error) error {
	if err := g.enter(); err != nil {
		return err
	}
	err := call()
	g.said(err)
	return err
}

// errShut is why a read that was waiting was given up.
var errShut = errors.New("the store does not answer")

// waiting is ctx for a read, which does not outlast the gate's being open: whoever waits is told as soon as it is known
// that there is nothing to wait for.
func (g *gate) waiting(ctx context.Context) (context.Context, func()) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(open, func() { cancel(errShut) })
	return ctx, func() { stop(); cancel(nil) }
}

// ask performs a read through a gate.
func ask[T any](ctx context.Context, g *gate, call func(context.Context) (T, error)) (v T, err error) {
	if err := g.enter(); err != nil {
		return v, err
	}
	ctx, end := g.waiting(ctx)
	defer end()
	v, err = call(ctx)
	g.said(err)
	if err != nil && errors.Is(context.Cause(ctx), errShut) {
		err = fault.New(fault.Unavailable, "", "%w", errShut).WithAfter(time.Second)
	}
	return v, err
}

func (g *gate) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	return g.do(func() error { return g.Store.Append(ctx, key, at, rec, next) })
}

func (g *gate) Read(ctx context.Context, key session.Key, after uint64, limit int) (head session.Head, records []session.Record, err error) {
	records, err = ask(ctx, g, func(ctx context.Context) (records []session.Record, err error) {
		head, records, err = g.Store.Read(ctx, key, after, limit)
		return records, err
	})
	return head, records, err
}

func (g *gate) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	return ask(ctx, g, func(ctx context.Context) ([]session.Head, error) { return g.Store.Heads(ctx, keys) })
}

func (g *gate) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	return g.do(func() error { return g.Store.Erase(ctx, key, at, tomb) })
}

func (g *gate) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	return ask(ctx, g, func(ctx context.Context) ([]session.Head, error) { return g.Store.Due(ctx, owner, before, limit) })
}

// Beat goes through a shut gate: it is how the gate finds out that the store is back.
func (g *gate) Beat(ctx context.Context, r session.Replica) error {
	err := g.Store.Beat(ctx, r)
	g.said(err)
	return err
}

func (g *gate) Replicas(ctx context.Context) ([]session.Replica, error) {
	return ask(ctx, g, func(ctx context.Context) ([]session.Replica, error) { return g.Store.Replicas(ctx) })
}

// Leave is tried whatever is known: it comes once, at the end.
func (g *gate) Leave(ctx context.Context, id string) error { return g.Store.Leave(ctx, id) }

// Meta goes through a shut gate: it is asked with the beats.
func (g *gate) Meta(ctx context.Context) (session.Meta, error) {
	m, err := g.Store.Meta(ctx)
	g.said(err)
	return m, err
}

func (g *gate) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	return g.do(func() error { return g.Store.PutSnapshot(ctx, key, snap) })
}

func (g *gate) Snapshot(ctx context.Context, key session.Key) (session.Snapshot, error) {
	return ask(ctx, g, func(ctx context.Context) (session.Snapshot, error) { return g.Store.Snapshot(ctx, key) })
}

func (g *gate) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	return g.do(func() error { return g.Store.Trim(ctx, key, life, upTo) })
}

func (g *gate) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	return g.do(func() error { return g.Store.PutBlob(ctx, key, life, digest, data) })
}

func (g *gate) Blob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	return ask(ctx, g, func(ctx context.Context) ([]byte, error) { return g.Store.Blob(ctx, key, life, digest) })
}

func (g *gate) BlobList(ctx context.Context, key session.Key, life uint64) ([]session.BlobInfo, error) {
	return ask(ctx, g, func(ctx context.Context) ([]session.BlobInfo, error) { return g.Store.BlobList(ctx, key, life) })
}

func (g *gate) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	return g.do(func() error { return g.Store.DropBlob(ctx, key, life, b) })
}

func (g *gate) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	return ask(ctx, g, func(ctx context.Context) ([]session.Head, error) { return g.Store.List(ctx, q) })
}
