package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Causes with which a runner's context ends. Each means something else for its turn.
var (
	errFenced    = errors.New("another replica owns the session now")            // write nothing, dispatch nothing
	errCancelled = errors.New("the turn was cancelled")                          // the turn ends as cancelled
	errDrain     = errors.New("this replica is leaving; the turn goes on later") // hand over
	errWall      = errors.New("the turn ran longer than its limit")              // the turn fails
)

// tenure is the time in which this replica owns a session, under one epoch. It runs the session's turns one after the
// other, and ends when there is nothing to run, when another replica took over, or on a hand-over.
type tenure struct {
	j     *journal
	epoch uint64
	ctx   context.Context
	end   context.CancelCauseFunc
	term  atomic.Uint64 // of the lease, in which the session was last known to be ours

	mu   sync.Mutex
	turn session.Ref             // running now
	stem context.CancelCauseFunc // ends the running turn
}

// begin starts the tenure that a claim just made. j.mu is held.
func (k *Kernel) begin(j *journal, epoch, term uint64) *tenure {
	r := &tenure{j: j, epoch: epoch}
	r.term.Store(term)
	r.ctx, r.end = context.WithCancelCause(k.ctx)
	j.pins++
	k.running.Add(1)
	if !k.background(r.serve) {
		j.pins--
		k.running.Add(-1)
		r.end(errClosed)
	}
	return r
}

// stop ends the tenure without another word to the journal.
func (r *tenure) stop(cause error) { r.end(cause) }

// signal tells the running turn what the fold holds for it. j.mu is held.
func (r *tenure) signal(t *session.Turn) {
	if t == nil || t.Cancel == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn == t.Ref && r.stem != nil {
		r.stem(errCancelled)
	}
}

// serve runs turns until there is none left.
func (r *tenure) serve() {
	k, j := r.j.k, r.j
	stopWatch := k.follow.add(j)
	defer stopWatch()
	defer r.end(errClosed)
	for {
		j.mu.Lock()
		ref, agent, ok := r.next()
		if !ok {
			j.run = nil
			j.live.clear()
			k.running.Add(-1)
			if j.s != nil && j.s.Epoch != r.epoch {
				j.moved() // claimed again while this tenure was on its way out
			}
			j.unpinLocked()
			j.mu.Unlock()
			if k.room()*16 >= k.cfg.MaxRunning && k.starved.Swap(false) { // some room, so that not every end makes a sweep
				k.sweepSoon()
			}
			return
		}
		j.mu.Unlock()
		r.runTurn(ref, agent)
	}
}

// next is the turn to run; none when the tenure is over. j.mu is held.
func (r *tenure) next() (session.Ref, string, bool) {
	s := r.j.s
	if r.ctx.Err() != nil || s == nil || s.Owner != r.j.k.id || s.Epoch != r.epoch || !s.Runnable() {
		return session.Ref{}, "", false
	}
	t := s.Current()
	return t.Ref, t.Request.Agent, true
}

// runTurn runs one turn as far as it goes and writes what became of it. It runs it again from the top when the user said
// something that nobody has heard just before it would have ended.
func (r *tenure) runTurn(ref session.Ref, agentName string) {
	k := r.j.k
	began := time.Now()
	for tries := 0; ; tries++ {
		state, kind, degraded, again := r.runOnce(ref, agentName, tries > maxReruns)
		if again {
			continue
		}
		if state.Ended() {
			k.obs.TurnEnded(agentName, state, kind, time.Since(began))
			for _, d := range degraded {
				k.obs.Degraded(agentName, d.What)
			}
		}
		return
	}
}

// maxReruns is far above what people can say while a turn ends.
const maxReruns = 1000

func (r *tenure) runOnce(ref session.Ref, agentName string, deaf bool) (state session.TurnState, kind fault.Kind, degraded []session.Degraded, again bool) {
	k := r.j.k
	agent, err := k.agent(agentName)
	t := &Turn{work: &work{k: k, j: r.j, tenure: r, ref: ref}, agent: agent}
	if err == nil {
		err = t.open()
	}
	if err == nil && deaf {
		err = fault.New(fault.Internal, "", "the agent does not hear what the user says while it works")
	}
	if err != nil {
		state, kind, again = r.write(t, Reply{}, err)
		return state, kind, nil, again
	}
	ctx, stem := context.WithCancelCause(r.ctx)
	defer stem(errClosed)
	ctx, cancel := context.WithTimeoutCause(ctx, max(0, agent.Limits.Wall-t.ran), errWall)
	defer cancel()
	r.mu.Lock()
	r.turn, r.stem = ref, stem
	r.mu.Unlock()
	r.j.mu.Lock()
	if r.j.s != nil {
		r.signal(r.j.s.Current()) // a cancel that came before there was anything to stop
	}
	r.j.mu.Unlock()

	reply, err := t.run(ctx)
	r.mu.Lock()
	r.stem = nil
	r.mu.Unlock()
	if ctx.Err() != nil && err != nil && !errors.Is(err, errRest) {
		err = context.Cause(ctx)
	}
	if t.resting() && !isCause(err) && !decisive(err) {
		err = errRest // whatever the runner made of it
	}
	state, kind, again = r.write(t, reply, err)
	return state, kind, reply.Degraded, again
}

// run is the whole of a turn: what is to be forgotten of the conversation, the hooks, and the runner between them.
func (t *Turn) run(ctx context.Context) (reply Reply, err error) {
	if t.quarantine != "" {
		return Reply{}, t.rest(session.Wait{Reason: session.WaitQuarantined, Detail: t.quarantine})
	}
	if err := t.compact(ctx); err != nil {
		return Reply{}, err
	}
	asked := t.agent
	early, err := t.before(ctx)
	switch {
	case err != nil:
		return Reply{}, err
	case early != nil:
		reply = *early
	default:
		if reply, err = t.guard(ctx, asked.Runner); err != nil {
			return reply, err
		}
	}
	return t.after(ctx, asked, reply)
}

// guard calls a runner behind a panic barrier.
func (t *Turn) guard(ctx context.Context, runner Runner) (reply Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.k.log.Error("a runner panicked", "session", t.j.key.ID, "turn", t.id.String(), "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "", "the agent's code failed")
		}
	}()
	return runner.Run(ctx, t)
}

// isCause reports whether an error says that the turn was stopped from outside.
func isCause(err error) bool {
	for _, cause := range []error{errFenced, errCancelled, errDrain, errWall, errClosed} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// decisive reports whether an error ends the turn although another step of it would have had to wait.
func decisive(err error) bool {
	switch fault.KindOf(err) {
	case fault.Diverged, fault.InDoubt, fault.Corrupt, fault.Budget:
		return true
	}
	return false
}

// errUnheard says that a turn cannot complete yet.
var errUnheard = errors.New("the user said something that nobody has heard")

// write puts a turn's outcome into the journal, and returns the state it gave it (empty: none), or that the turn must be
// run again.
func (r *tenure) write(t *Turn, reply Reply, err error) (state session.TurnState, kind fault.Kind, again bool) {
	switch {
	case errors.Is(err, errRest):
		if err = t.settleDown(); err == nil || !errors.Is(err, errCancelled) {
			return "", "", false
		}
	case errors.Is(err, errFenced), errors.Is(err, errClosed):
		return "", "", false
	case errors.Is(err, errDrain):
		r.handOver(t)
		return "", "", false
	}
	events := t.take()
	_, werr := r.j.propose(r.ctx, &proposal{class: ending, hold: true, write: func(s *session.Session, _ *draft) ([]session.Event, error) {
		turn, gone := t.owned(s)
		if gone != nil {
			return nil, gone
		}
		var last session.Event
		last, state, kind = lastWord(turn, reply, err)
		if state == session.Completed && len(turn.Messages) > heardWith(turn, events) {
			return nil, errUnheard
		}
		all := events[:len(events):len(events)]
		if state != session.Completed {
			all = append(all, heal(turn, events)...)
		}
		return append(all, last), nil
	}})
	if errors.Is(werr, errUnheard) {
		if werr = t.commit(working, events); werr == nil {
			return "", "", true
		}
	}
	if werr != nil {
		t.waste(events)
		if !errors.Is(werr, errFenced) && r.ctx.Err() == nil {
			t.k.log.Error("a turn's end could not be written", "session", r.j.key.ID, "turn", t.id.String(), "error", werr)
		}
		r.end(errFenced)
		return "", "", false
	}
	return state, kind, false
}

// heardWith is how many messages the turn has heard, once those events are in the journal too.
func heardWith(t *session.Turn, events []session.Event) int {
	heard := t.Heard
	for _, e := range events {
		if e.Result != nil {
			heard = max(heard, e.Result.Heard)
		}
	}
	return heard
}

// lastWord is the terminal event of a turn. A cancel that the fold holds comes before everything.
func lastWord(turn *session.Turn, reply Reply, err error) (session.Event, session.TurnState, fault.Kind) {
	e := session.Event{Turn: turn.Ref}
	switch {
	case turn.Cancel != nil || errors.Is(err, errCancelled):
		e.Type = session.TurnCancelled
		return e, session.Cancelled, fault.Cancelled
	case err == nil:
		e.Type, e.Reply = session.TurnCompleted, &reply
		return e, session.Completed, ""
	}
	e.Type, e.Failure = session.TurnFailed, failureOf(err)
	return e, session.Failed, e.Failure.Kind
}

// failureOf is an error as the journal keeps it.
func failureOf(err error) *session.Failure {
	if errors.Is(err, errWall) {
		return &session.Failure{Kind: fault.Budget, Message: errWall.Error()}
	}
	kind := fault.KindOf(err)
	message := err.Error()
	if kind == fault.Unknown { // nobody vouched for this text
		message = "the agent failed: " + message
	}
	return &session.Failure{Kind: kind, Message: message, AfterMS: fault.After(err).Milliseconds()}
}

// handOver gives the session up at a step boundary, with what was finished so far.
func (r *tenure) handOver(t *Turn) {
	e := session.Event{Type: session.SessionReleased, Release: &session.Release{Replica: r.j.k.id, Cause: "drain"}}
	events := append(t.take(), e)
	_, err := r.j.propose(r.ctx, &proposal{class: claiming, hold: true, write: func(s *session.Session, _ *draft) ([]session.Event, error) {
		_, err := t.owned(s)
		return events, err
	}})
	if err != nil && !errors.Is(err, errFenced) {
		r.j.k.log.Warn("a session could not be handed over; it will be taken over", "session", r.j.key.ID, "error", err)
	}
	r.end(errDrain)
}
