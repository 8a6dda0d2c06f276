package agentkernel

import (
	"context"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Two releases run side by side while one replaces the other. Each replica says in its beats which record versions and
// which fold it reads, and writes only what all that live can read. A replica that joins later and reads less leaves
// what it cannot read to the others. Until this replica has seen the others it writes the oldest version.
//
// A restore puts an older state in the store's place and raises its generation. What this replica holds in memory is
// then of another history, so it stops: another one, or itself started anew, goes on from what is there.

// agree works out what all live replicas can read. present are the others.
func (k *Kernel) agree(present map[string]sighting, dead []string) {
	gone := map[string]bool{}
	for _, id := range dead {
		gone[id] = true
	}
	version, snapshots := session.Writes, true
	for id, s := range present {
		if !gone[id] {
			version = min(version, max(1, s.info.Reads))
			snapshots = snapshots && s.info.Fold == session.FoldVersion
		}
	}
	k.version.Store(int32(version))
	k.snapshots.Store(snapshots)
}

// writes is the record version that this replica writes now.
func (k *Kernel) writes() int { return max(1, int(k.version.Load())) }

// snapshotsReadable reports whether every live replica understands this one's snapshots.
func (k *Kernel) snapshotsReadable() bool { return k.snapshots.Load() }

// checkEvery is how many beats lie between two looks at the store's generation.
const checkEvery = 10

// checkStore looks whether the store is one that this replica may go on with. nil when it does not answer.
func (k *Kernel) checkStore() error {
	ctx, cancel := context.WithTimeout(k.ctx, k.cfg.StoreTimeout)
	defer cancel()
	m, err := k.store.Meta(ctx)
	switch {
	case fault.KindOf(err) == fault.Config, fault.KindOf(err) == fault.Unreadable:
		return err // it is not what is configured, or not for this release
	case err != nil:
		return nil
	case m.Format > session.StoreFormat:
		return fault.New(fault.Unreadable, "", "the store has format %d, this release knows up to %d", m.Format, session.StoreFormat).
			WithTry("use the newer release that made it")
	case k.generation.CompareAndSwap(0, m.Generation), k.generation.Load() == m.Generation:
		return nil
	}
	return fault.New(fault.Unavailable, "", "the store was restored: it is of generation %d, this replica began with %d", m.Generation, k.generation.Load()).
		WithTry("start this replica anew")
}

// retire stops this replica at once, without another word to the store.
func (k *Kernel) retire(why error) {
	k.log.Error("this replica stops serving", "error", why)
	k.retired.Store(&why)
	k.phase.Store(closed)
	k.life.Lock()
	defer k.life.Unlock()
	k.cancel(why)
}
