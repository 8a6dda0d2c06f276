package kerneltest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Outcome is what a run leaves behind.
type Outcome struct {
	Turns    []TurnOutcome // in the order of Agent.Turns
	Sessions []Transcript  // in the order of their first turn
	Effects  any           // what Agent.Effects read
}

// TurnOutcome is how a turn ended.
type TurnOutcome struct {
	State session.TurnState
	Reply agentkernel.Reply
	Kind  fault.Kind // of the failure, empty for none
	Error string     // the failure's message
}

// Transcript is a session's conversation.
type Transcript struct {
	Session  string
	Messages []model.Message
}

// outcome reads the turns and the conversations from a replica.
func (w *world) outcome(ctx context.Context, r *replica) (*Outcome, error) {
	o := &Outcome{}
	for _, req := range w.reqs {
		h, err := r.Start(ctx, req) // the key finds the turn
		if err != nil {
			return nil, err
		}
		i, err := h.Info(ctx)
		if err != nil {
			return nil, err
		}
		t := TurnOutcome{State: i.State, Reply: agentkernel.Reply{Value: i.Value}}
		if i.Result != nil {
			t.Reply.Text = *i.Result
		}
		if i.Error != nil {
			t.Kind, t.Error = i.Error.Kind, i.Error.Message
		}
		o.Turns = append(o.Turns, t)
	}
	for _, key := range w.keys() {
		messages, err := r.Messages(key)
		if err != nil {
			return nil, err
		}
		o.Sessions = append(o.Sessions, Transcript{Session: key.ID, Messages: messages})
	}
	return o, nil
}

// observe adds the outside world to an outcome, and asks what must hold.
func (w *world) observe(o *Outcome) {
	a := &w.l.a
	if a.Effects != nil {
		o.Effects = a.Effects()
	}
	if a.Check != nil {
		if err := a.Check(); err != nil {
			w.report("Check: %v", err)
		}
	}
	if a.Normalize != nil {
		a.Normalize(o)
	}
}

// excused reports that a call stayed unknown, or is known not to have happened, so that the turn may end in another way.
// On the way it compares what the journal says about calls with what was seen of them.
func (w *world) excused(at place) (loose bool) {
	for _, key := range w.keys() {
		s := &session.Session{Key: key}
		_, records, err := w.store.Read(context.Background(), key, 0, 0)
		for _, rec := range records {
			if err == nil {
				err = s.Apply(rec)
			}
		}
		if err != nil {
			w.report("the journal cannot be read: %v", err)
			return false
		}
		for _, t := range s.Turns {
			for _, st := range t.Steps {
				loose = loose || open(st)
				if lie := w.lie(st); lie != "" {
					w.report("%s. %s", at, lie)
				}
			}
		}
	}
	return loose
}

func open(st *session.Step) bool {
	return st.State == session.StepUnclear || st.Result != nil && st.Result.Healed ||
		st.Solved != nil && (st.Solved.Outcome == session.StaysUnknown || st.Solved.Outcome == session.DidNotHappen)
}

// lie is a finding about a call that is not so, empty if there is none.
func (w *world) lie(st *session.Step) string {
	if st.Solved == nil || st.Start == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.calls, func(c *calls) bool { return c.key == st.Start.Key })
	switch {
	case st.Solved.Outcome == session.DidNotHappen && i >= 0 && w.calls[i].done:
		return fmt.Sprintf("A call of %s was found not to have happened (by %s), but it had returned its result.", st.Start.Name, st.Solved.By)
	case st.Solved.Outcome == session.Happened && i < 0:
		return fmt.Sprintf("A call of %s was found to have happened (by %s), but it was never dispatched.", st.Start.Name, st.Solved.By)
	}
	return ""
}

// keys are the sessions of the conversation, in the order of their first turn.
func (w *world) keys() (keys []session.Key) {
	for _, req := range w.reqs {
		if key := (session.Key{Tenant: req.Tenant, ID: req.Session}); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// diff shows how two outcomes differ, empty if they do not.
func diff(want, got *Outcome) string {
	a, b := lines(want), lines(got)
	if slices.Equal(a, b) {
		if reflect.DeepEqual(want.Effects, got.Effects) {
			return ""
		}
		a, b = []string{fmt.Sprintf("effects: %#v", want.Effects)}, []string{fmt.Sprintf("effects: %#v", got.Effects)}
	}
	return strings.Join(changed(a, b), "\n")
}

// lines is an outcome in words.
func lines(o *Outcome) (all []string) {
	add := func(format string, args ...any) {
		for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
			all = append(all, line)
		}
	}
	for i, t := range o.Turns {
		switch {
		case t.Kind != "":
			add("turn %d: %s, %s: %s", i+1, t.State, t.Kind, t.Error)
		case len(t.Reply.Value) > 0:
			add("turn %d: %s, %q with value %s", i+1, t.State, t.Reply.Text, t.Reply.Value)
		default:
			add("turn %d: %s, %q", i+1, t.State, t.Reply.Text)
		}
	}
	for _, s := range o.Sessions {
		add("session %s:", s.Session)
		for _, m := range s.Messages {
			for _, p := range m.Parts {
				switch {
				case p.Call != nil:
					add("  %s calls %s(%s)", m.Role, p.Call.Name, p.Call.Args)
				case p.Result != nil && p.Result.IsError:
					add("  %s %s fails: %s", m.Role, p.Result.Name, p.Result.Content)
				case p.Result != nil:
					add("  %s %s answers: %s", m.Role, p.Result.Name, p.Result.Content)
				case p.File != nil:
					add("  %s sends %s, %s", m.Role, p.File.Name, p.File.Digest)
				default:
					add("  %s: %s", m.Role, p.Text)
				}
			}
		}
	}
	if o.Effects != nil {
		b, err := json.MarshalIndent(o.Effects, "", "  ")
		if err != nil {
			b = fmt.Appendf(nil, "%+v", o.Effects)
		}
		add("effects: %s", b)
	}
	return all
}

// changed are the lines that only one of two texts has, and the lines right before them.
func changed(a, b []string) (out []string) {
	common := longest(a, b)
	i, j, shown := 0, 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			if i > shown {
				out = append(out, "  "+a[i-1])
			}
			out = append(out, "- "+a[i])
			i++
			shown = i
		default:
			if i > shown {
				out = append(out, "  "+a[i-1])
				shown = i
			}
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

// longest is, for each pair of places, how many lines two texts have in common from there on.
func longest(a, b []string) [][]int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			table[i][j] = max(table[i+1][j], table[i][j+1])
			if a[i] == b[j] {
				table[i][j] = table[i+1][j+1] + 1
			}
		}
	}
	return table
}
