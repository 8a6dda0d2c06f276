package agentkernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Types of stream events. All but delta and attempt.reset come from the journal, and are sent exactly once to a reader
// that resumes with the id of the last one it has seen, at any replica and after any crash.
const (
	EventAccepted  = "turn.accepted"
	EventStarted   = "step.started"
	EventDelta     = "delta"
	EventReset     = "attempt.reset"
	EventCompleted = "step.completed"
	EventWaiting   = "waiting"
	EventDone      = "done"
)

// Event is one thing that a reader of a turn is told.
type Event struct {
	ID   string          `json:"id"` // resume after it with this
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// cursor is a place in a turn's stream: after event index of record seq, and after so many bytes of the text that an
// attempt has streamed since.
type cursor struct {
	seq   uint64
	index int
	piece // of text, if any was seen after the journaled event
	off   int
}

// piece names a text being streamed.
type piece struct {
	epoch   uint64
	step    string
	attempt int
}

func (c cursor) String() string {
	id := fmt.Sprintf("%d.%d", c.seq, c.index)
	if c.step != "" {
		id += fmt.Sprintf("-%d.%s.%d.%d", c.epoch, c.step, c.attempt, c.off)
	}
	return id
}

func parseCursor(s string) (c cursor, ok bool) {
	at, text, streamed := strings.Cut(s, "-")
	seq, index, ok := strings.Cut(at, ".")
	var errs [5]error
	c.seq, errs[0] = strconv.ParseUint(seq, 10, 64)
	c.index, errs[1] = strconv.Atoi(index)
	if streamed {
		f := strings.Split(text, ".")
		if len(f) != 4 {
			return c, false
		}
		c.epoch, errs[2] = strconv.ParseUint(f[0], 10, 64)
		c.step = f[1]
		c.attempt, errs[3] = strconv.Atoi(f[2])
		c.off, errs[4] = strconv.Atoi(f[3])
	}
	for _, err := range errs {
		ok = ok && err == nil
	}
	return c, ok && c.index >= 0 && c.off >= 0
}

// live is the text that the running attempt has streamed so far. Readers take from it what they have not seen, at their
// own pace: a slow reader costs nothing and gets larger pieces.
type live struct {
	mu      sync.Mutex
	turn    session.Ref
	now     piece
	text    []byte
	changed chan struct{} // set while someone waits
}

func (l *live) start(ref session.Ref, p piece) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn, l.now, l.text = ref, p, nil
	l.tell()
}

// join is start, unless that text is being streamed already.
func (l *live) join(ref session.Ref, p piece) {
	l.mu.Lock()
	same := l.now == p && l.turn == ref
	l.mu.Unlock()
	if !same {
		l.start(ref, p)
	}
}

func (l *live) add(ref session.Ref, p piece, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == p && l.turn == ref {
		l.text = append(l.text, text...)
		l.tell()
	}
}

func (l *live) clear() { l.start(session.Ref{}, piece{}) }

func (l *live) tell() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// since returns what a reader at c of the turn has not seen, whether that replaces what it has seen of the text, and a
// channel that is closed when there is more.
func (l *live) since(ref session.Ref, c cursor) (next cursor, text string, reset bool, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	next, more = c, l.changed
	if l.turn != ref || l.now.step == "" {
		return next, "", false, more
	}
	if c.piece == l.now && c.off <= len(l.text) {
		next.off = len(l.text)
		return next, string(l.text[c.off:]), false, more
	}
	if len(l.text) == 0 && c.step == "" {
		return next, "", false, more
	}
	next.piece, next.off = l.now, len(l.text)
	return next, string(l.text), c.step != "", more
}

// Events tells a turn's story from after the event with id after (empty: from the beginning) to its end. An id that this
// turn never had starts it again, with a reset. Where records were trimmed meanwhile, a reset tells the turn's text and is
// followed by its end. The sequence ends after EventDone, or with an error.
func (h *Handle) Events(ctx context.Context, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		j := h.k.open(h.key)
		defer j.unpin()
		defer h.k.follow.add(j)()
		if err := j.reach(h.id); err != nil {
			yield(Event{}, err)
			return
		}
		r := &reader{h: h, j: j, yield: yield, at: cursor{seq: h.id.Ref.Seq, index: h.id.Ref.Index - 1}}
		if c, ok := parseCursor(after); after != "" {
			if ok && !(session.Ref{Seq: c.seq, Index: c.index}).Less(h.id.Ref) && !j.beyond(c.seq) {
				r.at = c
			} else if !r.send(EventReset, map[string]string{"text": ""}) {
				return
			}
		}
		r.run(ctx)
	}
}

// beyond reports whether the journal has no record of that number, as far as can be told.
func (j *journal) beyond(seq uint64) bool {
	if err := j.refresh(); err != nil {
		return false // reading on will say what is wrong
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s != nil && seq > j.s.At.Len
}

// reader is one client's way through a turn's stream.
type reader struct {
	h     *Handle
	j     *journal
	yield func(Event, error) bool
	at    cursor
	upTo  uint64 // records that were looked through
}

func (r *reader) send(typ string, data any) bool {
	return r.yield(Event{ID: r.at.String(), Type: typ, Data: mustJSON(data)}, nil)
}

func (r *reader) run(ctx context.Context) {
	for {
		end, changed, err := r.journaled(ctx)
		if err != nil {
			r.yield(Event{}, err)
		}
		if err != nil || end {
			return
		}
		next, text, reset, more := r.j.live.since(r.h.id.Ref, r.at)
		r.at = next
		switch {
		case reset:
			if !r.send(EventReset, map[string]string{"step": next.step, "text": text}) {
				return
			}
		case text != "":
			if !r.send(EventDelta, map[string]string{"step": next.step, "text": text}) {
				return
			}
		}
		select {
		case <-changed:
		case <-more:
		case <-ctx.Done():
			r.yield(Event{}, context.Cause(ctx))
			return
		case <-r.j.k.ctx.Done():
			r.yield(Event{}, fault.New(fault.Unavailable, "", "this replica stopped; resume at another"))
			return
		}
	}
}

// journaled sends what the journal holds after the cursor. changed is closed when there is more; end says that there
// will be none.
func (r *reader) journaled(ctx context.Context) (end bool, changed <-chan struct{}, err error) {
	var length uint64
	var over bool
	err = r.j.view(func(s *session.Session) error {
		t, err := r.j.lookup(s, r.h.id)
		changed, length, over = r.j.changed, s.At.Len, true
		if errors.Is(err, errPast) {
			return nil // all of it is in the journal
		}
		if err == nil {
			over = t.State.Ended()
		}
		return err
	})
	for err == nil && r.upTo < length {
		var records []passed
		if records, err = r.j.recordsFrom(ctx, max(r.at.seq, r.upTo+1)); len(records) == 0 {
			break
		}
		for _, p := range records {
			if !r.record(p) {
				return true, nil, nil
			}
		}
	}
	if errors.Is(err, session.ErrTrimmed) {
		return true, nil, r.trimmed()
	}
	return over, changed, err
}

// trimmed ends the story of a turn whose records are not there any more, in short: what it came to. Such a turn has
// ended, because the records of others are kept.
func (r *reader) trimmed() error {
	var t session.Turn
	err := r.j.view(func(s *session.Session) error {
		found, err := r.j.lookup(s, r.h.id)
		if err == nil {
			t = *found
		}
		return err
	})
	if err != nil {
		return err
	}
	text, last := "", session.Event{Turn: t.Ref, Reply: t.Reply, Failure: t.Failure}
	switch t.State {
	case session.Completed:
		text, last.Type = t.Reply.Text, session.TurnCompleted
	case session.Failed:
		last.Type = session.TurnFailed
	case session.Cancelled:
		last.Type = session.TurnCancelled
	}
	r.at = cursor{seq: t.EndSeq}
	if typ, data := describe(last, r.h.id); typ != "" && r.send(EventReset, map[string]string{"text": text}) {
		r.send(typ, data)
	}
	return nil
}

// record sends what one record holds of the turn; false when the reader has had enough, or everything.
func (r *reader) record(p passed) bool {
	r.upTo = p.seq
	for i, e := range p.events {
		if p.seq == r.at.seq && i <= r.at.index {
			continue
		}
		if e.Turn != r.h.id.Ref && (e.Type != session.TurnAccepted || p.seq != r.h.id.Ref.Seq || i != r.h.id.Ref.Index) {
			continue
		}
		r.at = cursor{seq: p.seq, index: i}
		typ, data := describe(e, r.h.id)
		if typ != "" && (!r.send(typ, data) || typ == EventDone) {
			return false
		}
	}
	return true
}

// describe is a journaled event of a turn as a reader is told of it; no type means that readers are not told.
func describe(e session.Event, id session.TurnID) (string, any) {
	switch e.Type {
	case session.TurnAccepted:
		return EventAccepted, map[string]string{"turn_id": id.String(), "session_id": id.Session, "agent": e.Accepted.Agent}
	case session.StepStarted:
		return EventStarted, map[string]any{"step": e.Step, "kind": e.Start.Kind, "name": e.Start.Name, "args": e.Start.Args}
	case session.StepCompleted:
		return EventCompleted, describeResult(e.Step, e.Result)
	case session.StepResolved:
		return EventCompleted, map[string]any{"step": e.Step, "kind": session.ToolStep, "outcome": e.Resolved.Outcome, "by": e.Resolved.By}
	case session.TurnWaiting:
		return EventWaiting, e.Waiting
	case session.TurnCompleted:
		return EventDone, map[string]any{"state": session.Completed, "result": e.Reply.Text, "value": e.Reply.Value, "degraded": e.Reply.Degraded}
	case session.TurnFailed:
		return EventDone, map[string]any{"state": session.Failed, "error": e.Failure}
	case session.TurnCancelled:
		return EventDone, map[string]any{"state": session.Cancelled}
	}
	return "", nil
}

// StepInfo is a step as it is shown.
type StepInfo struct {
	Step    string           `json:"step"`
	Kind    session.StepKind `json:"kind,omitempty"`
	Name    string           `json:"name,omitempty"`
	State   string           `json:"state,omitempty"`
	Text    string           `json:"text,omitempty"`
	Calls   []model.Call     `json:"calls,omitempty"`
	IsError bool             `json:"is_error,omitempty"`
	Error   *session.Failure `json:"error,omitempty"`
	Model   string           `json:"model,omitempty"`
	Input   int64            `json:"tokens_in,omitempty"`
	Output  int64            `json:"tokens_out,omitempty"`
	TookMS  int64            `json:"took_ms,omitempty"`
	Why     string           `json:"why,omitempty"` // of a doubt
	Cost    float64          `json:"cost_usd,omitempty"`
	Size    int64            `json:"size,omitempty"`     // bytes of a result that is too long to be shown here
	HandOff string           `json:"hand_off,omitempty"` // the agent that has the conversation from here on

	Decision string `json:"decision,omitempty"` // approve, deny or wake: what was said about it
}

func describeResult(key string, r *session.StepResult) StepInfo {
	info := StepInfo{
		Step: key, Kind: r.Kind, Name: r.Name, State: string(session.StepDone), Error: r.Error,
		Model: r.Model, Input: r.Input, Output: r.Output, TookMS: r.TookMS, Cost: float64(r.Cost) / 1e6, HandOff: r.HandOff,
	}
	var answer model.Answer
	var result model.Result
	switch {
	case r.Error != nil:
	case r.Kind == session.ModelStep && json.Unmarshal(r.Value, &answer) == nil:
		info.Text, info.Calls = answer.Message.Text(), answer.Message.Calls()
	case (r.Kind == session.ToolStep || r.Kind == session.AgentStep) && json.Unmarshal(r.Value, &result) == nil:
		info.Text, info.IsError, info.Size = result.Content, result.IsError, result.Size
	case r.Summary != nil:
		info.Text = r.Summary.Text
	default:
		info.Text = string(r.Value)
	}
	return info
}
