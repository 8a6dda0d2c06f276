package server

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/session"
)

func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }

type turnOutput struct {
	Body *agentkernel.TurnInfo
}

type changeOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the turn can be looked at, when it has not ended"`
	Body     *agentkernel.TurnInfo
}

// TurnList is a page of turns.
type TurnList struct {
	Turns []*agentkernel.TurnInfo `json:"turns" nullable:"false" doc:"Without their steps"`
	Next  string                  `json:"next,omitempty" doc:"Ask with after= this for more; absent at the end"`
}

type turnInput struct {
	wire
	ID string `path:"id" doc:"A turn_id" example:"s_1f2e~1.1.0.5d41402a"`
}

type turnsInput struct {
	wire
	State   []string `query:"state" doc:"Only turns in these states: accepted, running, waiting, completed, failed, cancelled; separated by commas"`
	Session string   `query:"session_id" doc:"Only turns of this session"`
	After   string   `query:"after" doc:"The next of the page before"`
	Limit   int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many turns to look for; the last session's turns are all given"`
}

type eventsInput struct {
	wire
	ID          string `path:"id" doc:"A turn_id" example:"s_1f2e~1.1.0.5d41402a"`
	LastEventID string `header:"Last-Event-ID" maxLength:"512" doc:"The id of the last event that was seen"`
	After       string `query:"after" maxLength:"512" doc:"The same, for clients that cannot send the header, which counts where both are sent"`
}

// ResolveBody is a person's word about a call in doubt.
type ResolveBody struct {
	_       struct{}        `additionalProperties:"false"`
	Outcome session.Outcome `json:"outcome" enum:"happened,not_happened,run_again" doc:"What became of the call; run_again dispatches it once more"`
	Step    string          `json:"step,omitempty" doc:"The step; it may be left out when one call is in doubt"`
	Result  string          `json:"result,omitempty" doc:"What the call answered, if it happened"`
	Note    string          `json:"note,omitempty" maxLength:"4096" doc:"For the journal"`
}

type resolveInput struct {
	wire
	ID   string `path:"id" doc:"A turn_id" example:"s_1f2e~1.1.0.5d41402a"`
	Body ResolveBody
}

// DecisionBody is a person's yes or no. All of it may be left out when the turn asks one thing.
type DecisionBody struct {
	_      struct{} `additionalProperties:"false"`
	Step   string   `json:"step,omitempty" maxLength:"512" doc:"The step of the question, as waiting.asks has it"`
	Digest string   `json:"digest,omitempty" maxLength:"128" doc:"The digest of the question as the person was shown it: if the turn asks something else by now, the decision is refused"`
	Note   string   `json:"note,omitempty" maxLength:"4096" doc:"For the journal; with a no, the model is told"`
}

type decideInput struct {
	wire
	ID   string `path:"id" doc:"A turn_id" example:"s_1f2e~1.1.0.5d41402a"`
	Body *DecisionBody
}

func (s *Server) routeTurns() {
	op := func(id, method, path, summary, description string) huma.Operation {
		return s.operation("turns", id, method, "/api/v1/turns"+path, summary, description)
	}
	change := func(verb, summary, description string) huma.Operation {
		o := op(verb+"-turn", http.MethodPost, "/{id}/"+verb, summary, description)
		o.Responses = s.responses(map[string]*huma.Response{
			"202": {Description: "Done, and the turn goes on", Headers: location(), Content: s.media("application/json", agentkernel.TurnInfo{})},
		})
		return o
	}
	huma.Register(s.api, op("list-turns", http.MethodGet, "", "List turns", "Session by session in the order of ids. A page may be empty and still have a next."), s.listTurns)
	huma.Register(s.api, op("get-turn", http.MethodGet, "/{id}", "Show a turn", ""), s.getTurn)
	events := op("turn-events", http.MethodGet, "/{id}/events", "Follow a turn", "Server-sent events from the turn's beginning, or from after a given one, to its end: turn.accepted, step.started, delta, attempt.reset, step.completed, waiting, done; problem when the stream cannot go on. A reader that has seen done gets 204.")
	events.Responses = s.responses(map[string]*huma.Response{
		"200": {Description: "The events", Content: eventStream()},
		"204": {Description: "There is nothing after that event, and there will be nothing"},
	})
	huma.Register(s.api, events, s.turnEvents)
	huma.Register(s.api, change("resolve", "Say what became of a call in doubt", "The turn goes on with it."), s.resolve)
	huma.Register(s.api, change("approve", "Say yes to what a turn asks", "Once all that it asks is decided, it goes on. A question is decided once."), s.decide(s.k.Approve))
	huma.Register(s.api, change("deny", "Say no to what a turn asks", "The model is told, with the note, and the turn goes on once all that it asks is decided."), s.decide(s.k.Deny))
	for _, a := range []struct {
		verb, summary, description string
		do                         func(context.Context, agentkernel.TurnRef) (*agentkernel.Handle, error)
	}{
		{"cancel", "Cancel a turn", "One that runs is told to stop and ends soon; one that waits ends at once.", s.k.Cancel},
		{"retry", "Start a failed or cancelled turn again", "As a new turn that inherits what was already done; retrying twice gives the same new turn.", s.k.Retry},
		{"release", "Let a quarantined turn run again", "", s.k.Release},
		{"discard", "End a quarantined turn as failed", "", s.k.Discard},
	} {
		huma.Register(s.api, change(a.verb, a.summary, a.description),
			func(ctx context.Context, in *turnInput) (*changeOutput, error) {
				in.aboutTurn(in.ID)
				return s.change(ctx, &in.wire, func(ctx context.Context) (*agentkernel.Handle, error) {
					return a.do(ctx, refOf(ctx, in.ID))
				})
			})
	}
}

func (s *Server) listTurns(ctx context.Context, in *turnsInput) (*struct{ Body TurnList }, error) {
	q := agentkernel.TurnQuery{Tenant: tenantOf(ctx), Session: in.Session, After: in.After, Limit: in.Limit}
	for _, state := range in.State {
		q.States = append(q.States, session.TurnState(state))
	}
	if err := checkAfter(in.After); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	turns, next, err := s.k.Turns(ctx, q)
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	return &struct{ Body TurnList }{TurnList{Turns: orEmpty(turns), Next: next}}, nil
}

// checkAfter refuses a place to go on from that no listing has given.
func checkAfter(id string) error {
	if id == "" {
		return nil
	}
	return session.CheckID("after", id)
}

// orEmpty is list as JSON clients expect it: never null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *Server) getTurn(ctx context.Context, in *turnInput) (*turnOutput, error) {
	_, i, err := s.find(ctx, &in.wire, in.ID)
	if err != nil {
		return nil, err
	}
	return &turnOutput{i}, nil
}

func (s *Server) find(ctx context.Context, in *wire, id string) (*agentkernel.Handle, *agentkernel.TurnInfo, error) {
	in.aboutTurn(id)
	h, err := s.k.Turn(tenantOf(ctx), id)
	if err != nil {
		return nil, nil, s.problemOf(ctx, err)
	}
	i, err := h.Info(ctx)
	if err != nil {
		return nil, nil, s.problemOf(ctx, err)
	}
	return h, i, nil
}

func (s *Server) turnEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	h, i, err := s.find(ctx, &in.wire, in.ID)
	if err != nil {
		return nil, err
	}
	after := in.LastEventID
	if after == "" {
		after = in.After
	}
	if after != "" && i.State.Ended() {
		seen, err := sawEnd(ctx, h, after)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		if seen {
			return &huma.StreamResponse{Body: func(ctx huma.Context) { ctx.SetStatus(http.StatusNoContent) }}, nil
		}
	}
	return s.stream(func(ctx context.Context) iter.Seq2[agentkernel.Event, error] { return h.Events(ctx, after) }, func() {}), nil
}

// sawEnd reports whether nothing comes after the event with id after, of a turn that has ended.
func sawEnd(ctx context.Context, h *agentkernel.Handle, after string) (bool, error) {
	for _, err := range h.Events(ctx, after) {
		return false, err
	}
	return true, nil
}

func (s *Server) resolve(ctx context.Context, in *resolveInput) (*changeOutput, error) {
	in.aboutTurn(in.ID)
	b := in.Body
	return s.change(ctx, &in.wire, func(ctx context.Context) (*agentkernel.Handle, error) {
		return s.k.Resolve(ctx, refOf(ctx, in.ID), agentkernel.Resolution{Outcome: b.Outcome, Step: b.Step, Result: b.Result, Note: b.Note})
	})
}

// decide is the handler of a yes or a no.
func (s *Server) decide(say func(context.Context, agentkernel.TurnRef, agentkernel.Decision) (*agentkernel.Handle, error)) func(context.Context, *decideInput) (*changeOutput, error) {
	return func(ctx context.Context, in *decideInput) (*changeOutput, error) {
		in.aboutTurn(in.ID)
		var d agentkernel.Decision
		if b := in.Body; b != nil {
			d = agentkernel.Decision{Step: b.Step, Digest: b.Digest, Note: b.Note}
		}
		return s.change(ctx, &in.wire, func(ctx context.Context) (*agentkernel.Handle, error) {
			return say(ctx, refOf(ctx, in.ID), d)
		})
	}
}

// change carries out a request that changes a turn, and answers with the turn as it stands then.
func (s *Server) change(ctx context.Context, in *wire, do func(context.Context) (*agentkernel.Handle, error)) (*changeOutput, error) {
	writing, cancel := context.WithTimeout(ctx, s.cfg.AcceptTimeout)
	defer cancel()
	h, err := do(writing)
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	in.about(h.Session(), h.ID())
	i, err := h.Info(ctx)
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	if i.State.Ended() {
		return &changeOutput{Status: http.StatusOK, Body: i}, nil
	}
	return &changeOutput{Status: http.StatusAccepted, Location: turnPath(h.ID()), Body: i}, nil
}
