package agentkernel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/agentkernel/agentkernel/fault"
)

// before runs the hooks ahead of the agent, and returns the reply if one of them gave it.
func (t *Turn) before(ctx context.Context) (*Reply, error) {
	for _, h := range t.agent.Hooks {
		if h.Before == nil {
			continue
		}
		raw, err := t.step(ctx, "h:before:"+h.Name, h.Name, func(ctx context.Context) (any, error) {
			return guarded(func() (Verdict, error) { return h.Before(ctx, t) })
		})
		if err != nil {
			return nil, err
		}
		var v Verdict
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fault.New(fault.Corrupt, "", "the step of hook %s holds no verdict: %w", h.Name, err)
		}
		if v.Reply != nil {
			return v.Reply, nil
		}
		if v.Note != "" {
			t.notes = append(t.notes, v.Note)
		}
	}
	return nil, nil
}

// after runs the hooks behind the agent. A turn that goes on because of a message that came in meanwhile asks them
// again, about its new reply.
func (t *Turn) after(ctx context.Context, asked *Agent, reply Reply) (Reply, error) {
	for _, h := range asked.Hooks {
		if h.After == nil {
			continue
		}
		key := fmt.Sprintf("h:after:%s:%d", h.Name, t.models)
		raw, err := t.step(ctx, key, h.Name, func(ctx context.Context) (any, error) {
			return guarded(func() (Reply, error) { return h.After(ctx, t, reply) })
		})
		if err != nil {
			return reply, err
		}
		reply = Reply{}
		if err := json.Unmarshal(raw, &reply); err != nil {
			return reply, fault.New(fault.Corrupt, "", "the step of hook %s holds no reply: %w", h.Name, err)
		}
	}
	return reply, nil
}

// guarded calls code that is not ours.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "", "a hook panicked: %T", p)
		}
	}()
	return f()
}
