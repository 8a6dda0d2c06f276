package kerneltest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// replica is a kernel that stops at a place. A goroutine of a stopped one waits at the next place that it comes to; what
// it does on the way there has no effect.
type replica struct {
	*agentkernel.Kernel
	w       *world
	at      place
	struck  chan struct{} // closed when it stopped
	release chan struct{} // closed when it is cleared away

	mu   sync.Mutex
	hits []failpoint.Name
	seen int
	dead bool
}

var errLost = errors.New("the store's answer was lost")

// open starts a replica of the agent's own configuration.
func (w *world) open(at place) (*replica, error) {
	r := &replica{w: w, at: at, struck: make(chan struct{}), release: make(chan struct{})}
	cfg := w.l.a.New()
	cfg.Failpoints = &failpoint.Set{On: r.on, Clock: func() time.Duration { return time.Since(w.began) }}
	cfg.AcceptLoss = true
	cfg.LeaseTTL, cfg.SweepInterval = time.Second, 200*time.Millisecond
	if !w.l.virtual {
		cfg.LeaseTTL, cfg.SweepInterval = 300*time.Millisecond, 50*time.Millisecond
	}
	agents := make([]*agentkernel.Agent, len(cfg.Agents))
	for i, a := range cfg.Agents {
		own := *a
		own.Tools = make([]*agentkernel.Tool, len(a.Tools))
		for n, t := range a.Tools {
			own.Tools[n] = r.watch(t)
		}
		agents[i] = &own
	}
	cfg.Agents = agents
	models := make(map[string]model.Provider, len(cfg.Models))
	for name, p := range cfg.Models {
		models[name] = mortalModel{p, r}
	}
	cfg.Models = models
	var err error
	r.Kernel, err = agentkernel.Open(context.Background(), &mortal{Store: w.store, r: r}, cfg)
	return r, err
}

// on is called by the kernel at every place.
func (r *replica) on(n failpoint.Name) error {
	r.mu.Lock()
	if n != failpoint.BeatBefore {
		r.hits = append(r.hits, n)
	}
	if n == r.at.name && !r.dead {
		r.seen++
		if r.seen == r.at.nth && r.at.mode == lost {
			r.mu.Unlock()
			return errLost
		}
		if r.seen == r.at.nth {
			r.dead = true
			close(r.struck)
		}
	}
	dead := r.dead
	r.mu.Unlock()
	if dead {
		<-r.release
	}
	return nil
}

func (r *replica) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// stop clears the replica away. Its goroutines are let go only when they find that the kernel is closed.
func (r *replica) stop() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Close()
	}()
	if r.w.l.virtual {
		synctest.Wait()
	}
	for r.Health().Runtime != "failed" {
		runtime.Gosched()
	}
	close(r.release)
	<-done
}

// watch is a tool whose dispatches are noted, and which does nothing for a dead replica.
func (r *replica) watch(t *agentkernel.Tool) *agentkernel.Tool {
	own := *t
	if t.Call != nil {
		own.Call = func(ctx context.Context, c agentkernel.ToolCall) (string, error) {
			if r.isDead() {
				<-ctx.Done()
				return "", ctx.Err()
			}
			seen := r.w.dispatched(t, c)
			text, err := t.Call(ctx, c)
			r.w.returned(seen, err)
			return text, err
		}
	}
	if t.Reconcile != nil {
		own.Reconcile = func(ctx context.Context, c agentkernel.ToolCall) (agentkernel.Finding, error) {
			if r.isDead() {
				<-ctx.Done()
				return agentkernel.Finding{}, ctx.Err()
			}
			return t.Reconcile(ctx, c)
		}
	}
	return &own
}

// mortalModel is a provider that a dead replica cannot reach.
type mortalModel struct {
	model.Provider
	r *replica
}

func (m mortalModel) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	if m.r.isDead() {
		<-ctx.Done()
		return nil, fault.New(fault.Cancelled, "", "the process is dead")
	}
	return m.Provider.Generate(ctx, req, emit)
}

// mortal is a store handle through which a dead replica writes nothing.
type mortal struct {
	session.Store
	r *replica
}

func (m *mortal) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Append(ctx, key, at, rec, next)
}

func (m *mortal) Beat(ctx context.Context, r session.Replica) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Beat(ctx, r)
}

func (m *mortal) Leave(ctx context.Context, id string) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Leave(ctx, id)
}

func (m *mortal) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Erase(ctx, key, at, tomb)
}

func (m *mortal) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.Trim(ctx, key, life, upTo)
}

func (m *mortal) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.PutSnapshot(ctx, key, snap)
}

func (m *mortal) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	if m.r.isDead() {
		return session.ErrNotSent
	}
	return m.Store.PutBlob(ctx, key, life, digest, data)
}
