package server

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// ChatBody is what a chat request says.
type ChatBody struct {
	_       struct{}   `additionalProperties:"true"`
	Prompt  string     `json:"prompt" minLength:"1" doc:"What the user says" example:"What is the weather in Lisbon?"`
	Agent   *string    `json:"agent,omitempty" doc:"Who answers; without it the first agent"`
	Session *string    `json:"session_id,omitempty" doc:"The conversation to go on with; without it a new one begins"`
	Files   []ChatFile `json:"files,omitempty" doc:"Images and documents"`
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

	Steered    bool               `json:"steered,omitempty" doc:"The request did not start this turn, but was told to it while it ran"`
	AnsweredBy string             `json:"answered_by,omitempty" doc:"The agent that had the conversation in the end, if it was handed over"`
	Cost       float64            `json:"cost_usd,omitempty" doc:"What it cost in dollars, by the configured prices"`
	Degraded   []session.Degraded `json:"degraded,omitempty" doc:"In what the answer is less than what was asked for, and why"`
}

// Pending says where a turn stands that has not ended.
type Pending struct {
	Turn    string            `json:"turn_id"`
	Session string            `json:"session_id"`
	Agent   string            `json:"agent,omitempty"`
	State   session.TurnState `json:"state" enum:"accepted,running,waiting,completed,failed,cancelled"`
	Waiting *session.Wait     `json:"waiting,omitempty" doc:"What it waits for, or what the turn before it waits for"`
	Behind  string            `json:"behind,omitempty" doc:"The turn of this session that comes first"`
	Steered bool              `json:"steered,omitempty" doc:"The request did not start this turn, but was told to it while it ran"`
}

type chatInput struct {
	wire
	Key    string `header:"Idempotency-Key" doc:"The same key with the same request is the same turn: it is attached to, or its saved answer is given, for as long as keys are remembered. 1 to 256 printable ASCII characters."`
	Prefer string `header:"Prefer" doc:"RFC 7240: respond-async (202 at once), wait=N (202 after N seconds), cancel-on-disconnect (cancel the turn if this connection ends first), continue-on-disconnect (do not, though the agent is set up to)"`
}

func (s *Server) routeChat() {
	answer := s.media("application/json", ChatReply{})
	maps.Copy(answer, eventStream())
	route := func(id, path, summary, description string, body map[string]*huma.MediaType, read func(*wire, *agentkernel.Request) error) {
		op := s.operation("turns", id, http.MethodPost, path, summary, description)
		op.Responses = s.responses(map[string]*huma.Response{
			"200": {Description: "The answer, or with Accept: text/event-stream the turn's events", Content: answer},
			"202": {Description: "Accepted, and not finished: it waits for someone, or was not waited for", Headers: location(), Content: s.media("application/json", Pending{})},
		})
		huma.Register(s.api, op, func(ctx context.Context, in *chatInput) (*huma.StreamResponse, error) { return s.chat(ctx, in, read) })
		// It is described only now: huma would read the body that it knows of, and hold all of it.
		s.api.OpenAPI().Paths[path].Post.RequestBody = &huma.RequestBody{Required: true, Content: body}
	}
	body := s.media("application/json", ChatBody{})
	s.chatSchema = body["application/json"].Schema
	route("chat", chatPath, "Ask an agent", "Starts a turn and waits for its answer. Once accepted, the turn runs to its end whatever becomes of the connection, unless the request or the agent says otherwise. Fields that are not described here reach the agent's code, not the model.", body, s.chatRequest)
	route("chat-multipart", multipartPath, "Ask an agent about files", "The same as a form. A part with any other name is a further field, as a text.", formBody(), s.chatForm)
}

// formBody describes a chat request that is a form.
func formBody() map[string]*huma.MediaType {
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	files := func(doc string) *huma.Schema {
		return &huma.Schema{Type: "array", Description: doc, Items: &huma.Schema{Type: "string", Format: "binary"}}
	}
	return map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
		Type: "object", Required: []string{"prompt"}, AdditionalProperties: &huma.Schema{Type: "string"},
		Properties: map[string]*huma.Schema{
			"prompt": text("What the user says"), "agent": text("Who answers; without it the first agent"),
			"session_id": text("The conversation to go on with; without it a new one begins"),
			"files":      files("Images and documents, each in a part of its own"), "images": files("The same, for images only"),
		},
	}}}
}

func (s *Server) chat(ctx context.Context, in *chatInput, read func(*wire, *agentkernel.Request) error) (*huma.StreamResponse, error) {
	req := agentkernel.Request{Key: in.Key}
	if values, given := in.r.Header["Idempotency-Key"]; given {
		if len(values) != 1 || in.Key == "" || strings.ContainsFunc(in.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, s.problemOf(ctx, bad("the header Idempotency-Key must be given once and have 1 to 256 printable ASCII characters"))
		}
	}
	if err := read(&in.wire, &req); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	prefer := parsePrefer(in.r.Header.Values("Prefer"))
	stream := wantsStream(in.r.Header.Values("Accept"))
	limit := s.cfg.SyncTimeout
	if prefer.wait != nil {
		limit = min(limit, *prefer.wait)
	}
	if prefer.async && prefer.wait == nil {
		limit = 0
	}
	cancel := prefer.cancel || !prefer.goOn && (stream || limit > 0) && s.cancelsGone(req.Agent)
	h, err := s.start(ctx, req, cancel)
	switch {
	case err != nil && h != nil: // it is not known whether the turn exists; if it does, this is its name
		in.about(h.Session(), h.ID())
		return nil, s.problemOf(ctx, err)
	case err != nil:
		in.aboutSession(req.Session)
		return nil, s.problemOf(ctx, err)
	}
	in.about(h.Session(), h.ID())
	if h.Stateless() {
		limit = max(limit, s.cfg.SyncTimeout) // nobody could ask for it later
	}
	gone := func() {}
	if cancel && !h.Steered() { // a turn that another request started is not this one's to cancel
		gone = func() { s.cancelGone(ctx, h) }
	}
	if stream {
		return s.stream(func(ctx context.Context) iter.Seq2[agentkernel.Event, error] { return h.Events(ctx, "") }, gone), nil
	}
	i, err := s.await(ctx, h, limit)
	if err != nil {
		if ctx.Err() != nil {
			gone()
		}
		return nil, s.problemOf(ctx, err)
	}
	return s.answer(ctx, i, h.Steered(), limit == 0)
}

// cancelsGone reports whether an agent's turns are cancelled when the client goes away that waits for them.
func (s *Server) cancelsGone(agent string) bool {
	for _, a := range s.k.Agents() {
		if agent == "" || a.Name == agent {
			return a.OnDisconnect == agentkernel.CancelTurn
		}
	}
	return false
}

// start has the turn accepted. A store that does not answer in time leaves it unknown whether it was.
func (s *Server) start(ctx context.Context, req agentkernel.Request, cancels bool) (*agentkernel.Handle, error) {
	req.Tenant = tenantOf(ctx)
	if cancels {
		ctx = context.WithoutCancel(ctx) // to be cancelled it must be known
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AcceptTimeout)
	defer cancel()
	return s.k.Start(ctx, req)
}

// chatRequest makes the kernel's request of a JSON body. What is not one of our fields is extra, in a form in which equal
// requests are equal bytes.
func (s *Server) chatRequest(in *wire, req *agentkernel.Request) (err error) {
	fields, files, err := s.readChat(in)
	if err != nil {
		return err
	}
	var found huma.ValidateResult
	path := huma.NewPathBuffer(nil, 0)
	path.Push("body")
	huma.Validate(s.api.OpenAPI().Components.Schemas, s.chatSchema, path, huma.ModeWriteToServer, fields, &found)
	if len(found.Errors) > 0 {
		return newError(http.StatusBadRequest, "validation failed", found.Errors...)
	}
	req.Files = files
	for name, field := range map[string]*string{"prompt": &req.Prompt, "agent": &req.Agent, "session_id": &req.Session} {
		if value, ok := fields[name].(string); ok {
			*field = value
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		if req.Extra, err = json.Marshal(fields); err != nil {
			return bad("the extra fields cannot be kept: %v", err)
		}
	}
	return nil
}

// chatForm makes the kernel's request of a form.
func (s *Server) chatForm(in *wire, req *agentkernel.Request) (err error) {
	fields, files, err := s.readForm(in)
	if err != nil {
		return err
	}
	req.Files = files
	return formRequest(fields, req)
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
func (s *Server) answer(ctx context.Context, i *agentkernel.TurnInfo, steered, always202 bool) (*huma.StreamResponse, error) {
	switch {
	case always202 || !i.State.Ended():
		return s.json(http.StatusAccepted, i.ID, Pending{Turn: i.ID, Session: i.Session, Agent: i.Agent, State: i.State, Waiting: i.Waiting, Behind: i.Behind, Steered: steered}), nil
	case i.State == session.Completed:
		return s.json(http.StatusOK, "", chatReply(i, steered)), nil
	}
	p := s.problemOf(ctx, i.Err())
	if p.Try == "" {
		p.Try = "POST /api/v1/turns/" + i.ID + "/retry starts it again with what was already done"
	}
	return nil, p
}

// chatReply is the answer of a turn that completed.
func chatReply(i *agentkernel.TurnInfo, steered bool) ChatReply {
	r := ChatReply{
		Value: i.Value, Session: i.Session, Turn: i.ID, Agent: i.Agent, State: i.State,
		Input: i.Input, Output: i.Output, RanMS: i.RanMS,
		Steered: steered, AnsweredBy: i.AnsweredBy, Cost: i.Cost, Degraded: i.Degraded,
	}
	if i.Result != nil {
		r.Result = *i.Result
	}
	return r
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
