package agentkernel

import (
	"errors"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// A sweep looks for sessions that need attention and have nobody who gives it: queued or handed over (no owner, due),
// waiting past their time (no owner, due), idle past their expiry (no owner, due), or owned by a replica that is dead.
// Every replica sweeps. So that not all of them run for the same session, each session has a favourite among the live
// replicas (the highest hash of both names wins), and the others leave it alone for a moment. That is politeness, not
// safety: two that try race for the claim, and the journal lets one win. A sweep only decides when to try; whether it is
// right is decided by the proposal, on the fold.

const (
	sweepPage  = 64 // heads per look and live replica; more are found by the next one, which follows at once
	maxPage    = 1024
	sweepers   = 16 // sessions that are looked after at a time
	ownRecheck = 10 // every so many sweeps the replica looks for sessions that name it but that it does not run
)

// stuck are the due sessions that this replica cannot read: corrupt ones, and those that a newer release wrote. They stay
// due, and would fill the page that a sweep looks at; so the page grows by their number, and each is tried again ever more
// rarely. Only the sweeper uses it.
type stuck map[session.Key]retry

type retry struct {
	at    time.Time
	after time.Duration
}

const (
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
	maxStuck   = 4096 // more than that are forgotten and found again
)

// waits reports that it is too early to try a session again.
func (s stuck) waits(key session.Key) bool { return time.Now().Before(s[key].at) }

// add notes that a session could not be read, and reports whether that is news.
func (s stuck) add(key session.Key) bool {
	if len(s) >= maxStuck {
		clear(s)
	}
	old, known := s[key]
	wait := min(max(firstRetry, 2*old.after), lastRetry)
	s[key] = retry{at: time.Now().Add(wait), after: wait}
	return !known
}

func (k *Kernel) sweeps() {
	next := time.Duration(0)
	for round := 0; ; round++ {
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-k.kick:
			t.Stop()
		case <-k.ctx.Done():
			t.Stop()
			return
		}
		next = k.sweep(round)
	}
}

// sweepSoon asks for a sweep without waiting for its time.
func (k *Kernel) sweepSoon() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// swept is what a look at the sessions of one owner brought.
type swept struct {
	found bool // there are some, or it is not known that there are none
	full  bool // there may be more
	left  bool // some were left to their favourite
}

// sweep looks once, and returns when to look again.
func (k *Kernel) sweep(round int) time.Duration {
	dead, next, err := k.look()
	if err != nil || k.phase.Load() != operational {
		return k.cfg.SweepInterval
	}
	k.noteDead(dead)
	all := k.attendAll("", nil)
	for _, id := range dead {
		r := k.attendAll(id, dead)
		all.full, all.left = all.full || r.full, all.left || r.left
		if !r.found {
			k.forgetDead(id)
		}
	}
	if round%ownRecheck == ownRecheck-1 {
		k.attendAll(k.id, nil)
	}
	if all.left {
		next = min(next, k.politeness())
	}
	if all.full && k.room() > 0 {
		return 0
	}
	return min(next, k.cfg.SweepInterval)
}

// politeness is for how long a session is left to its favourite.
func (k *Kernel) politeness() time.Duration { return min(k.cfg.SweepInterval, time.Second) / 2 }

// noteDead keeps since when each dead replica is known to be dead.
func (k *Kernel) noteDead(dead []string) {
	known := make(map[string]time.Time, len(dead))
	for _, id := range dead {
		since, ok := k.dead[id]
		if !ok {
			since = time.Now()
		}
		known[id] = since
	}
	k.dead = known
}

// favourite is the live replica that a session is left to at first.
func (k *Kernel) favourite(key session.Key) (id string) {
	k.peers.mu.Lock()
	defer k.peers.mu.Unlock()
	var most uint64
	for _, r := range k.peers.live {
		h := fnv.New64a()
		_, _ = io.WriteString(h, r+"\x00"+key.Tenant+"\x00"+key.ID)
		sum := h.Sum64()
		sum ^= sum >> 33 // the last bytes differ; let that move all bits
		sum *= 0xff51afd7ed558ccd
		sum ^= sum >> 33
		if sum >= most {
			most, id = sum, r
		}
	}
	return id
}

// polite reports whether a due session is to be left to its favourite for now.
func (k *Kernel) polite(h session.Head) bool {
	since := time.UnixMilli(int64(h.Due))
	if h.Owner != "" {
		since = k.dead[h.Owner]
	}
	return h.Owner != k.id && time.Since(since) < k.politeness() && k.favourite(h.Key) != k.id
}

// attendAll looks after the sessions of one owner, oldest first.
func (k *Kernel) attendAll(owner string, dead []string) (r swept) {
	before := now()
	if owner != "" {
		before = math.MaxInt64
	}
	k.peers.mu.Lock()
	page := min(sweepPage*len(k.peers.live), maxPage) + len(k.stuck)
	k.peers.mu.Unlock()
	ctx, cancel := k.opCtx()
	heads, err := k.store.Due(ctx, owner, before, page)
	cancel()
	r.found = len(heads) > 0 || err != nil
	var mine []session.Head
	for _, h := range heads {
		switch {
		case k.stuck.waits(h.Key):
		case h.Owner != "" && h.Owner != k.id && k.room() <= 0: // it could only be claimed
			k.starved.Store(true)
		case k.polite(h):
			r.left = true
		default:
			mine = append(mine, h)
		}
	}
	r.full = len(mine) > 0 && len(heads) == page
	for len(mine) > 0 && k.ctx.Err() == nil {
		n := min(len(mine), sweepers, max(1, k.room()))
		k.attendSome(mine[:n], dead)
		mine = mine[n:]
	}
	return r
}

// attendSome looks after some sessions at once.
func (k *Kernel) attendSome(heads []session.Head, dead []string) {
	errs := make([]error, len(heads))
	var wg sync.WaitGroup
	for i, h := range heads {
		wg.Go(func() { errs[i] = k.attend(h, dead) })
	}
	wg.Wait()
	for i, h := range heads {
		switch fault.KindOf(errs[i]) {
		case fault.Corrupt, fault.Unreadable:
			if !k.stuck.add(h.Key) {
				continue
			}
		default:
			delete(k.stuck, h.Key)
		}
		if errs[i] != nil {
			k.log.Error("a session that needs attention cannot be read", "session", h.Key.ID, "error", errs[i])
		}
	}
}

// attend does for one session what is due. An error means that it cannot be read.
func (k *Kernel) attend(h session.Head, dead []string) error {
	j := k.open(h.Key)
	defer j.unpin()
	if err := j.refresh(); err != nil {
		return err
	}
	ctx, cancel := k.opCtx()
	defer cancel()
	erase, cause := false, ""
	var wrote []session.Event
	_, err := j.propose(ctx, &proposal{class: claiming, write: func(s *session.Session, d *draft) (events []session.Event, err error) {
		wrote, cause, erase, err = j.due(s, d, dead)
		return wrote, err
	}})
	for _, e := range wrote {
		if err == nil && e.Signal != nil && e.Signal.Kind == session.SignalDeny {
			k.obs.Decided("expired")
		}
	}
	if err == nil && cause != "" {
		k.obs.Claimed(cause)
	}
	if err == nil && erase {
		err = k.finishErase(ctx, j)
	}
	if err != nil && !errors.Is(err, errFenced) {
		k.log.Warn("a session could not be looked after; it will be tried again", "session", h.Key.ID, "error", err)
	}
	return nil
}

// due decides on the fold what a session needs now. cause says why it is claimed, if it is; erase says that its deletion
// is due once the events are written.
func (j *journal) due(s *session.Session, d *draft, dead []string) (events []session.Event, cause string, erase bool, err error) {
	k, t := j.k, s.Current()
	switch {
	case s.Erased:
		return nil, "", true, nil
	case t == nil:
		if a := s.Attention(millis(k.cfg.SessionTTL)); s.At.Len > 0 && a.Expiry > 0 && a.Expiry <= d.now {
			return []session.Event{{Type: session.SessionErased}}, "", true, nil
		}
		return nil, "", false, nil
	case t.State == session.Waiting:
		if t.Wait.Until == 0 || t.Wait.Until > d.now {
			return nil, "", false, nil
		}
		switch t.Wait.Reason {
		case session.WaitApproval:
			events = k.expired(s, t, d)
		case session.WaitTimer:
			events = k.awake(s, t, d)
		}
		if len(events) > 0 {
			if d.epoch > s.Epoch {
				cause = "resume"
			}
			return events, cause, false, nil
		}
		fail := &session.Failure{Kind: waitFailure(t.Wait.Reason), Step: t.Wait.Step, Message: "nobody answered in time: " + t.Wait.Detail}
		return k.endWaiting(s, t, d, session.SignalExpire, session.Event{Type: session.TurnFailed, Turn: t.Ref, Failure: fail}), "", false, nil
	case s.Owner != "" && !slices.Contains(dead, s.Owner) && (s.Owner != k.id || j.run != nil):
		return nil, "", false, nil
	case !k.mayClaim():
		return nil, "", false, nil
	}
	cause = "resume"
	if s.Owner != "" {
		cause = "takeover"
	}
	return []session.Event{k.claim(s, d, cause)}, cause, false, nil
}

func waitFailure(r session.WaitReason) fault.Kind {
	switch r {
	case session.WaitInDoubt:
		return fault.InDoubt
	case session.WaitQuarantined:
		return fault.Quarantined
	}
	return fault.TimeoutTotal
}

// mayClaim reports whether this replica can take on another turn: it is not leaving, has room, and nobody can think
// that it is dead.
func (k *Kernel) mayClaim() bool {
	if k.room() <= 0 {
		k.starved.Store(true)
		return false
	}
	_, leased := k.leased()
	return leased && k.phase.Load() == operational
}

// room is how many more turns may run here.
func (k *Kernel) room() int { return k.cfg.MaxRunning - int(k.running.Load()) }

// claim makes this replica the owner in the record being drafted.
func (k *Kernel) claim(s *session.Session, d *draft, cause string) session.Event {
	d.epoch, d.term = s.Epoch+1, k.term.Load()
	return session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: k.id, Epoch: d.epoch, From: s.Owner, Cause: cause}}
}
