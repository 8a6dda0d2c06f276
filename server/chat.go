package server

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// ChatBody is what a chat request says.
type ChatBody struct {
	_       struct{} `additionalProperties:"true"`
	Prompt  string   `json:"prompt" minLength:"1" doc:"What the user says" example:"What is the weather in Lisbon?"`
	Agent   *string  `json:"agent,omitempty" doc:"Who answers; without it the first agent"`
	Session *string  `json:"session_id,omitempty" doc:"The conversation to go on with; without it a new one begins"`
}

// ChatReply is the answer of a turn that completed.
type ChatReply struct {
	Result  string            `json:"result" doc:"The answer"`
	Value   json.RawMessage   `json:"value,omitempty" doc:"The answer as data, when the agent gives structured output"`
	Session string            `json:"session_id" doc:"Send it with the next request to go on with the conversation"`
	Turn    string            `json:"turn_id"`
	Agent   string            `json:"agent"`
	State   session.TurnState `json:"state" enum:"completed"`
	Input   int64             `json:"tokens_in" doc:"Tokens read by models"`
	Output  int64             `json:"tokens_out" doc:"Tokens written by models"`
	RanMS   session.Millis    `json:"ran_ms" doc:"How long the turn ran, in milliseconds, waits not counted"`
}

// Pending says where a turn stands that has not ended.
type Pending struct {
	Turn    string            `json:"turn_id"`
	Session string            `json:"session_id"`
	Agent   string            `json:"agent,omitempty"`
	State   session.TurnState `json:"state" enum:"accepted,running,waiting,completed,failed,cancelled"`
	Waiting *session.Wait     `json:"waiting,omitempty" doc:"What it waits for, or what the turn before it waits for"`
	Behind  string            `json:"behind,omitempty" doc:"The turn of this session that comes first"`
}

type chatInput struct {
	wire
	Key     string `header:"Idempotency-Key" doc:"The same key with the same request is the same turn: it is attached to, or its saved answer is given, for as long as keys are remembered. 1 to 256 printable ASCII characters."`
	Prefer  string `header:"Prefer" doc:"RFC 7240: respond-async (202 at once), wait=N (202 after N seconds), cancel-on-disconnect (cancel the turn if this connection ends first)"`
	RawBody []byte
	Body    ChatBody
}

func (s *Server) routeChat() {
	op := s.operation("turns", "chat", http.MethodPost, "/api/v1/chat", "Ask an agent", "Starts a turn and waits for its answer. Once accepted, the turn runs to its end whatever becomes of the connection. Fields that are not described here reach the agent's code, not the model.")
	answer := s.media("application/json", ChatReply{})
	maps.Copy(answer, eventStream())
	op.Responses = s.responses(map[string]*huma.Response{
		"200": {Description: "The answer, or with Accept: text/event-stream the turn's events", Content: answer},
		"202": {Description: "Accepted, and not finished: it waits for someone, or was not waited for", Headers: location(), Content: s.media("application/json", Pending{})},
	})
	huma.Register(s.api, op, s.chat)
	// The handler reads the raw body, which huma takes for a second media type.
	delete(s.api.OpenAPI().Paths[op.Path].Post.RequestBody.Content, "application/octet-stream")
}

func (s *Server) chat(ctx context.Context, in *chatInput) (*huma.StreamResponse, error) {
	req, err := in.request()
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	prefer := parsePrefer(in.r.Header.Values("Prefer"))
	h, err := s.start(ctx, req, prefer)
	switch {
	case err != nil && h != nil: // it is not known whether the turn exists; if it does, this is its name
		in.about(h.Session(), h.ID())
		return nil, s.problemOf(ctx, err)
	case err != nil:
		in.aboutSession(req.Session)
		return nil, s.problemOf(ctx, err)
	}
	in.about(h.Session(), h.ID())
	gone := func() {}
	if prefer.cancel {
		gone = func() { s.cancelGone(ctx, h) }
	}
	if wantsStream(in.r.Header.Values("Accept")) {
		return s.stream(h, "", gone), nil
	}
	limit := s.cfg.SyncTimeout
	if prefer.wait != nil {
		limit = min(limit, *prefer.wait)
	}
	if prefer.async && prefer.wait == nil {
		limit = 0
	}
	i, err := s.await(ctx, h, limit)
	if err != nil {
		if ctx.Err() != nil {
			gone()
		}
		return nil, s.problemOf(ctx, err)
	}
	return s.answer(ctx, i, limit == 0)
}

// start has the turn accepted. A store that does not answer in time leaves it unknown whether it was.
func (s *Server) start(ctx context.Context, req agentkernel.Request, prefer preferences) (*agentkernel.Handle, error) {
	req.Tenant = tenantOf(ctx)
	if prefer.cancel {
		ctx = context.WithoutCancel(ctx) // to be cancelled it must be known
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AcceptTimeout)
	defer cancel()
	return s.k.Start(ctx, req)
}

// request makes the kernel's request of the body. The body was validated, but it is read again by exact names: what is
// not one of ours is extra, in a form in which equal requests are equal bytes.
func (in *chatInput) request() (agentkernel.Request, error) {
	req := agentkernel.Request{Key: in.Key}
	if values, given := in.r.Header["Idempotency-Key"]; given {
		if len(values) != 1 || in.Key == "" || strings.ContainsFunc(in.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return req, fault.New(fault.BadRequest, "", "the header Idempotency-Key must be given once and have 1 to 256 printable ASCII characters")
		}
	}
	if !utf8.Valid(in.RawBody) {
		return req, fault.New(fault.BadRequest, "", "the body is not valid UTF-8")
	}
	fields, err := decodeObject(in.RawBody)
	if err != nil {
		return req, err
	}
	for name, field := range map[string]*string{"prompt": &req.Prompt, "agent": &req.Agent, "session_id": &req.Session} {
		if value, ok := fields[name].(string); ok {
			*field = value
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		if req.Extra, err = json.Marshal(fields); err != nil {
			return req, fault.New(fault.BadRequest, "", "the extra fields cannot be kept: %v", err)
		}
	}
	return req, nil
}

// decodeObject reads a JSON object with its numbers as they were written. A name that is given twice is refused: which
// one counts is for nobody to guess.
func decodeObject(data []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	fields := map[string]any{}
	_, err := d.Token()
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		key, _ := name.(string)
		if _, twice := fields[key]; twice {
			return nil, fault.New(fault.BadRequest, "", "the body names %.100q twice", key)
		}
		var value any
		err = d.Decode(&value)
		fields[key] = value
	}
	if err != nil {
		return nil, fault.New(fault.BadRequest, "", "the body is not a JSON object: %v", err)
	}
	return fields, nil
}

// await waits until the turn is settled, but no longer than limit, or until the server leaves: then it is the turn as it
// stands. Trouble with waiting is no trouble of the turn, which is durable.
func (s *Server) await(ctx context.Context, h *agentkernel.Handle, limit time.Duration) (*agentkernel.TurnInfo, error) {
	if limit > 0 {
		waiting, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		defer context.AfterFunc(s.leaving, cancel)()
		i, err := h.Settle(waiting)
		if err == nil {
			return i, nil
		}
		if ctx.Err() != nil || waiting.Err() == nil && !fault.KindOf(err).Trait().Retryable {
			return nil, err
		}
	}
	i, err := h.Info(ctx)
	if err != nil && fault.KindOf(err).Trait().Retryable {
		return &agentkernel.TurnInfo{ID: h.ID(), Session: h.Session(), State: session.Accepted}, nil
	}
	return i, err
}

// cancelGone cancels a turn whose client asked for that and went away. A turn that has ended meanwhile is left alone.
func (s *Server) cancelGone(ctx context.Context, h *agentkernel.Handle) {
	const patience = 30 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := s.k.Cancel(last, agentkernel.TurnRef{Tenant: tenantOf(ctx), ID: h.ID(), By: "disconnect"}); err != nil && fault.KindOf(err) != fault.Conflict {
		s.cfg.Logger.WarnContext(ctx, "a turn was not cancelled although its client is gone", "turn", h.ID(), "error", err)
	}
}

// answer is a turn as the answer to the request that started it. A caller who did not want to wait gets 202 whatever
// became of the turn.
func (s *Server) answer(ctx context.Context, i *agentkernel.TurnInfo, always202 bool) (*huma.StreamResponse, error) {
	switch {
	case always202 || !i.State.Ended():
		return s.json(http.StatusAccepted, i.ID, Pending{Turn: i.ID, Session: i.Session, Agent: i.Agent, State: i.State, Waiting: i.Waiting, Behind: i.Behind}), nil
	case i.State == session.Completed:
		r := ChatReply{
			Value: i.Value, Session: i.Session, Turn: i.ID, Agent: i.Agent, State: i.State,
			Input: i.Input, Output: i.Output, RanMS: i.RanMS,
		}
		if i.Result != nil {
			r.Result = *i.Result
		}
		return s.json(http.StatusOK, "", r), nil
	}
	p := s.problemOf(ctx, i.Err())
	if p.Try == "" {
		p.Try = "POST /api/v1/turns/" + i.ID + "/retry starts it again with what was already done"
	}
	return nil, p
}

// json answers with a body, and with the Location of a turn if there is one.
func (s *Server) json(status int, turn string, body any) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		if turn != "" {
			ctx.SetHeader("Location", turnPath(turn))
		}
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(status)
		if err := s.api.Marshal(ctx.BodyWriter(), "application/json", body); err != nil && ctx.Context().Err() == nil {
			s.cfg.Logger.Warn("an answer was not written", "error", err)
		}
	}}
}

func turnPath(id string) string { return "/api/v1/turns/" + id }
