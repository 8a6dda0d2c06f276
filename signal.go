package agentkernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// TurnRef names a turn from outside.
type TurnRef struct {
	Tenant string
	ID     string
	By     string   // who says it, for the journal; empty is "operator"
	Roles  []string // of who says it; nil where there is no authentication, and everything is allowed
}

// find opens the journal of a turn. It is pinned.
func (k *Kernel) find(ref TurnRef) (*journal, session.TurnID, error) {
	id, err := session.ParseTurnID(ref.ID)
	if err != nil {
		return nil, id, err
	}
	return k.open(session.Key{Tenant: ref.Tenant, ID: id.Session}), id, nil
}

// lookup is the turn in the fold, or why it is not there.
func (j *journal) lookup(s *session.Session, id session.TurnID) (*session.Turn, error) {
	if t := s.Find(id); t != nil {
		return t, nil
	}
	if s.Past(id) {
		return nil, errPast
	}
	switch {
	case s.Erased || j.tomb != nil || id.Life < s.At.Life:
		return nil, fault.New(fault.Gone, "", "the turn's session was erased")
	case s.At.Life == 0 && isStateless(id.Session):
		return nil, fault.New(fault.NotFound, "", "turn %s was answered while the store did not answer, and was not kept", id)
	case id.Life == s.At.Life && id.Ref.Seq <= s.Cleared:
		return nil, fault.New(fault.Gone, "", "the turn's session expired and was cleared")
	}
	if j.sending && (id.Life == s.At.Life || s.At.Life == 0) && id.Ref.Seq > s.At.Len {
		return nil, fault.New(fault.Unavailable, "", "it is not decided yet whether turn %s exists", id).WithAfter(time.Second)
	}
	j.k.obs.LostByStore()
	return nil, fault.New(fault.LostByStore, "", "the store no longer has turn %s, which it had acknowledged, or the id is not a real one", id)
}

// errPast says that the fold has let go of a turn: its records tell of it.
var errPast = errors.New("the turn is not in the fold any more")

// tell writes a signal to a turn, and what follows from it.
func (k *Kernel) tell(ctx context.Context, ref TurnRef, f func(s *session.Session, t *session.Turn, d *draft) ([]session.Event, error)) (*Handle, error) {
	j, id, err := k.find(ref)
	if err != nil {
		return nil, err
	}
	defer j.unpin()
	if err := k.store.enter(); err != nil {
		return nil, err
	}
	if err := j.refresh(); err != nil {
		return nil, err
	}
	_, err = j.propose(ctx, &proposal{class: signaling, write: func(s *session.Session, d *draft) ([]session.Event, error) {
		t, err := j.lookup(s, id)
		if errors.Is(err, errPast) {
			return nil, fault.New(fault.Conflict, "", "turn %s has ended long ago", id)
		}
		if err != nil {
			return nil, err
		}
		return f(s, t, d)
	}})
	if err != nil {
		return nil, err
	}
	return &Handle{k: k, key: j.key, id: id}, nil
}

func by(ref TurnRef) string {
	if ref.By == "" {
		return "operator"
	}
	return ref.By
}

func signal(t *session.Turn, kind session.SignalKind, who, note string) session.Event {
	return session.Event{Type: session.TurnSignaled, Turn: t.Ref, Signal: &session.Signal{Kind: kind, By: who, Note: note}}
}

func ended(t *session.Turn) error {
	return fault.New(fault.Conflict, "", "turn %s is %s already", t.ID, t.State)
}

// Cancel ends a turn. One that runs is told to stop and ends soon; one that waits or is queued ends at once. Cancelling
// a cancelled turn is not an error.
func (k *Kernel) Cancel(ctx context.Context, ref TurnRef) (*Handle, error) {
	if session, _, _ := strings.Cut(ref.ID, "~"); k.keeper(session) != k {
		return k.scratch.Cancel(ctx, ref)
	}
	return k.tell(ctx, ref, func(s *session.Session, t *session.Turn, d *draft) ([]session.Event, error) {
		switch {
		case t.State == session.Cancelled || t.Cancel != nil:
			return nil, nil
		case t.State.Ended():
			return nil, ended(t)
		case t.State == session.Running:
			events := []session.Event{signal(t, session.SignalCancel, by(ref), "")}
			if s.Owner == "" && k.mayClaim() { // handed over, and nobody took it yet
				events = append(events, k.claim(s, d, "resume"))
			}
			return events, nil
		}
		return k.endWaiting(s, t, d, session.SignalCancel, session.Event{Type: session.TurnCancelled, Turn: t.Ref}), nil
	})
}

// endWaiting ends a turn that nobody runs, closes its open calls, and claims the session if another turn is behind it.
func (k *Kernel) endWaiting(s *session.Session, t *session.Turn, d *draft, kind session.SignalKind, last session.Event) []session.Event {
	events := []session.Event{signal(t, kind, k.id, "")}
	events = append(append(events, heal(t, nil)...), last)
	if s.Current() == t && len(s.Open) > 1 && s.Owner == "" && k.mayClaim() {
		events = append(events, k.claim(s, d, "resume"))
	}
	return events
}

// Resolution is a person's word about a call in doubt.
type Resolution struct {
	Step    string          // empty when the turn has one call in doubt
	Outcome session.Outcome // Happened, DidNotHappen or RunAgain
	Result  string          // what the call answered, if it happened
	Note    string
}

// Resolve ends a doubt, and the turn goes on.
func (k *Kernel) Resolve(ctx context.Context, ref TurnRef, r Resolution) (*Handle, error) {
	switch r.Outcome {
	case session.Happened, session.DidNotHappen, session.RunAgain:
	default:
		return nil, fault.New(fault.BadRequest, "", "outcome is %.40q", string(r.Outcome)).WithTry("say happened, not_happened or run_again")
	}
	return k.tell(ctx, ref, func(s *session.Session, t *session.Turn, d *draft) ([]session.Event, error) {
		st, err := doubtful(t, r.Step)
		if err != nil {
			return nil, err
		}
		res := session.Event{Type: session.StepResolved, Turn: t.Ref, Step: st.Key, Resolved: &session.Resolution{
			Outcome: r.Outcome, By: by(ref), Note: r.Note, Value: resolvedValue(st, r),
		}}
		events := []session.Event{signal(t, session.SignalResolve, by(ref), r.Note), res}
		if s.Owner == "" && k.mayClaim() {
			events = append(events, k.claim(s, d, "resume"))
		}
		return events, nil
	})
}

// doubtful is the step that a resolution is about.
func doubtful(t *session.Turn, step string) (*session.Step, error) {
	if t.State.Ended() {
		return nil, ended(t)
	}
	steps := t.InDoubt()
	if t.State != session.Waiting || t.Wait.Reason != session.WaitInDoubt || len(steps) == 0 {
		return nil, fault.New(fault.Conflict, "", "turn %s does not wait for a word about a call in doubt", t.ID)
	}
	if step == "" && len(steps) == 1 {
		return steps[0], nil
	}
	names := make([]string, len(steps))
	for i, st := range steps {
		if st.Key == step {
			return st, nil
		}
		names[i] = st.Key
	}
	return nil, fault.New(fault.BadRequest, "", "step %.40q is not in doubt", step).WithTry("name one of %v", names)
}

func resolvedValue(st *session.Step, r Resolution) json.RawMessage {
	if r.Outcome == session.RunAgain {
		return nil
	}
	res := model.Result{Name: st.Start.Name, Content: r.Result}
	if r.Outcome == session.DidNotHappen {
		res.IsError = true
		res.Content = "the call was interrupted and did not take place"
		if r.Note != "" {
			res.Content += ": " + r.Note
		}
	}
	return mustJSON(res)
}

// Release lets a quarantined turn run again.
func (k *Kernel) Release(ctx context.Context, ref TurnRef) (*Handle, error) {
	return k.tell(ctx, ref, func(s *session.Session, t *session.Turn, d *draft) ([]session.Event, error) {
		if err := quarantined(t); err != nil {
			return nil, err
		}
		events := []session.Event{signal(t, session.SignalRelease, by(ref), "")}
		if s.Owner == "" && k.mayClaim() {
			events = append(events, k.claim(s, d, "resume"))
		}
		return events, nil
	})
}

// Discard ends a quarantined turn as failed.
func (k *Kernel) Discard(ctx context.Context, ref TurnRef) (*Handle, error) {
	return k.tell(ctx, ref, func(s *session.Session, t *session.Turn, d *draft) ([]session.Event, error) {
		if err := quarantined(t); err != nil {
			return nil, err
		}
		fail := &session.Failure{Kind: fault.Quarantined, Message: "discarded after " + t.Wait.Detail}
		return k.endWaiting(s, t, d, session.SignalDiscard, session.Event{Type: session.TurnFailed, Turn: t.Ref, Failure: fail}), nil
	})
}

func quarantined(t *session.Turn) error {
	if t.State.Ended() {
		return ended(t)
	}
	if t.State != session.Waiting || t.Wait.Reason != session.WaitQuarantined {
		return fault.New(fault.Conflict, "", "turn %s is not quarantined", t.ID)
	}
	return nil
}

// Retry starts a failed or cancelled turn again, as a new one that inherits what was already done. Retrying twice gives
// the same new turn.
func (k *Kernel) Retry(ctx context.Context, ref TurnRef) (*Handle, error) {
	j, id, err := k.find(ref)
	if err != nil {
		return nil, err
	}
	defer j.unpin()
	if err := j.refresh(); err != nil {
		return nil, err
	}
	var agent *Agent
	var a session.Request
	err = j.view(func(s *session.Session) error {
		t, err := j.lookup(s, id)
		if errors.Is(err, errPast) {
			return fault.New(fault.Gone, "", "turn %s is too old to be retried: the conversation was summed up since", id)
		}
		if err != nil {
			return err
		}
		if t.State != session.Failed && t.State != session.Cancelled {
			return fault.New(fault.Conflict, "", "turn %s is %s", id, t.State).WithTry("retry failed and cancelled turns only")
		}
		agent, err = k.agent(t.Request.Agent)
		a = session.Request{
			Agent: t.Request.Agent, Input: t.Request.Input, Extra: t.Request.Extra, RetryOf: t.Ref,
			Key: "retry:" + id.String(), Digest: id.Tag,
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return k.accept(ctx, j.key, &asking{agent: agent, named: true, req: a})
}

// Erase deletes a session: its running turn stops, its content is deleted, and what is left keeps only hashes of its
// idempotency keys for the time they are remembered. Erasing what does not exist is NotFound.
func (k *Kernel) Erase(ctx context.Context, key session.Key) error {
	j := k.open(key)
	defer j.unpin()
	if err := j.refresh(); err != nil {
		return err
	}
	_, err := j.propose(ctx, &proposal{class: claiming, write: func(s *session.Session, _ *draft) ([]session.Event, error) {
		switch {
		case s.At.Len == 0:
			return nil, noSession(key)
		case s.Erased:
			return nil, nil
		}
		return []session.Event{{Type: session.SessionErased}}, nil
	}})
	if err != nil {
		return err
	}
	return k.finishErase(ctx, j)
}

func noSession(key session.Key) error {
	return fault.New(fault.NotFound, "", "there is no session %s", key.ID)
}

// finishErase deletes what session.erased condemned. It may run several times, here and elsewhere.
func (k *Kernel) finishErase(ctx context.Context, j *journal) error {
	var at session.Position
	var tomb session.Tombstone
	err := j.view(func(s *session.Session) error {
		at = s.At
		if !s.Erased {
			return nil // someone finished it
		}
		tomb.Until = now() + millis(k.cfg.IdempotencyTTL)
		for _, key := range s.KeysInUse(now()) {
			tomb.Keys = append(tomb.Keys, hashKey(key))
		}
		return nil
	})
	if err != nil || tomb.Until == 0 {
		return err
	}
	_ = k.fp.Hit(failpoint.EraseBefore)
	sctx, cancel := context.WithTimeout(ctx, k.cfg.StoreTimeout)
	defer cancel()
	if err := k.store.Erase(sctx, j.key, at, tomb); err != nil {
		return fault.New(fault.Unavailable, "", "the session is marked as erased and will be deleted soon: %w", err).WithAfter(time.Second)
	}
	_ = k.fp.Hit(failpoint.EraseAfter)
	k.blobs.forget(j.key)
	if err := j.refresh(); err != nil {
		return fmt.Errorf("after the erase: %w", err)
	}
	return nil
}
