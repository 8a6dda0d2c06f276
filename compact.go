package agentkernel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// A conversation that grows for ever fits into no model and no memory. When the turns that a model would be shown are too
// many or too long, the older half of them is summed up, ahead of everything else in the turn, by a step like any other:
// its result is journaled, so a re-run sums up the same turns in the same words. From the turn's end on the fold keeps the
// summary instead of the turns. They stay in the journal, for whoever asks about one of them, as long as records are kept.

const (
	foldKey        = "f0"
	unknownWindow  = 128_000
	bytesPerToken  = 4    // an estimate that is good enough to stay below a window
	tokensPerFile  = 1500 // an image or a page, about
	summaryTokens  = 1024
	summaryRequest = "Sum up the conversation above for someone who has to go on with it and will not see it: what was asked and answered, " +
		"what was decided and done, names, numbers and identifiers exactly, and what is still open. Write nothing else."
)

// compact shortens the conversation if it is too long.
func (t *Turn) compact(ctx context.Context) error {
	st, err := t.recorded(ctx, foldKey)
	if err != nil {
		return err
	}
	if st == nil || st.State != session.StepDone || st.Result.Summary == nil {
		through, older, err := t.tooLong(ctx)
		if err != nil || through.IsZero() {
			return err
		}
		res, err := t.fold(ctx, through, older)
		if err != nil {
			return err
		}
		e := t.event(session.StepCompleted, foldKey)
		e.Result = res
		t.add(e)
		st = &session.Step{Result: res}
	}
	return t.look(ctx, func(s *session.Session) error {
		if _, err := t.owned(s); err != nil {
			return err
		}
		t.notes = []string{st.Result.Summary.Text} // it covers an older summary too
		t.history, err = t.j.told.after(s, st.Result.Summary.Through)
		return err
	})
}

// tooLong finds out whether the conversation must be shortened: through which turn, and what was said up to it.
func (t *Turn) tooLong(ctx context.Context) (through session.Ref, older []model.Message, err error) {
	h := t.agent.History
	if h.Tokens == 0 {
		window := t.k.cfg.ModelInfo[t.agent.Model].Window
		if window == 0 {
			window = unknownWindow
		}
		h.Tokens = window * 3 / 4
	}
	err = t.look(ctx, func(s *session.Session) error {
		if _, err := t.owned(s); err != nil {
			return err
		}
		through, older, err = t.j.told.olderHalf(s, h.Turns, h.Tokens)
		return err
	})
	return through, older, err
}

// fold makes the summary. A model that cannot make one must not keep the conversation from going on: the older half is
// then left out, and the summary says so.
func (t *Turn) fold(ctx context.Context, through session.Ref, older []model.Message) (*session.StepResult, error) {
	before := ""
	if len(t.notes) > 0 {
		before = t.notes[0]
	}
	left := session.Summary{Through: through, Dropped: true, Text: "[The beginning of this conversation is left out here: it had become too long.]"}
	if before != "" && t.agent.History.Compact == Drop {
		left.Text = before
	}
	res := &session.StepResult{Kind: session.FoldStep, Name: string(Drop), Attempts: 1, Summary: &left}
	provider, name := splitModel(t.agent.Model)
	if t.agent.History.Compact == Drop || t.k.cfg.Models[provider] == nil {
		return res, nil
	}
	req := &model.Request{Model: name, MaxTokens: summaryTokens, Instructions: "You keep the minutes of a conversation between a user and an assistant."}
	if before != "" {
		req.Instructions += "\n\n" + before
	}
	older, err := t.k.hydrate(ctx, t.j.key, t.id.Life, older, false)
	if err != nil {
		return nil, err
	}
	req.Messages = append(spokenOnly(older), model.UserText(summaryRequest))
	answer, got, err := t.generate(ctx, foldKey, req)
	if err != nil {
		return nil, err
	}
	got.Kind, got.Value = session.FoldStep, nil
	t.spend(got)
	if text := ""; answer != nil && got.Error == nil {
		if text = answer.Message.Text(); text != "" {
			left = session.Summary{Through: through, Text: "Summary of the conversation before this:\n" + text}
		}
	}
	if left.Dropped {
		t.k.log.Warn("the conversation could not be summed up; its beginning is left out", "session", t.j.key.ID, "error", errorOf(got.Error))
	}
	got.Error, got.Summary = nil, &left
	return got, nil
}

// spokenOnly is a conversation in words: calls and results of tools are told as text, so that no tool need be offered.
func spokenOnly(messages []model.Message) []model.Message {
	said := make([]model.Message, 0, len(messages))
	for _, m := range messages {
		line := m.Text()
		role := m.Role
		for _, p := range m.Parts {
			switch {
			case p.Call != nil:
				line += fmt.Sprintf("[calls %s %s]", p.Call.Name, p.Call.Args)
			case p.Result != nil:
				line, role = fmt.Sprintf("[%s answered: %s]", p.Result.Name, p.Result.Content), model.User
			case p.File != nil:
				line += fmt.Sprintf("[sends the file %s]", p.File.Name)
			}
		}
		if line == "" {
			continue
		}
		if n := len(said); n > 0 && said[n-1].Role == role {
			said[n-1] = model.Message{Role: role, Parts: []model.Part{{Text: said[n-1].Text() + "\n" + line}}}
			continue
		}
		said = append(said, model.Message{Role: role, Parts: []model.Part{{Text: line}}})
	}
	return said
}

// tokens estimates the length of messages.
func tokens(messages []model.Message) (n int) {
	for _, m := range messages {
		for _, p := range m.Parts {
			n += len(p.Text)
			switch {
			case p.Call != nil:
				n += len(p.Call.Name) + len(p.Call.Args)
			case p.Result != nil:
				n += max(len(p.Result.Content), int(p.Result.Size))
			case p.File != nil:
				n += tokensPerFile * bytesPerToken
			}
		}
	}
	return n/bytesPerToken + 4*len(messages)
}

// inputOf decodes what the user said first in a turn.
func inputOf(t *session.Turn) (m model.Message, err error) {
	if err := json.Unmarshal(t.Request.Input, &m); err != nil {
		return m, fault.New(fault.Corrupt, "", "the input of turn %s is not a message: %w", t.ID, err)
	}
	return m, nil
}
