package agentkernel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// nativeLoop is the runner of agents that bring none: ask the model, do what it wants done, tell it the results, until it
// answers. It holds no state: after a crash the steps it asks for again are answered from the journal.
func nativeLoop(ctx context.Context, t *Turn) (Reply, error) {
	messages := append(t.History()[:len(t.History()):len(t.History())], t.Input())
	var done rounds
	var wrap string // why no more tools are offered, as far as the loop decides it
	heard, repaired := 0, false
	for {
		said, err := t.inbox(ctx, heard)
		if err != nil {
			return Reply{}, err
		}
		messages, heard = append(messages, said...), heard+len(said)
		req := t.request(messages)
		key, answer, err := t.ask(ctx, req, heard, wrap)
		if err != nil {
			return Reply{}, err
		}
		messages = append(messages, answer.Message)
		calls := answer.Message.Calls()
		if len(calls) == 0 {
			if more, err := t.unheard(ctx, heard); err != nil {
				return Reply{}, err
			} else if more {
				continue
			}
			reply, problem := t.reply(answer.Message.Text())
			switch {
			case problem == nil:
				return reply, nil
			case repaired:
				return Reply{}, fault.New(fault.Malformed, "", "the model's answer does not fit output_schema, and its second try did not either: %w", problem)
			}
			repaired = true
			messages = append(messages, model.UserText(repair(problem)))
			continue
		}
		act := t.callAll
		if t.closing != "" {
			act = t.decline
		}
		results, err := act(ctx, key, calls)
		if err != nil {
			return Reply{}, err
		}
		messages = append(messages, results...)
		if done = append(done, round(calls, results)); done.loops(t.limits.Repeats) {
			wrap = fmt.Sprintf("loop: the same calls had the same results %d times", t.limits.Repeats)
		}
		next, err := t.handedTo(ctx, key, len(calls))
		if err != nil {
			return Reply{}, err
		}
		if next != nil {
			t.agent = next
			if !next.native {
				return next.Runner.Run(ctx, t)
			}
			done, wrap, repaired = nil, "", false
		}
	}
}

// request is what the agent asks its model, given the conversation.
func (t *Turn) request(messages []model.Message) *model.Request {
	_, name := splitModel(t.agent.Model)
	parts := append([]string{t.agent.Instructions}, t.notes...)
	req := &model.Request{
		Model: name, Instructions: strings.TrimSpace(strings.Join(parts, "\n\n")), Messages: messages,
		MaxTokens: t.agent.Limits.MaxTokens, Schema: t.agent.OutputSchema,
	}
	for _, tool := range t.agent.Tools {
		req.Tools = append(req.Tools, model.Tool{Name: tool.Name, Description: tool.Description, Parameters: tool.Parameters})
	}
	req.Tools = append(req.Tools, t.agent.delegates...)
	return req
}

// Model asks the agent's model and journals the answer.
func (t *Turn) Model(ctx context.Context, messages []model.Message) (*model.Answer, error) {
	_, answer, err := t.ask(ctx, t.request(messages), 0, "")
	if ferr := t.flush(ctx); ferr != nil {
		return nil, ferr
	}
	return answer, err
}

// ask is Model without the wait: the answer is on its way into the next record, which is written before anything else
// is done. heard is how many messages that came in mid-turn the request has; wrap says why the model has to come to an
// end, beside what the limits say.
func (t *Turn) ask(ctx context.Context, req *model.Request, heard int, wrap string) (key string, answer *model.Answer, err error) {
	key = t.path + modelKey(t.models)
	t.models++
	asked := digest(req)
	st, err := t.recorded(ctx, key)
	if err != nil {
		return key, nil, err
	}
	if st != nil && st.State == session.StepDone {
		return t.answered(st, asked)
	}
	near, err := t.budget()
	if err == nil && t.path != "" && t.models > t.agent.Limits.Steps {
		err = fault.New(fault.Budget, "", "agent %s has asked its model %d times, which is its limit", t.agent.Name, t.agent.Limits.Steps)
	}
	if err != nil {
		return key, nil, err
	}
	if wrap == "" {
		wrap = near
	}
	if err := t.flush(ctx); err != nil {
		return key, nil, err
	}
	t.wrapUp(req, wrap)
	answer, res, err := t.generate(ctx, key, req)
	if err != nil {
		return key, nil, err
	}
	res.Digest, res.Heard, res.Wrap = asked, heard, wrap
	t.spend(res)
	e := t.event(session.StepCompleted, key)
	e.Result = res
	t.add(e)
	return key, answer, errorOf(res.Error)
}

// wrapUp asks for an answer in words.
func (t *Turn) wrapUp(req *model.Request, why string) {
	if t.closing = why; why == "" {
		return
	}
	t.wrapped, req.NoCalls = why, true
	req.Instructions += "\n\nThis conversation's turn is close to a limit (" + why +
		"). Do not call tools any more. Answer now with what you have, and say what is missing."
}

// answered is a model step that the journal holds. It stands even if a new build or prompt would have asked otherwise.
func (t *Turn) answered(st *session.Step, asked string) (string, *model.Answer, error) {
	if st.Result.Digest != asked {
		t.k.obs.Diverged(t.agent.Name)
		t.k.log.Info("a recorded answer stands although the question is another one now", "session", t.j.key.ID, "turn", t.id.String(), "step", st.Key)
	}
	if st.Result.Error != nil {
		return st.Key, nil, errorOf(st.Result.Error)
	}
	if t.closing = st.Result.Wrap; t.closing != "" {
		t.wrapped = t.closing
	}
	answer := &model.Answer{}
	if err := json.Unmarshal(st.Result.Value, answer); err != nil {
		return st.Key, nil, fault.New(fault.Corrupt, "", "step %s is not an answer: %w", st.Key, err)
	}
	return st.Key, answer, nil
}

// generate makes one attempt. An error is not the model's, which is in the result: the turn was stopped meanwhile.
func (t *Turn) generate(ctx context.Context, key string, req *model.Request) (*model.Answer, *session.StepResult, error) {
	provider, _ := splitModel(t.agent.Model)
	emit := func(model.Chunk) {}
	if t.path == "" && key != foldKey {
		text := piece{epoch: t.tenure.epoch, step: key, attempt: 1}
		t.j.live.start(t.ref, text)
		emit = func(c model.Chunk) { t.j.live.add(t.ref, text, c.Text) }
	}
	_ = t.k.fp.Hit(failpoint.ModelBefore)
	if err := t.stillOwner(ctx); err != nil {
		return nil, nil, err
	}
	began := time.Now()
	answer, err := t.dial(ctx, provider, req, emit)
	took := time.Since(began)
	_ = t.k.fp.Hit(failpoint.ModelAfter)
	if err != nil && ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	res := &session.StepResult{Kind: session.ModelStep, Name: t.agent.Model, Attempts: 1, TookMS: took.Milliseconds()}
	if err != nil {
		res.Error = failureOf(err)
	} else {
		res.Value, res.Model = mustJSON(answer), answer.Model
		res.Input, res.Output = answer.Usage.Input, answer.Usage.Output
		res.Cost = t.k.cost(t.agent.Model, answer.Usage)
	}
	if res.Cost > 0 {
		t.k.obs.Spent(t.agent.Name, t.agent.Model, float64(res.Cost)/1e6)
	}
	t.k.obs.StepEnded(t.agent.Name, session.ModelStep, t.agent.Model, fault.KindOf(err), took, res.Input, res.Output)
	return answer, res, nil
}

// dial calls the provider behind a panic barrier, and checks that it kept its contract.
func (t *Turn) dial(ctx context.Context, provider string, req *model.Request, emit func(model.Chunk)) (answer *model.Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fault.New(fault.Internal, "", "provider %s panicked: %T", provider, p)
		}
	}()
	p := t.k.cfg.Models[provider]
	if p == nil {
		return nil, fault.New(fault.ModelGone, "", "no provider is named %q", provider)
	}
	if req, err = t.unpack(ctx, req); err != nil {
		return nil, err
	}
	answer, err = p.Generate(ctx, req, emit)
	if err != nil {
		return nil, err
	}
	if answer == nil || answer.Message.Role != model.Assistant || len(answer.Message.Parts) == 0 {
		return nil, fault.New(fault.Truncated, "", "provider %s returned an empty answer", provider)
	}
	for i := range answer.Message.Parts {
		if c := answer.Message.Parts[i].Call; c != nil && len(c.Args) == 0 {
			c.Args = json.RawMessage("{}")
		} else if c != nil && !json.Valid(c.Args) {
			return nil, fault.New(fault.Malformed, "", "provider %s returned a call of %s without valid arguments", provider, fmt.Sprintf("%.64q", c.Name))
		}
	}
	return answer, nil
}
