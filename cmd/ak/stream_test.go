package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

func TestEventsAreReadAsTheyWereSent(t *testing.T) {
	const wire = ": ping\nretry: 1000\n\nid: 1.0\nevent: a\ndata: {\ndata: }\n\ndata:x\n\nevent: never sent\n"
	var got []string
	err := readEvents(strings.NewReader(wire), func(e event) (bool, error) {
		got = append(got, fmt.Sprintf("%s|%s|%s", e.id, e.typ, e.data))
		return true, nil
	})
	if !errors.Is(err, io.EOF) || strings.Join(got, " ") != "1.0|a|{\n} ||x" {
		t.Errorf("%q, %v", got, err)
	}
}

// shown is what a person sees of events.
func shown(t *testing.T, events ...event) (string, error) {
	t.Helper()
	var out bytes.Buffer
	s := &stream{app: &app{out: &out, err: io.Discard, format: asTable}, client: &client{http: http.DefaultClient}}
	for _, e := range events {
		more, err := s.event(context.Background(), e)
		if err != nil || !more {
			return out.String(), err
		}
	}
	return out.String(), nil
}

func sent(typ, data string) event { return event{typ: typ, data: []byte(data)} }

func TestAnAnswerIsShownOnceHoweverItCame(t *testing.T) {
	done := sent("done", `{"state":"completed","result":"Hello Ada"}`)
	delta := func(step, text string) event {
		return sent("delta", fmt.Sprintf(`{"step":%q,"text":%q}`, step, text))
	}
	for name, c := range map[string]struct {
		events []event
		want   string
	}{
		"whole at the end":    {[]event{done}, "Hello Ada\n"},
		"in pieces":           {[]event{delta("m0", "Hello"), delta("m0", " Ada"), done}, "Hello Ada\n"},
		"cut, then the rest":  {[]event{delta("m0", "Hello"), done}, "Hello Ada\n"},
		"after another step":  {[]event{delta("m0", "Let me see."), delta("m1", "Hello Ada"), done}, "Let me see.\nHello Ada\n"},
		"again from the same": {[]event{delta("m0", "Hel"), sent("attempt.reset", `{"step":"m0","text":"Hello"}`), done}, "Hello Ada\n"},
		"again from another":  {[]event{delta("m0", "Good"), sent("attempt.reset", `{"step":"m0","text":"Hello"}`), done}, "Good\nHello Ada\n"},
		"for a terminal":      {[]event{sent("done", `{"state":"completed","result":"a\u001b[31mb\u0007\n"}`)}, "a[31mb\n"},
	} {
		if got, err := shown(t, c.events...); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestEveryEndHasItsExitCode(t *testing.T) {
	for data, want := range map[string]struct {
		typ  string
		code int
	}{
		`{"state":"failed","error":{"kind":"throttled","message":"busy"}}`:  {"done", fault.ExitUnavailable},
		`{"state":"failed","error":{"kind":"budget","message":"too long"}}`: {"done", fault.ExitFailed},
		`{"state":"cancelled"}`:                                 {"done", fault.ExitCancelled},
		`{"reason":"in_doubt","detail":"did it?"}`:              {"waiting", fault.ExitWaiting},
		`{"reason":"quarantined","detail":"three times"}`:       {"waiting", fault.ExitWaiting},
		`{"code":"unavailable","detail":"gone","status":503}`:   {"problem", fault.ExitUnavailable},
		`{"code":"from a newer release","detail":"surprising"}`: {"problem", fault.ExitFailed},
		`no JSON`: {"delta", fault.ExitFailed},
	} {
		if _, err := shown(t, sent(want.typ, data)); err == nil || exitCode(err) != want.code {
			t.Errorf("%s %s: %v (%d)", want.typ, data, err, exitCode(err))
		}
	}
}

func TestABrokenStreamIsResumedAndARequestWithoutAnAnswerIsSentAgain(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method+r.URL.Path == "GET/api/v1/turns/t1" {
			_, _ = fmt.Fprint(w, `{"state":"running"}`)
			return
		}
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Idempotency-Key")+r.Header.Get("Last-Event-ID"))
		switch len(asked) {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			_, _ = fmt.Fprint(w, "id: 1.0\nevent: turn.accepted\ndata: {\"turn_id\":\"t1\",\"session_id\":\"s1\"}\n\nid: 1.0-5\nevent: delta\ndata: {\"step\":\"m0\",\"text\":\"Hel\"}\n\nid: 1.0-5\nevent: waiting\ndata: {\"reason\":\"in_doubt\"}\n\n")
		case 3:
			_, _ = fmt.Fprint(w, "id: 1.0-6\nevent: delta\ndata: {\"step\":\"m0\",\"text\":\"lo\"}\n\nid: 2.0\nevent: done\ndata: {\"state\":\"completed\",\"result\":\"Hello\"}\n\n")
		}
	}))
	defer s.Close()
	var out bytes.Buffer
	st := &stream{app: &app{out: &out, err: io.Discard, format: asTable}, client: &client{base: s.URL, http: s.Client()}, body: map[string]string{"prompt": "x"}, key: "k1"}
	if err := st.follow(context.Background()); err != nil || out.String() != "Hello\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	want := []string{"POST /api/v1/chat k1", "POST /api/v1/chat k1", "GET /api/v1/turns/t1/events 1.0-5"}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked %q", asked)
	}
}
