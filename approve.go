package agentkernel

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// A call that needs a person's yes is not dispatched, and no intent is journaled, before that yes is in the journal. The
// turn asks with the call's exact arguments and a digest of them, and rests. A decision is a signal about the step that
// names the digest; the fold takes one for each question and refuses a second one, so of two people who answer at once
// one is told that it is decided. When all questions are decided the turn runs again from the top: a step with a yes is
// dispatched like any other, once, under the rules of its effect class; a step with a no has that for its result.
//
// What can go wrong: the process dies after the decision was recorded (the next owner reads it), the answer to the
// decision is lost (the same decision again is no error), nobody answers in time (that is a no, written by whoever sweeps),
// the turn is cancelled first (the decision is refused), another build asks with other arguments (the digest differs, and
// it is asked anew).

// Decision is a person's yes or no to what a turn asks.
type Decision struct {
	Step   string // empty when the turn asks one thing
	Digest string // of what the person was shown, as the Ask has it; empty leaves the check to the journal
	Note   string // told to the model with a no
}

// Approve says yes to a call that a turn waits with; once all that it asks is decided, the turn goes on.
func (k *Kernel) Approve(ctx context.Context, ref TurnRef, d Decision) (*Handle, error) {
	return k.decide(ctx, ref, d, session.SignalApprove)
}

// Deny says no; the model is told, with the note.
func (k *Kernel) Deny(ctx context.Context, ref TurnRef, d Decision) (*Handle, error) {
	return k.decide(ctx, ref, d, session.SignalDeny)
}

func (k *Kernel) decide(ctx context.Context, ref TurnRef, d Decision, kind session.SignalKind) (*Handle, error) {
	news := false
	h, err := k.tell(ctx, ref, func(s *session.Session, t *session.Turn, dr *draft) ([]session.Event, error) {
		news = false
		ask, err := asked(t, d.Step)
		if err != nil {
			if st := t.Step(d.Step); d.Step != "" && st != nil && st.Word != nil && st.Word.Kind == kind {
				return nil, nil // it was said before
			}
			return nil, err
		}
		switch {
		case d.Digest != "" && d.Digest != ask.Digest:
			return nil, fault.New(fault.Conflict, "", "step %s asks something else than what was decided about", ask.Step).
				WithTry("look at the turn again: its question has digest %s", ask.Digest)
		case !mayDecide(ref.Roles, ask.Roles):
			return nil, fault.New(fault.Forbidden, "", "step %s is to be decided by role %v", ask.Step, ask.Roles)
		}
		news = true
		events := []session.Event{decision(t, *ask, kind, by(ref), d.Note)}
		if len(t.Wait.Asks) == 1 && s.Owner == "" && k.mayClaim() {
			events = append(events, k.claim(s, dr, "resume"))
		}
		return events, nil
	})
	if err == nil && news {
		k.obs.Decided(string(kind))
	}
	return h, err
}

func decision(t *session.Turn, ask session.Ask, kind session.SignalKind, who, note string) session.Event {
	e := signal(t, kind, who, note)
	e.Step, e.Signal.Digest = ask.Step, ask.Digest
	return e
}

// asked is the question that a decision is about.
func asked(t *session.Turn, step string) (*session.Ask, error) {
	if t.State.Ended() {
		return nil, ended(t)
	}
	if t.State != session.Waiting || len(t.Wait.Asks) == 0 {
		return nil, fault.New(fault.Conflict, "", "turn %s does not wait for approval", t.ID)
	}
	names := make([]string, 0, len(t.Wait.Asks))
	for i, a := range t.Wait.Asks {
		if a.Step == step || step == "" && len(t.Wait.Asks) == 1 {
			return &t.Wait.Asks[i], nil
		}
		names = append(names, a.Step)
	}
	kind := fault.BadRequest
	if st := t.Step(step); st != nil && st.Word != nil {
		return nil, fault.New(fault.Conflict, "", "step %s is decided already: %s", step, st.Word.Kind)
	}
	return nil, fault.New(kind, "", "turn %s does not ask about step %.40q", t.ID, step).WithTry("name one of %v", names)
}

// mayDecide reports whether someone with those roles may answer. Without authentication (nil) everyone may.
func mayDecide(has, wanted []string) bool {
	if has == nil || len(wanted) == 0 {
		return true
	}
	return slices.ContainsFunc(wanted, func(r string) bool { return slices.Contains(has, r) })
}

// expired denies what nobody answered in time.
func (k *Kernel) expired(s *session.Session, t *session.Turn, d *draft) []session.Event {
	var events []session.Event
	for _, a := range t.Wait.Asks {
		if a.Until <= d.now {
			events = append(events, decision(t, a, session.SignalDeny, "expiry", "nobody answered in time"))
		}
	}
	if len(events) == len(t.Wait.Asks) && s.Owner == "" && k.mayClaim() {
		events = append(events, k.claim(s, d, "resume"))
	}
	return events
}

// question is what a person is asked about a step.
func (t *Turn) question(step, name string, args json.RawMessage, a Approval) session.Wait {
	until := now() + millis(min(orDefault(a.Expires, defaultExpires), t.k.cfg.WaitMax))
	return session.Wait{
		Reason: session.WaitApproval, Until: until, Detail: "may it be done?",
		Asks: []session.Ask{{Step: step, Name: name, Args: args, Digest: askDigest(name, args), Roles: a.Roles, Until: until}},
	}
}

// askDigest binds a decision to what it was about.
func askDigest(name string, args json.RawMessage) string { return digest([]any{name, args}) }

func (c *call) asks() session.Wait {
	return c.t.question(c.key, c.tool.Name, c.model.Args, c.tool.Approval)
}

// word is the decision about this very call, nil when there is none.
func (c *call) word() *session.Signal {
	if c.step == nil || c.step.Word == nil || c.step.Word.Digest != askDigest(c.model.Name, c.model.Args) {
		return nil
	}
	return c.step.Word
}

// allowed reports that the call needs no approval or has it.
func (c *call) allowed() bool {
	if c.tool == nil || c.tool.Approval.When != AlwaysApprove {
		return true
	}
	w := c.word()
	return w != nil && w.Kind == session.SignalApprove
}

func (c *call) denied() bool {
	w := c.word()
	return c.fresh() && w != nil && w.Kind == session.SignalDeny
}

func (c *call) denial() string {
	w := c.word()
	text := "the call was not made: it was denied"
	if w.By == "expiry" {
		return text + ", because nobody approved it in time"
	}
	if w.Note != "" {
		text += ": " + w.Note
	}
	return text
}

// Answer is a person's answer to a question of the agent's own code.
type Answer struct {
	Approved bool
	By       string
	Note     string
	Expired  bool // nobody answered in time, which is a no
}

// Await asks a person whether something may be done, and gives the answer once there is one; until then the turn rests.
// Names are unique within a turn. The answer holds for this name and exactly these arguments, which the person is shown.
func (t *Turn) Await(ctx context.Context, name string, args any, a Approval) (Answer, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return Answer{}, fault.New(fault.Internal, "", "the arguments of question %s have no JSON form: %w", name, err)
	}
	key := t.path + "a:" + name
	if err := t.enter(key); err != nil {
		return Answer{}, err
	}
	st, err := t.recorded(ctx, key)
	if err != nil {
		return Answer{}, err
	}
	if st != nil && st.Word != nil && st.Word.Digest == askDigest(name, raw) {
		w := st.Word
		return Answer{Approved: w.Kind == session.SignalApprove, By: w.By, Note: w.Note, Expired: w.By == "expiry"}, nil
	}
	if err := t.flush(ctx); err != nil {
		return Answer{}, err
	}
	return Answer{}, t.rest(t.question(key, name, raw, a))
}
