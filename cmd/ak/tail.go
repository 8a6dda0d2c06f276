package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
	"github.com/agentkernel/agentkernel/session"
)

const tailLong = `tail tells what happened in a session, turn by turn, one event a line, and ends when the last turn has ended or waits for
a person. With --follow it tells what happens from now on, or after the event with the id of --after, until it is
interrupted; if the server goes away it waits for it to come back, however long, and misses nothing.

Lines leave out text in progress; the step that it belongs to has the whole text. With -o json each line is an event as
the server sent it: {"id", "type", "data"}.`

func (a *app) sessionsTail() *cobra.Command {
	var follow bool
	var after string
	cmd := a.withOutput(a.asClient(&cobra.Command{
		Use: "tail SESSION", Short: "Tell what happens in a session", Long: tailLong, Args: exactly("SESSION"),
		ValidArgsFunction: a.completing(completeSessions),
		RunE: func(cmd *cobra.Command, args []string) error {
			if after != "" && !follow {
				return usage(cmd, "--after is for --follow")
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			t := &tail{app: a, client: c, session: args[0], last: after}
			if !follow {
				return t.story(cmd.Context())
			}
			if err := t.begin(cmd.Context()); err != nil {
				return err
			}
			return t.follow(cmd.Context())
		},
	}))
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	cmd.Flags().StringVar(&after, "after", "", "`id` of the last event that was seen, for --follow")
	return cmd
}

// tail tells what happens in a session.
type tail struct {
	app     *app
	client  *client
	session string
	last    string // id of the last event that was told
}

// story tells every turn of the session.
func (t *tail) story(ctx context.Context) error {
	if _, err := t.client.get(ctx, "/api/v1/sessions/"+seg(t.session), nil); err != nil {
		return err
	}
	q := url.Values{"session_id": {t.session}, "limit": {"1000"}}
	var list server.TurnList
	if _, err := t.client.get(ctx, "/api/v1/turns?"+q.Encode(), &list); err != nil {
		return err
	}
	for _, turn := range list.Turns {
		t.last = ""
		if err := t.persist(ctx, "/api/v1/turns/"+seg(turn.ID)+"/events", turn.ID); err != nil {
			return err
		}
	}
	return nil
}

// begin makes "from now on" a place in the journal, so that a server that dies before the first event is sent costs
// none: the end of the newest record.
func (t *tail) begin(ctx context.Context) error {
	if t.last != "" {
		return nil
	}
	var info agentkernel.SessionInfo
	if _, err := t.client.get(ctx, "/api/v1/sessions/"+seg(t.session), &info); err != nil {
		return err
	}
	if info.Records > 0 {
		t.last = fmt.Sprintf("%d.%d", info.Records, math.MaxInt32)
	}
	return nil
}

// follow tells what happens in the session until ctx ends or the session is erased.
func (t *tail) follow(ctx context.Context) error {
	return t.persist(ctx, "/api/v1/sessions/"+seg(t.session)+"/events", "")
}

// persist reads a stream over as many connections as it takes: that of one turn to its end, for as long as chat would
// wait; that of a session for ever, once a server has answered.
func (t *tail) persist(ctx context.Context, path, turn string) error {
	var gone time.Time // since when the server is away
	for answered := false; ; {
		told := t.last
		began, err := t.once(ctx, path, turn)
		var lost *lostError
		away := errors.As(err, &lost) || fault.KindOf(err) == fault.Unavailable
		answered = answered || began
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case !away || !answered || turn != "" && !gone.IsZero() && time.Since(gone) > patience:
			return err
		}
		if gone.IsZero() || told != t.last {
			gone = time.Now()
			_, _ = fmt.Fprintln(t.app.err, "(the connection broke; waiting for the server)")
		}
		if err := rest(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// once reads a stream over one connection. It reports whether the server began it.
func (t *tail) once(ctx context.Context, path, turn string) (began bool, err error) {
	header := map[string]string{"Accept": "text/event-stream"}
	if t.last != "" {
		header["Last-Event-ID"] = t.last
	}
	res, err := t.client.open(ctx, http.MethodGet, path, nil, header)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNoContent { // its end was told
		return true, nil
	}
	err = readEvents(res.Body, func(e event) (bool, error) { return t.event(ctx, e, turn) })
	if err == nil || isFault(err) {
		return true, err
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the stream ended")
	}
	return true, t.client.broken(ctx, err)
}

// event tells one event. It returns false at the end of the turn that is followed, if it is one.
func (t *tail) event(ctx context.Context, e event, turn string) (more bool, err error) {
	if e.typ == "problem" {
		return false, t.client.refused(http.StatusInternalServerError, e.data)
	}
	if !json.Valid(e.data) {
		return false, fault.New(fault.Malformed, "", "the server sent an event that is no JSON")
	}
	if err := t.tell(e, turn); err != nil {
		return false, err
	}
	if e.id != "" {
		t.last = e.id
	}
	switch {
	case turn == "":
		return true, nil
	case e.typ == agentkernel.EventWaiting:
		var now agentkernel.TurnInfo
		_, err := t.client.get(ctx, "/api/v1/turns/"+seg(turn), &now)
		return err == nil && now.State != session.Waiting, nil // it waited once, and went on
	}
	return e.typ != agentkernel.EventDone, nil
}

// tell writes one event.
func (t *tail) tell(e event, turn string) error {
	if t.app.format == asJSON {
		b, err := json.Marshal(agentkernel.Event{ID: e.id, Type: e.typ, Data: e.data})
		if err != nil {
			return fault.New(fault.Internal, "", "%w", err)
		}
		_, err = fmt.Fprintf(t.app.out, "%s\n", b)
		return err
	}
	if e.typ == agentkernel.EventDelta || e.typ == agentkernel.EventReset {
		return nil
	}
	var d eventData
	if err := json.Unmarshal(e.data, &d); err != nil {
		return fault.New(fault.Malformed, "", "the server sent an event that cannot be read: %w", err)
	}
	if d.Turn != "" {
		turn = d.Turn
	}
	_, err := fmt.Fprintln(t.app.out, strings.TrimRight(fmt.Sprintf("%s  %-14s  %s", printable(turn), printable(e.typ), cut(d.what(e.typ), 120)), " "))
	return err
}

// eventData is what events of all types may hold.
type eventData struct {
	Turn    string          `json:"turn_id"`
	Agent   string          `json:"agent"`
	Step    string          `json:"step"`
	Name    string          `json:"name"`
	Args    json.RawMessage `json:"args"`
	Text    string          `json:"text"`
	State   string          `json:"state"`
	Result  string          `json:"result"`
	Reason  string          `json:"reason"`
	Detail  string          `json:"detail"`
	Outcome string          `json:"outcome"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
	Calls []struct {
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"calls"`
}

// what says in one line what the event is about.
func (d *eventData) what(typ string) string {
	words := []string{}
	say := func(text string) {
		if text != "" {
			words = append(words, text)
		}
	}
	switch typ {
	case agentkernel.EventAccepted:
		say(d.Agent)
	case agentkernel.EventWaiting:
		say(d.Reason)
		say(d.Detail)
	case agentkernel.EventDone:
		say(d.State)
		say(d.Result)
	default:
		say(d.Step)
		say(d.Name)
		say(string(d.Args))
		say(d.Outcome)
		say(d.Detail)
		say(d.Text)
	}
	for _, c := range d.Calls {
		say("calls " + c.Name + " " + string(c.Args))
	}
	if d.Error != nil {
		say("error: " + d.Error.Message)
	}
	return strings.Join(words, " ")
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
