package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// patience is how long a client waits for a server that went away.
const patience = 30 * time.Second

// stream follows one turn from its request to its end, over as many connections as it takes.
type stream struct {
	app    *app
	client *client
	body   any
	key    string

	session, turn string
	taken         func(turn string) // told once the turn is known, and perhaps again; nil tells nobody
	waits         *waits            // what the turn waits for, when it ended with fault.Waiting
	last          string            // id of the last event that was seen
	step          string            // whose text is being shown
	shown         string            // of that text
}

// follow shows the turn until it has ended or waits for a person. The request is sent again, with its key, as long as it
// is not known to be taken; after that the stream is resumed.
func (s *stream) follow(ctx context.Context) error {
	var gone time.Time // since when the server is away
	for {
		progress := s.last
		err := s.once(ctx)
		var lost *lostError
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case s.turn == "" && !errors.As(err, &lost):
			return err
		case s.turn != "" && !errors.As(err, &lost) && fault.KindOf(err) != fault.Unavailable:
			return err
		}
		if gone.IsZero() || progress != s.last {
			gone = time.Now()
			_, _ = fmt.Fprintln(s.app.err, "\n(the connection broke; waiting for the server)")
		}
		if time.Since(gone) > patience {
			return err
		}
		if err := rest(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// once follows the turn over one connection.
func (s *stream) once(ctx context.Context) error {
	header := map[string]string{"Accept": "text/event-stream"}
	method, path, body := http.MethodPost, "/api/v1/chat", s.body
	if s.turn != "" {
		method, path, body = http.MethodGet, "/api/v1/turns/"+seg(s.turn)+"/events", nil
		if s.last != "" {
			header["Last-Event-ID"] = s.last
		}
	} else {
		header["Idempotency-Key"] = s.key
	}
	res, err := s.client.open(ctx, method, path, body, header)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get("AK-Turn-Id") != "" {
		s.known(res.Header.Get("AK-Turn-Id"), res.Header.Get("AK-Session-Id"))
	}
	err = readEvents(res.Body, func(e event) (bool, error) { return s.event(ctx, e) })
	if isFault(err) || err == nil {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the stream ended before the turn did")
	}
	return s.client.broken(ctx, err)
}

func (s *stream) known(turn, session string) {
	s.turn, s.session = turn, session
	if s.taken != nil {
		s.taken(turn)
	}
}

// event shows one event. It returns false at the turn's end.
func (s *stream) event(ctx context.Context, e event) (more bool, err error) {
	if e.id != "" {
		s.last = e.id
	}
	var d struct {
		Turn    string           `json:"turn_id"`
		Session string           `json:"session_id"`
		Step    string           `json:"step"`
		Text    string           `json:"text"`
		State   string           `json:"state"`
		Result  string           `json:"result"`
		Error   *session.Failure `json:"error"`
		Reason  string           `json:"reason"`
		Detail  string           `json:"detail"`
	}
	if e.typ == "problem" {
		return false, s.client.refused(http.StatusInternalServerError, e.data)
	}
	if err := json.Unmarshal(e.data, &d); err != nil {
		return false, fault.New(fault.Malformed, "", "the server sent an event that is no JSON: %w", err)
	}
	switch e.typ {
	case agentkernel.EventAccepted:
		s.known(d.Turn, d.Session)
		return true, s.queued(ctx)
	case agentkernel.EventDelta:
		s.text(d.Step, d.Text)
	case agentkernel.EventReset:
		s.restart(d.Step, d.Text)
	case agentkernel.EventWaiting:
		if i := s.look(ctx); i != nil && i.State != session.Waiting {
			return true, nil // it did once, and goes on
		}
		s.endLine()
		return false, s.waiting(s.turn, d.Reason, d.Detail)
	case agentkernel.EventDone:
		return false, s.done(d.State, d.Result, d.Error)
	}
	return true, nil
}

func (s *stream) print(text string) {
	if s.app.format != asJSON {
		_, _ = io.WriteString(s.app.out, safe(text))
	}
}

// text shows more of a step's text.
func (s *stream) text(step, text string) {
	if step != s.step {
		s.endLine()
		s.step = step
	}
	s.print(text)
	s.shown += text
}

// restart shows a text that takes the place of what was shown: what is the same stays.
func (s *stream) restart(step, text string) {
	if step == s.step && strings.HasPrefix(text, s.shown) {
		s.text(step, text[len(s.shown):])
		return
	}
	s.endLine()
	s.step = ""
	if text != "" {
		s.text(step, text)
	}
}

func (s *stream) endLine() {
	if s.shown != "" && !strings.HasSuffix(s.shown, "\n") {
		s.print("\n")
	}
	s.shown = ""
}

// done shows what of the result was not streamed, or makes an error of another end.
func (s *stream) done(state, result string, failure *session.Failure) error {
	switch {
	case state == string(session.Completed):
		if rest, ok := strings.CutPrefix(result, s.shown); ok {
			s.text(s.step, rest)
		} else {
			s.endLine()
			s.text(s.step, result)
		}
		s.endLine()
		return nil
	case failure != nil:
		s.endLine()
		return fault.New(failure.Kind, "", "the turn failed: %s", failure.Message).WithTry("ak turns retry %s", s.turn)
	}
	s.endLine()
	return fault.New(fault.Cancelled, "", "the turn was cancelled").WithTry("ak turns retry %s", s.turn)
}

// look is the turn as it stands now, nil when that cannot be known.
func (s *stream) look(ctx context.Context) *agentkernel.TurnInfo {
	var i agentkernel.TurnInfo
	if _, err := s.client.get(ctx, "/api/v1/turns/"+seg(s.turn), &i); err != nil {
		return nil
	}
	return &i
}

// queued is an error for a turn behind one that waits for a person: nothing would come until that person has spoken.
func (s *stream) queued(ctx context.Context) error {
	i := s.look(ctx)
	if i == nil || i.Behind == "" || i.Waiting == nil {
		return nil
	}
	return s.waiting(i.Behind, string(i.Waiting.Reason), i.Waiting.Detail)
}

// waiting says that the turn waits for a person, by itself or behind a first one, and what that person can do.
func (s *stream) waiting(first, reason, detail string) error {
	s.waits = &waits{first, session.WaitReason(reason)}
	who := "turn " + s.turn + " waits"
	if first != s.turn {
		who += " behind turn " + first
	}
	e := fault.New(fault.Waiting, "", "%s (%s): %s", who, reason, detail)
	switch session.WaitReason(reason) {
	case session.WaitApproval:
		return e.WithTry("ak turns show %s, then: ak turns approve %s, or ak turns deny %s", first, first, first)
	case session.WaitInDoubt:
		return e.WithTry("find out, then: ak turns resolve %s --outcome happened|not_happened|run_again", first)
	case session.WaitQuarantined:
		return e.WithTry("ak turns release %s, or ak turns discard %s", first, first)
	}
	return e
}

// printTurn writes the turn as JSON.
func (s *stream) printTurn(ctx context.Context) error {
	raw, err := s.client.get(ctx, "/api/v1/turns/"+seg(s.turn), nil)
	if err != nil {
		return err
	}
	return printJSON(s.app.out, raw)
}
