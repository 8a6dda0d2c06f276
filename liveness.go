package agentkernel

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/internal/proc"
	"github.com/agentkernel/agentkernel/session"
)

// ReplicaInfo is what a replica says about itself.
type ReplicaInfo struct {
	ID       string `json:"id"`
	Zone     string `json:"zone,omitempty"`
	Version  string `json:"version,omitempty"`
	Digest   string `json:"config_digest,omitempty"`
	Draining bool   `json:"draining"`
	TTLMS    int64  `json:"lease_ttl_ms"`
}

// entry is what a replica writes into the registry.
type entry struct {
	ReplicaInfo
	Process proc.ID `json:"process,omitzero"`
	Reads   int     `json:"reads,omitempty"` // the newest record version that it reads, 1 when it does not say
	Fold    int     `json:"fold,omitempty"`  // the version of its fold
}

// peers is what this replica has seen of the others. It judges by its own clock only: a replica is dead when its
// counter stood still for a lease TTL of that replica, seen from here; or at once, when it was a process of this machine
// that has certainly ended.
//
// Silence counts only while somebody is heard. That the store took a beat, this replica's or another one's, shows that
// beats come through; when it has taken none for half a lease, nobody's silence says anything, and when they come through
// again all are given the time to beat. So an outage of the store, however long, takes nobody over.
type peers struct {
	mu    sync.Mutex
	seen  map[string]sighting
	live  []string      // ids of those that are alive and not draining, this replica's too
	last  time.Duration // when a beat last came through, on the boot clock
	since time.Duration // since when they do without a break
}

// heard notes that a beat came through.
func (p *peers) heard(at, ttl time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hear(at, ttl)
}

func (p *peers) hear(at, ttl time.Duration) {
	if at-p.last > ttl/2 {
		p.since = at
	}
	p.last = max(p.last, at)
}

// silent is for how long a peer was silent while somebody was heard. p.mu is held.
func (p *peers) silent(s sighting, at, ttl time.Duration) time.Duration {
	if at-p.last > ttl/2 {
		return 0
	}
	return at - max(s.since, p.since)
}

type sighting struct {
	counter uint64
	since   time.Duration // when the counter was first seen at this value, on the boot clock
	info    entry
}

// beats shows that this replica lives, three times per lease, and more often while the store does not answer.
func (k *Kernel) beats() {
	for n := 1; k.nextBeat(); n++ {
		k.renew()
		if n%checkEvery != 0 && k.generation.Load() != 0 {
			continue
		}
		if err := k.checkStore(); err != nil {
			k.retire(err)
		}
	}
}

// nextBeat waits until it is time for a beat; false when the kernel closes.
func (k *Kernel) nextBeat() bool {
	k.beating <- struct{}{}
	deaf, since := k.deaf > 0, k.cfg.boot()-k.sent
	<-k.beating
	every := k.cfg.LeaseTTL / 3
	switch {
	case k.store.isShut():
		every = min(every, probeEvery)
	case deaf:
		every = k.cfg.LeaseTTL / 10
	default:
		every = max(0, every-since) // a beat that took long is no reason for the next one to be late
	}
	t := time.NewTimer(jitter(every))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-k.store.probe:
		return true
	case <-k.ctx.Done():
		return false
	}
}

// renew writes the next beat. The lease counts from before the write was sent. A beat may take half a lease: then the
// next one is still in time.
func (k *Kernel) renew() {
	_ = k.fp.Hit(failpoint.BeatBefore)
	k.beating <- struct{}{}
	defer func() { <-k.beating }()
	sent := k.cfg.boot()
	k.sent = sent
	if k.phase.Load() >= left {
		return
	}
	k.beat++
	ctx, cancel := context.WithTimeout(k.ctx, k.cfg.LeaseTTL/2)
	defer cancel()
	err := k.store.Beat(ctx, session.Replica{ID: k.id, Counter: k.beat, Info: mustJSON(entry{k.info(), k.process, session.Reads, session.FoldVersion})})
	if err != nil {
		if k.deaf++; k.deaf == 1 {
			k.log.Warn("the store did not take the beat", "error", err)
		}
		return
	}
	if k.deaf > 0 {
		k.log.Info("the store takes beats again", "missed", k.deaf)
		k.deaf = 0
	}
	k.peers.heard(k.cfg.boot(), k.cfg.LeaseTTL)
	if int64(k.cfg.boot()) >= k.lease.Load() {
		k.term.Add(1) // the beat came after the others may have given this replica up
	}
	k.lease.Store(int64(sent + k.cfg.LeaseTTL))
}

func (k *Kernel) info() ReplicaInfo {
	return ReplicaInfo{
		ID: k.id, Zone: k.cfg.Zone, Version: k.cfg.Version, Digest: k.cfg.Digest,
		Draining: k.phase.Load() != operational, TTLMS: k.cfg.LeaseTTL.Milliseconds(),
	}
}

// leased reports whether no other replica can think that this one is dead, now or at any time since term began. A lease
// that lapsed and was renewed is a new term: what was owned before may have been taken over in between.
func (k *Kernel) leased() (term uint64, ok bool) {
	term = k.term.Load()
	return term, int64(k.cfg.boot()) < k.lease.Load() && term == k.term.Load()
}

// look reads the registry and returns the ids of replicas that are dead. next is when the next one may be, from now.
func (k *Kernel) look() (dead []string, next time.Duration, err error) {
	ctx, cancel := k.opCtx()
	defer cancel()
	list, err := k.store.Replicas(ctx)
	if err != nil {
		return nil, k.cfg.SweepInterval, err
	}
	at := k.cfg.boot()
	next = k.cfg.SweepInterval
	k.peers.mu.Lock()
	defer k.peers.mu.Unlock()
	present := make(map[string]sighting, len(list))
	for _, r := range list {
		if r.ID == k.id {
			continue
		}
		s, ok := k.peers.seen[r.ID]
		if !ok || s.counter != r.Counter {
			if ok {
				k.peers.hear(at, k.cfg.LeaseTTL)
			}
			s = sighting{counter: r.Counter, since: at}
			_ = json.Unmarshal(r.Info, &s.info) // what a peer says of itself is for show; a TTL that does not parse is ours
		}
		present[r.ID] = s
	}
	live := []string{k.id}
	for id, s := range present {
		left := k.ttlOf(s) - k.peers.silent(s, at, k.cfg.LeaseTTL)
		if left <= 0 || proc.Gone(k.process, s.info.Process) {
			dead = append(dead, id)
			continue
		}
		next = min(next, left)
		if !s.info.Draining {
			live = append(live, id)
		}
	}
	k.peers.seen, k.peers.live = present, live
	k.agree(present, dead)
	return dead, next, nil
}

func (k *Kernel) ttlOf(s sighting) time.Duration {
	if s.info.TTLMS > 0 {
		return time.Duration(s.info.TTLMS) * time.Millisecond
	}
	return k.cfg.LeaseTTL
}

// othersLive reports whether another replica, not draining, was seen alive lately.
func (k *Kernel) othersLive() bool {
	at := k.cfg.boot()
	k.peers.mu.Lock()
	defer k.peers.mu.Unlock()
	for _, s := range k.peers.seen {
		if k.peers.silent(s, at, k.cfg.LeaseTTL) < k.ttlOf(s) && !s.info.Draining && !proc.Gone(k.process, s.info.Process) {
			return true
		}
	}
	return false
}

// forgetDead removes registry entries of replicas that are dead for long and own nothing. A replica that sleeps for so
// long and wakes up is in the registry again with its next beat, and claims nothing before that.
func (k *Kernel) forgetDead(id string) {
	const keepDead = 24 * time.Hour
	k.peers.mu.Lock()
	s, ok := k.peers.seen[id]
	k.peers.mu.Unlock()
	if !ok || k.cfg.boot()-s.since < keepDead {
		return
	}
	ctx, cancel := k.opCtx()
	defer cancel()
	if err := k.store.Leave(ctx, id); err != nil {
		k.log.Warn("a dead replica's entry could not be removed", "dead", id, "error", err)
	}
}
