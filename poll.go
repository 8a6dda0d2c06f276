package agentkernel

import (
	"context"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// The journals that someone here follows, or that this replica runs, are compared with the store: what other replicas
// append (an answer, a cancel, a resolution, a claim) is seen within a poll. All heads are read in one request per
// replica, and stores that can say when to look are asked sooner.

const (
	pollFirst = 100 * time.Millisecond // after something changed, or someone began to follow
	pollMax   = time.Second            // when nothing changes
	pollPage  = 100                    // heads per request

	recheckEvery = time.Second
)

type following struct {
	mu   sync.Mutex
	set  map[*journal]int
	poke chan struct{}
}

// add follows j until the returned function is called.
func (f *following) add(j *journal) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.set == nil {
		f.set = map[*journal]int{}
	}
	f.set[j]++
	if len(f.set) == 1 && f.set[j] == 1 {
		select {
		case f.poke <- struct{}{}:
		default:
		}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.set[j]--; f.set[j] == 0 {
			delete(f.set, j)
		}
	}
}

func (f *following) list() []*journal {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*journal, 0, len(f.set))
	for j := range f.set {
		list = append(list, j)
	}
	return list
}

func (k *Kernel) polls() {
	for k.ctx.Err() == nil {
		select {
		case <-k.follow.poke:
			k.pollWhileFollowed()
		case <-k.store.back:
			k.recheck()
		case <-k.ctx.Done():
		}
	}
}

// pollWhileFollowed polls until nobody follows anything.
func (k *Kernel) pollWhileFollowed() {
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	var hints <-chan struct{}
	for wait := pollFirst; ; {
		if hints == nil && k.othersLive() {
			hints = k.watch(ctx)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-hints:
			t.Stop()
		case <-k.store.back:
			t.Stop()
			k.recheck()
		case <-ctx.Done():
			t.Stop()
			return
		}
		list := k.follow.list()
		if len(list) == 0 {
			return
		}
		if k.poll(list) {
			wait = pollFirst
		} else {
			wait = min(2*wait, pollMax)
		}
	}
}

func (k *Kernel) watch(ctx context.Context) <-chan struct{} {
	w, ok := k.store.Store.(session.Watcher)
	if !ok {
		return nil
	}
	hints, err := w.Watch(ctx)
	if err != nil {
		k.log.Debug("the store cannot tell when to look", "error", err)
		return nil
	}
	return hints
}

// poll folds what the store has and we have not, and reports whether there was any.
func (k *Kernel) poll(list []*journal) (moved bool) {
	for len(list) > 0 {
		page := list[:min(pollPage, len(list))]
		list = list[len(page):]
		keys := make([]session.Key, len(page))
		for i, j := range page {
			keys[i] = j.key
		}
		ctx, cancel := k.opCtx()
		heads, _ := k.store.Heads(ctx, keys)
		cancel()
		if len(heads) < len(page) {
			return moved // there is an error, which the gate has noted
		}
		for i, h := range heads {
			if h.Key != keys[i] || !page[i].behind(h) {
				continue // it could not be had, or is what is known
			}
			moved = true
			if err := page[i].refresh(); err != nil {
				k.log.Warn("a followed session cannot be read", "session", h.Key.ID, "error", err)
			}
		}
	}
	return moved
}

// recheck compares everything that this replica has in memory with the store. It is called when the store answers again
// after it did not: another server may stand in its place, which knows less (see rollback.go). Trouble that comes again
// within a second is looked into then.
func (k *Kernel) recheck() {
	if wait := recheckEvery - time.Since(k.rechecked); wait > 0 {
		time.AfterFunc(wait, func() {
			select {
			case k.store.back <- struct{}{}:
			default:
			}
		})
		return
	}
	k.rechecked = time.Now()
	var list []*journal
	k.mu.Lock()
	for _, j := range k.sessions {
		j.mu.Lock()
		if j.s != nil && j.s.At.Len > 0 {
			j.pins++
			list = append(list, j)
		}
		j.mu.Unlock()
	}
	k.mu.Unlock()
	k.poll(list)
	for _, j := range list {
		j.unpin()
	}
}

// behind reports whether the store's head is not the fold's.
func (j *journal) behind(h session.Head) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s != nil && j.s.At != h.Position && (h.Life != j.s.At.Life || h.Len > j.s.At.Len || !j.flushing)
}
