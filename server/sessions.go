package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
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
	huma.Register(s.api, op("get-messages", http.MethodGet, "/{id}/messages", "Show a session's conversation", "What was said and called so far, the running turn included."), s.getMessages)
	huma.Register(s.api, op("get-journal", http.MethodGet, "/{id}/journal", "Show a session's journal", "Every record that was written, in order."), s.getJournal)
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

func (s *Server) getMessages(ctx context.Context, in *sessionInput) (*struct{ Body MessageList }, error) {
	in.aboutSession(in.ID)
	messages, err := s.k.Messages(keyOf(ctx, in.ID))
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	return &struct{ Body MessageList }{MessageList{Session: in.ID, Messages: orEmpty(messages)}}, nil
}

func (s *Server) getJournal(ctx context.Context, in *journalInput) (*struct{ Body JournalPage }, error) {
	in.aboutSession(in.ID)
	records, err := s.k.Journal(ctx, keyOf(ctx, in.ID), in.After, in.Limit+1)
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	out := &struct{ Body JournalPage }{JournalPage{Session: in.ID, Records: orEmpty(records)}}
	if len(records) > in.Limit {
		out.Body.Records = records[:in.Limit]
		out.Body.Next = records[in.Limit-1].Seq
	}
	return out, nil
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
