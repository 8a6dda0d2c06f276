package agentkernel

import (
	"context"
	"encoding/json"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
)

// Set changes the session's value of that name; nil removes it. The change becomes durable with the next record and the
// session's own when the turn completes; a re-run does not make it again.
func (t *Turn) Set(name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil || name == "" {
		return fault.New(fault.Internal, "", "state %q has no name or no JSON form: %v", name, err)
	}
	t.sets++
	t.shared.Lock()
	t.state[name] = b
	t.shared.Unlock()
	if t.sets > t.oldSets {
		e := t.event(session.StateSet, "")
		e.Set = &session.Setting{Name: name, Path: t.path, Value: b}
		t.add(e)
	}
	return nil
}

// Step runs f once and journals what it returned: a re-run of the turn gets the recorded value. Names are unique within
// a turn; steps of different names may run at the same time. f may run again after a crash in the middle of it.
func (t *Turn) Step(ctx context.Context, name string, f func(ctx context.Context) (any, error)) (json.RawMessage, error) {
	return t.step(ctx, t.path+"s:"+name, name, f)
}

func (t *Turn) step(ctx context.Context, key, name string, f func(ctx context.Context) (any, error)) (json.RawMessage, error) {
	if err := t.enter(key); err != nil {
		return nil, err
	}
	if st, err := t.recorded(ctx, key); err != nil {
		return nil, err
	} else if st != nil && st.State == session.StepDone {
		return st.Result.Value, errorOf(st.Result.Error)
	}
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	res := &session.StepResult{Kind: session.UserStep, Name: name, Attempts: 1}
	_ = t.k.fp.Hit(failpoint.StepBefore)
	if err := t.stillOwner(ctx); err != nil {
		return nil, err
	}
	value, err := f(ctx)
	_ = t.k.fp.Hit(failpoint.StepAfter)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		res.Value, err = json.Marshal(value)
	}
	if err != nil {
		res.Error = failureOf(err)
	}
	e := t.event(session.StepCompleted, key)
	e.Result = res
	if werr := t.flush(ctx, e); werr != nil {
		return nil, werr
	}
	return res.Value, err
}
