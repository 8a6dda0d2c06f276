package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// SessionList is a page of sessions.
type SessionList struct {
	Sessions []agentkernel.SessionInfo `json:"sessions" nullable:"false"`
	Next     string                    `json:"next,omitempty" doc:"Ask with after= this for more; absent at the end"`
}

// MessageList is a session's conversation.
type MessageList struct {
	Session  string          `json:"session_id"`
	Summary  string          `json:"summary,omitempty" doc:"Stands for what was said before the messages, where the conversation had become too long to be kept whole"`
	Messages []model.Message `json:"messages" nullable:"false"`
}

// JournalPage is a part of a session's journal.
type JournalPage struct {
	Session string                     `json:"session_id"`
	Records []agentkernel.JournalEntry `json:"records" nullable:"false"`
	Next    uint64                     `json:"next,omitempty" doc:"Ask with after= this for more; absent at the end"`
}

type sessionInput struct {
	wire
	ID string `path:"id" doc:"A session_id" example:"s_1f2e"`
}

type sessionsInput struct {
	wire
	Search string `query:"search" maxLength:"128" doc:"Only sessions whose id contains this"`
	After  string `query:"after" doc:"The next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many sessions at most"`
}

type sessionEventsInput struct {
	wire
	ID          string `path:"id" doc:"A session_id" example:"s_1f2e"`
	LastEventID string `header:"Last-Event-ID" maxLength:"512" doc:"The id of the last event that was seen"`
	After       string `query:"after" maxLength:"512" doc:"The same, for clients that cannot send the header, which counts where both are sent"`
}

type journalInput struct {
	wire
	ID    string `path:"id" doc:"A session_id" example:"s_1f2e"`
	After uint64 `query:"after" doc:"Only records with a sequence number above this"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many records at most"`
}

func (s *Server) routeSessions() {
	op := func(id, method, path, summary, description string) huma.Operation {
		return s.operation("sessions", id, method, "/api/v1/sessions"+path, summary, description)
	}
	huma.Register(s.api, op("list-sessions", http.MethodGet, "", "List sessions", "In the order of their ids."), s.listSessions)
	huma.Register(s.api, op("get-session", http.MethodGet, "/{id}", "Show a session", ""), s.getSession)
	messages := op("get-messages", http.MethodGet, "/{id}/messages", "Show a session's conversation", "What was said and called so far, the running turn included, as far as the session keeps it; a summary stands for what was before. Files are named, not shown.")
	messages.Responses = s.responses(map[string]*huma.Response{"200": {Description: "The conversation", Content: s.media("application/json", MessageList{})}})
	huma.Register(s.api, messages, s.getMessages)
	huma.Register(s.api, op("get-journal", http.MethodGet, "/{id}/journal", "Show a session's journal", "Every record that was written, in order. A page ends early when its records are large."), s.getJournal)
	events := op("session-events", http.MethodGet, "/{id}/events", "Follow a session", "Server-sent events of all turns of the session, from now on or from after a given one, each with its turn_id: those of a turn's own stream. The stream goes on after a done.")
	events.Responses = s.responses(map[string]*huma.Response{"200": {Description: "The events", Content: eventStream()}})
	huma.Register(s.api, events, s.sessionEvents)
	erase := op("erase-session", http.MethodDelete, "/{id}", "Erase a session", "Its running turn stops and its content is deleted for good. Requests that repeat an idempotency key of it are answered 410.")
	erase.DefaultStatus = http.StatusNoContent
	huma.Register(s.api, erase, s.eraseSession)
}

func (s *Server) listSessions(ctx context.Context, in *sessionsInput) (*struct{ Body SessionList }, error) {
	if err := checkAfter(in.After); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	// One more than asked for tells whether there is more.
	list, err := s.k.Sessions(ctx, session.Query{Tenant: tenantOf(ctx), Search: in.Search, After: in.After, Limit: in.Limit + 1})
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	out := &struct{ Body SessionList }{SessionList{Sessions: orEmpty(list)}}
	if len(list) > in.Limit {
		out.Body.Sessions = list[:in.Limit]
		out.Body.Next = list[in.Limit-1].ID
	}
	return out, nil
}

func (s *Server) getSession(ctx context.Context, in *sessionInput) (*struct{ Body agentkernel.SessionInfo }, error) {
	in.aboutSession(in.ID)
	info, err := s.k.Session(keyOf(ctx, in.ID))
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	return &struct{ Body agentkernel.SessionInfo }{info}, nil
}

func (s *Server) getMessages(ctx context.Context, in *sessionInput) (*huma.StreamResponse, error) {
	in.aboutSession(in.ID)
	messages, err := s.k.Messages(keyOf(ctx, in.ID))
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	info, err := s.k.Session(keyOf(ctx, in.ID))
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	head := map[string]any{"session_id": in.ID}
	if info.Summary != "" {
		head["summary"] = info.Summary
	}
	return s.jsonList(head, "messages", messages), nil
}

// jsonList answers with an object of which one field is a list that may be large.
func (s *Server) jsonList(head map[string]any, name string, list []model.Message) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		if err := writeList(ctx.BodyWriter(), head, name, list); err != nil && ctx.Context().Err() == nil {
			s.cfg.Logger.Warn("an answer was not written", "error", err)
		}
	}}
}

// writeList writes the list element by element: as a whole it is never held.
func writeList[T any](w io.Writer, head map[string]any, name string, list []T) error {
	begin, err := json.Marshal(head)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s,%q:[", begin[:len(begin)-1], name)
	}
	for i, e := range list {
		if err != nil {
			return err
		}
		comma := ","
		if i == 0 {
			comma = ""
		}
		var b []byte
		if b, err = json.Marshal(e); err == nil {
			_, err = fmt.Fprintf(w, "%s%s", comma, b)
		}
	}
	if err == nil {
		_, err = io.WriteString(w, "]}\n")
	}
	return err
}

// A page of a journal ends with the record that makes it this large. Records are read a few at a time until then.
const (
	pageBytes  = 4 << 20
	pageStride = 32 // records
)

func (s *Server) getJournal(ctx context.Context, in *journalInput) (*struct{ Body JournalPage }, error) {
	in.aboutSession(in.ID)
	page := JournalPage{Session: in.ID, Records: []agentkernel.JournalEntry{}}
	after, size, full := in.After, 0, false
	for {
		want := min(pageStride, in.Limit-len(page.Records))
		records, err := s.k.Journal(ctx, keyOf(ctx, in.ID), after, want+1) // one more tells whether there is more
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		for _, r := range records[:min(want, len(records))] {
			if full {
				break
			}
			b, err := json.Marshal(r)
			if err != nil {
				return nil, s.problemOf(ctx, err)
			}
			page.Records = append(page.Records, r)
			after, size = r.Seq, size+len(b)
			full = size >= pageBytes || len(page.Records) == in.Limit
		}
		more := len(records) > 0 && records[len(records)-1].Seq > after
		if full && more {
			page.Next = after
		}
		if full || !more {
			return &struct{ Body JournalPage }{page}, nil
		}
	}
}

func (s *Server) sessionEvents(ctx context.Context, in *sessionEventsInput) (*huma.StreamResponse, error) {
	in.aboutSession(in.ID)
	info, err := s.k.Session(keyOf(ctx, in.ID))
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	after := in.LastEventID
	if after == "" {
		after = in.After
	}
	if after == "" { // now is when the client is answered, not when the first event is looked for
		after = fmt.Sprintf("%d.%d", info.Records, math.MaxInt32)
	}
	events := func(ctx context.Context) iter.Seq2[agentkernel.Event, error] {
		return s.k.SessionEvents(ctx, keyOf(ctx, in.ID), after)
	}
	if err := refusesToFollow(ctx, events); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	return s.stream(events, func() {}), nil
}

// refusesToFollow is why there is no stream, while that can still be said by a status.
func refusesToFollow(ctx context.Context, events func(context.Context) iter.Seq2[agentkernel.Event, error]) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel() // it does not wait for what there is to tell
	for _, err := range events(ctx) {
		if !errors.Is(err, context.Canceled) && fault.KindOf(err) != fault.Cancelled {
			return err
		}
		break
	}
	return nil
}

func (s *Server) eraseSession(ctx context.Context, in *sessionInput) (*struct{}, error) {
	in.aboutSession(in.ID)
	if err := session.CheckID("session_id", in.ID); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	writing, cancel := context.WithTimeout(ctx, s.cfg.AcceptTimeout)
	defer cancel()
	if err := s.k.Erase(writing, keyOf(ctx, in.ID)); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	return nil, nil
}
