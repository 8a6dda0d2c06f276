package agentkernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// call is one tool call of the running turn, on its way.
type call struct {
	t     *Turn
	key   string // of the step
	model model.Call
	tool  *Tool
	step  *session.Step // what the journal held of it when the run came to it
	once  bool          // at most once: as declared now, or as declared when it was started
	begun bool          // this run journaled the intent to dispatch it

	repeated bool // this run dispatched it a second time, knowing that the tool refuses duplicates

	sub     *Agent // it asks this agent, not a tool
	handOff string // it hands the conversation over to this agent
	refused string // why it is answered without being made

	before []session.Event // finished within it, and recorded with its result
	result model.Result
	err    error // the turn cannot go on, or must rest
}

// Tool calls one of the agent's tools and journals the result. Name and ordinal of the call make its step.
func (t *Turn) Tool(ctx context.Context, name string, args any) (string, error) {
	b, err := json.Marshal(args)
	if err != nil {
		return "", fault.New(fault.Internal, "", "arguments of %s have no JSON form: %w", name, err)
	}
	t.tools++
	results, err := t.callAll(ctx, fmt.Sprintf("%st%d", t.path, t.tools-1), []model.Call{{Name: name, Args: b}})
	if err != nil {
		return "", err
	}
	if results, err = t.k.hydrate(ctx, t.j.key, t.id.Life, results, false); err != nil {
		return "", err
	}
	r := results[0].Parts[0].Result
	if r.IsError {
		return "", fault.New(fault.Unknown, "", "%s", r.Content)
	}
	return r.Content, nil
}

// callAll does the calls of one model answer, all at once, and returns their results in the order of the calls.
//
// Before anything is dispatched, the answer that asked for the calls and the intents of the at-most-once ones among
// them are made durable in one record. Results are recorded as they come.
func (t *Turn) callAll(ctx context.Context, parent string, wanted []model.Call) ([]model.Message, error) {
	calls := make([]*call, len(wanted))
	handed := false
	for i, w := range wanted {
		c, err := t.newCall(ctx, callKeyOf(parent, i), w)
		if err == nil {
			err = c.diverged()
		}
		if err != nil {
			return nil, err
		}
		if c.handOff != "" && handed {
			c.refused = "the conversation was handed over by another call already"
		}
		handed = handed || c.handOff != ""
		calls[i] = c
	}
	if err := t.boundary(ctx); err != nil {
		return nil, err // before the intents are written: an intent means that the call is on its way
	}
	events := t.take()
	for _, c := range calls {
		if c.fresh() && c.once && c.refused == "" && c.allowed() {
			events = append(events, c.start())
			c.begun = true
		}
	}
	if err := t.commit(working, events); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(func() { c.run(ctx) })
	}
	wg.Wait()
	return outcome(calls)
}

// newCall finds out what the journal holds of a call. A call that was started by a build that had the tool is in doubt
// like any other when this build has not.
func (t *Turn) newCall(ctx context.Context, key string, w model.Call) (*call, error) {
	st, err := t.recorded(ctx, key)
	c := &call{t: t, key: key, model: w, tool: t.agent.tool(w.Name), step: st}
	if c.tool == nil {
		c.delegate()
	}
	begun := c.step != nil && c.step.Start != nil
	if c.tool == nil && begun && !c.fresh() {
		c.tool = &Tool{Name: w.Name, OnDoubt: Ask, Timeout: defaultToolTimeout, MaxResult: defaultMaxResult}
	}
	c.once = c.tool != nil && c.tool.Effect == session.AtMostOnce || begun && c.step.Start.Effect == session.AtMostOnce
	return c, err
}

// decline answers the calls of a model that had been asked for words, without making any of them.
func (t *Turn) decline(ctx context.Context, parent string, wanted []model.Call) ([]model.Message, error) {
	messages := make([]model.Message, len(wanted))
	for i, w := range wanted {
		c, err := t.newCall(ctx, callKeyOf(parent, i), w)
		if err != nil {
			return nil, err
		}
		if c.step != nil && c.step.State == session.StepDone {
			err = c.recall()
		} else {
			c.result = c.resultOf("the call was not made: "+t.closing, true)
			e := c.completed(0)
			e.Result.Healed = true
			t.add(e)
		}
		if err != nil {
			return nil, err
		}
		messages[i] = c.message()
	}
	return messages, nil
}

// outcome sums up calls that are over: an error stops the turn, else there are results. That the turn must rest counts
// less than any other error.
func outcome(calls []*call) ([]model.Message, error) {
	messages := make([]model.Message, len(calls))
	var rest error
	for i, c := range calls {
		switch {
		case c.err == nil:
		case errors.Is(c.err, errRest):
			rest = c.err
		default:
			return nil, c.err
		}
		messages[i] = c.message()
	}
	return messages, rest
}

func (c *call) message() model.Message {
	r := c.result
	return model.Message{Role: model.ToolRole, Parts: []model.Part{{Result: &r}}}
}

// fresh reports that the call was never dispatched, or that it was settled that it may be dispatched again.
func (c *call) fresh() bool { return c.step == nil || c.step.State == session.StepOpen }

// diverged stops a run that asks for a side effect with other arguments than the journal holds: the recorded call acted,
// or may have, on the recorded ones.
func (c *call) diverged() error {
	if c.step == nil {
		return nil
	}
	same := true
	if c.step.Start != nil {
		same = c.step.Start.Name == c.model.Name && sameJSON(c.step.Start.Args, c.model.Args)
	} else if c.step.Result != nil && c.tool != nil && c.tool.Effect != session.ReadOnly {
		same = c.step.Result.Digest == "" || c.step.Result.Digest == digest(c.model.Args)
	}
	if same {
		return nil
	}
	return fault.New(fault.Diverged, "", "step %s called %s with other arguments than it is asked to now", c.key, c.model.Name)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func (c *call) start() session.Event {
	e := c.t.event(session.StepStarted, c.key)
	e.Start = &session.Start{
		Kind: session.ToolStep, Name: c.tool.Name, Args: c.model.Args, Effect: c.tool.Effect,
		Key: c.t.stepKey(c.key), Epoch: c.t.tenure.epoch,
	}
	return e
}

// run takes the call from where the journal left it to its result.
func (c *call) run(ctx context.Context) {
	switch {
	case c.step != nil && c.step.State == session.StepDone:
		c.err = c.recall()
	case c.refused != "":
		c.finish(c.refused, true, 0)
	case c.sub != nil:
		c.ask(ctx)
	case c.handOff != "":
		c.hand()
	case c.tool == nil:
		c.finish("there is no tool named "+c.model.Name, true, 0)
	case c.denied():
		c.finish(c.denial(), true, 0)
	case c.fresh() && !c.allowed():
		c.err = c.t.rest(c.asks())
	case c.begun, c.fresh():
		c.dispatch(ctx)
	default: // started or in doubt: someone may have dispatched it
		c.settle(ctx, "its owner stopped before the outcome was recorded")
	}
}

// recall takes the result from the journal.
func (c *call) recall() error {
	if err := json.Unmarshal(c.step.Result.Value, &c.result); err != nil {
		return fault.New(fault.Corrupt, "", "step %s is not a tool's result: %w", c.key, err)
	}
	c.result.CallID, c.result.Name = c.model.ID, c.model.Name
	return nil
}

// dispatch calls the tool, after checking the lease once more. For an at-most-once tool the intent is durable: from here on
// nobody else dispatches it, and if this process stalls now and is taken over, the new owner finds the intent.
func (c *call) dispatch(ctx context.Context) {
	_ = c.t.k.fp.Hit(failpoint.ToolBefore)
	if err := c.t.stillOwner(ctx); err != nil {
		c.err = err
		c.takeBack()
		return
	}
	began := time.Now()
	text, err := c.invoke(ctx)
	took := time.Since(began)
	_ = c.t.k.fp.Hit(failpoint.ToolAfter)
	c.t.k.obs.StepEnded(c.t.agent.Name, session.ToolStep, c.tool.Name, toolKind(err), took, 0, 0)
	switch {
	case err == nil:
		c.finish(text, false, took)
	case c.once && isUnclear(err):
		c.settle(ctx, err.Error())
	case ctx.Err() != nil:
		c.err = context.Cause(ctx)
	default:
		c.finish(err.Error(), true, took)
	}
}

// takeBack records, with whatever the turn writes next, that a call whose intent is in the journal was not dispatched.
func (c *call) takeBack() {
	if !c.once {
		return
	}
	doubt, undo := c.t.event(session.StepInDoubt, c.key), c.t.event(session.StepResolved, c.key)
	doubt.Doubt = &session.Doubt{Why: "the turn was stopped before the call was dispatched"}
	undo.Resolved = &session.Resolution{Outcome: session.RunAgain, By: "owner", Note: "it was never dispatched"}
	c.t.add(doubt, undo)
}

func toolKind(err error) fault.Kind {
	if isUnclear(err) {
		return fault.InDoubt
	}
	return fault.KindOf(err)
}

// invoke is one call of the tool's code, bounded in time and behind a panic barrier. A time-out and a panic leave open
// what the tool did.
func (c *call) invoke(ctx context.Context) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.tool.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = Unclear(fault.New(fault.Internal, "", "the tool panicked: %T", p))
		}
	}()
	text, err = c.tool.Call(ctx, c.toolCall())
	if err != nil && ctx.Err() != nil {
		err = Unclear(fault.New(fault.TimeoutTotal, "", "the tool did not finish within %s: %w", c.tool.Timeout, err))
	}
	return text, err
}

func (c *call) toolCall() ToolCall {
	return ToolCall{
		Name: c.tool.Name, Args: c.model.Args, Key: c.t.stepKey(c.key), Epoch: c.t.tenure.epoch,
		Session: c.t.j.key.ID, Turn: c.t.id.String(),
	}
}

// finish records the call's result.
func (c *call) finish(text string, isError bool, took time.Duration) {
	c.result = c.t.spill(c.resultOf(text, isError))
	c.err = c.t.commit(working, append(c.before, c.completed(took)))
}

// completed is the event that records the call's result.
func (c *call) completed(took time.Duration) session.Event {
	e := c.t.event(session.StepCompleted, c.key)
	e.Result = &session.StepResult{
		Kind: session.ToolStep, Name: c.model.Name, Digest: digest(c.model.Args), Value: mustJSON(c.result),
		Attempts: 1, TookMS: took.Milliseconds(),
	}
	if c.sub != nil {
		e.Result.Kind = session.AgentStep
	}
	return e
}

// resultOf is a tool's text as the model is shown it: valid UTF-8, and bounded.
func (c *call) resultOf(text string, isError bool) model.Result {
	text = strings.ToValidUTF8(text, "\uFFFD")
	limit := defaultMaxResult
	if c.tool != nil {
		limit = c.tool.MaxResult
	}
	if len(text) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = fmt.Sprintf("%s\n[cut: only the first %d bytes of the result are shown]", text[:cut], cut)
	}
	return model.Result{CallID: c.model.ID, Name: c.model.Name, Content: text, IsError: isError}
}

// stillOwner checks, before every effect, that nobody can have taken the session over and that the turn goes on: the lease
// is good, it never lapsed since the fold was known to be fresh, and the fold says so. After a lapse the journal is read.
func (t *Turn) stillOwner(ctx context.Context) error {
	for {
		term, ok := t.k.leased()
		switch {
		case !ok:
			t.k.renew()
		case t.tenure.term.Load() == term:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return t.look(ctx, func(s *session.Session) error {
				_, err := t.owned(s)
				return err
			})
		case t.j.refresh() == nil:
			t.tenure.term.Store(term)
			continue
		}
		if _, ok := t.k.leased(); !ok && !pause(ctx, retryStore) {
			return context.Cause(ctx)
		}
	}
}
