package session

import (
	"encoding/json"
	"slices"
	"strings"
)

// Turn is a turn as the fold knows it.
type Turn struct {
	ID      TurnID
	Ref     Ref
	State   TurnState
	Request Request
	Root    TurnID // the first turn of a chain of retries, itself when there is none; idempotency keys derive from it

	AcceptedAt Millis
	StartedAt  Millis
	EndedAt    Millis
	EndSeq     uint64 // the record that ended it
	Ran        Millis // time spent running, as far as the journal saw it

	Steps      []*Step   // in order of their keys' first event
	Wait       *Wait     // set while waiting
	Cancel     *Signal   // an unread request to cancel
	Recoveries int       // takeovers since the last progress
	Retried    bool      // a later turn took its place
	Sets       []Setting // its changes of the session's state, in order; they are made when it completes
	Messages   []Message // what the user said while it ran
	Heard      int       // so many of Messages were shown to the model
	Agent      string    // who has the conversation, once it was handed over

	Reply   *Reply
	Failure *Failure
	Input   int64 // tokens read by its model steps
	Output  int64
	Cost    int64 // of its model steps, in millionths of a dollar
}

// Message is what the user said to a turn while it ran.
type Message struct {
	Input json.RawMessage
	At    Millis
}

// Step is a step as the fold knows it.
type Step struct {
	Key    string
	State  StepState
	Start  *Start      // the newest intent, where one was journaled
	Result *StepResult // set when done
	Doubt  *Doubt      // set when in doubt, and still when the step was closed without an answer to it
	Solved *Resolution // the newest resolution
	Word   *Signal     // what was said about it from outside: approve, deny or wake
}

// Step is the step of that key, nil when the journal has none.
func (t *Turn) Step(key string) *Step {
	for _, s := range t.Steps {
		if s.Key == key {
			return s
		}
	}
	return nil
}

func (t *Turn) step(key string) *Step {
	if s := t.Step(key); s != nil {
		return s
	}
	s := &Step{Key: key, State: StepOpen}
	t.Steps = append(t.Steps, s)
	return s
}

func (t *Turn) clone() *Turn {
	c := *t
	c.Sets, c.Messages = slices.Clip(t.Sets), slices.Clip(t.Messages)
	c.Steps = make([]*Step, len(t.Steps), len(t.Steps)+1)
	for i, s := range t.Steps {
		step := *s
		c.Steps[i] = &step
	}
	return &c
}

// InDoubt are the steps whose outcome is not known.
func (t *Turn) InDoubt() []*Step {
	var steps []*Step
	for _, s := range t.Steps {
		if s.State == StepUnclear {
			steps = append(steps, s)
		}
	}
	return steps
}

// inherit copies from an ended turn what a retry of it starts with: every paid result, and every call that may have had
// an effect. Failed model calls and failed user steps are what the retry is for.
func (t *Turn) inherit(from *Turn) {
	t.Root, t.Agent = from.Root, from.Agent
	t.Messages = slices.Clip(from.Messages)
	for _, s := range from.Steps {
		c := *s
		switch {
		case s.State != StepDone:
		case s.Result.Healed && s.Doubt == nil:
			continue // it never ran
		case s.Result.Healed:
			c.State, c.Result = StepUnclear, nil
		case s.Result.Error != nil && s.Result.Kind != ToolStep:
			continue
		}
		if c.Result != nil {
			t.Heard = max(t.Heard, c.Result.Heard)
		}
		t.Steps = append(t.Steps, &c)
	}
}

// KeyUse is what an idempotency key was used for.
type KeyUse struct {
	Key    string
	Turn   TurnID
	Digest string
	Until  Millis
}

// Session is the folded state of one session. The zero value with a Key is a session that was never used.
type Session struct {
	Key     Key
	At      Position
	Owner   string // the replica that runs its turns, empty when there is nothing to run
	Epoch   uint64
	OwnedAt Millis
	Created Millis
	Updated Millis // the latest time in its records, by their writers' clocks
	Erased  bool   // session.erased is in the journal; what is left is waiting to be deleted

	Turns []*Turn // every turn since the beginning, the last clearing, or what Summary covers, in order of acceptance
	Open  []*Turn // the unfinished ones among them, in order
	State map[string]json.RawMessage

	Summary *Summary // of the turns that are not in Turns any more
	Agent   string   // who has the conversation, after a hand-over
	Cleared uint64   // the record that cleared the session last
	Retries int      // turns that took the place of another one
	Folds   int      // times that turns left Turns

	byRef map[Ref]*Turn
	keys  map[string]KeyUse
	fifo  []string // keys in order of use, for forgetting

	preview bool    // only the head matters: see Preview
	left    []*Turn // in a preview, its own copies of the turns that have ended in it
}

// Turn is the turn with that reference, nil when there is none.
func (s *Session) Turn(ref Ref) *Turn {
	for _, t := range s.Open {
		if t.Ref == ref {
			return t
		}
	}
	for _, t := range s.left {
		if t.Ref == ref {
			return t
		}
	}
	return s.byRef[ref]
}

// Past reports that the id names a turn that Summary covers: it is in the journal, if it is anywhere.
func (s *Session) Past(id TurnID) bool {
	return s.Summary != nil && id.Life == s.At.Life && id.Ref.Seq > s.Cleared && !s.Summary.Through.Less(id.Ref)
}

// Find is the turn with that id: nil when this journal never held it, or holds another one in its place.
func (s *Session) Find(id TurnID) *Turn {
	if t := s.Turn(id.Ref); t != nil && t.ID == id {
		return t
	}
	return nil
}

// Used tells what an idempotency key was used for, as long as it is remembered at time now.
func (s *Session) Used(key string, now Millis) (KeyUse, bool) {
	u, ok := s.keys[key]
	return u, ok && u.Until > now
}

// KeysInUse lists the idempotency keys that are remembered at time now.
func (s *Session) KeysInUse(now Millis) []string {
	var keys []string
	for k, u := range s.keys {
		if u.Until > now {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}

// Current is the turn whose time it is, running or waiting or about to start; nil when the session is idle.
func (s *Session) Current() *Turn {
	if len(s.Open) == 0 {
		return nil
	}
	return s.Open[0]
}

// Runnable reports that there is a turn that an owner could work on now.
func (s *Session) Runnable() bool {
	t := s.Current()
	return t != nil && t.State != Waiting && !s.Erased
}

// Attention derives the head's attention from the state. ttl is how long an idle session is kept, in milliseconds, 0
// for ever.
func (s *Session) Attention(ttl Millis) Attention {
	a := Attention{Owner: s.Owner, Epoch: s.Epoch}
	switch t := s.Current(); {
	case s.Erased:
		a.Due = s.Updated
	case s.Owner != "":
		a.Due = s.OwnedAt
	case t == nil && ttl > 0:
		a.Due, a.Expiry = s.Updated+ttl, s.Updated+ttl
	case t != nil && t.State == Waiting:
		a.Due = t.Wait.Until
	case t != nil:
		a.Due = s.Updated
	}
	return a
}
