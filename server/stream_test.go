package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func (e sseEvent) text(t *testing.T) string {
	t.Helper()
	var d struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(e.data), &d); err != nil {
		t.Fatalf("%v: %q", err, e.data)
	}
	return d.Text
}

// told is the story that events tell: the text as it was streamed, and the journaled events in order.
func told(t *testing.T, events []sseEvent) (text string, journaled []string) {
	t.Helper()
	for _, e := range events {
		switch e.event {
		case agentkernel.EventDelta:
			text += e.text(t)
		case agentkernel.EventReset:
			text = e.text(t)
		case "":
		default:
			journaled = append(journaled, e.id+" "+e.event)
		}
	}
	return text, journaled
}

func TestAStreamedChatTellsTheTurnAsItHappens(t *testing.T) {
	x := newSite(t)
	s := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"streaming","session_id":"w"}`)
	if s.res.Header.Get("AK-Turn-Id") == "" || s.res.Header.Get("AK-Session-Id") != "w" || s.res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", s.res.Header)
	}
	accepted, _ := s.next()
	if accepted.event != agentkernel.EventAccepted || !strings.Contains(accepted.data, s.res.Header.Get("AK-Turn-Id")) {
		t.Errorf("%+v", accepted)
	}
	pieces := []string{"Once ", "upon\na \"time\" ", "– ende."}
	var events []sseEvent
	for _, p := range pieces { // each is seen before the next one is sent
		x.model.pieces <- p
		e, _ := s.next()
		if e.event != agentkernel.EventDelta || e.text(t) != p || e.id == "" {
			t.Fatalf("%+v, not the delta %q", e, p)
		}
		events = append(events, e)
	}
	close(x.model.pieces)
	events = append(events, s.rest()...)
	text, journaled := told(t, events)
	if text != strings.Join(pieces, "") {
		t.Errorf("the deltas are %q", text)
	}
	last := events[len(events)-1]
	if last.event != agentkernel.EventDone || !strings.Contains(last.data, `"state":"completed"`) {
		t.Errorf("%+v", last)
	}
	var done struct{ Result string }
	if err := json.Unmarshal([]byte(last.data), &done); err != nil || done.Result != text {
		t.Errorf("%q, %v", done.Result, err)
	}
	if len(journaled) != 2 {
		t.Errorf("%v", journaled)
	}
}

func TestAReaderResumesWithoutGapOrDuplicate(t *testing.T) {
	x := newSite(t)
	first := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"streaming"}`)
	path := "/api/v1/turns/" + first.res.Header.Get("AK-Turn-Id") + "/events"
	var seen []sseEvent
	read := func(s *sse) {
		t.Helper()
		e, ok := s.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		seen = append(seen, e)
	}
	read(first) // turn.accepted
	x.model.pieces <- "one "
	read(first)
	first.stop()

	second := x.open("GET", path, "", "Last-Event-ID", seen[len(seen)-1].id)
	x.model.pieces <- "two "
	read(second)
	second.stop()
	x.model.pieces <- "three " // nobody is listening

	third := x.open("GET", path+"?after="+seen[len(seen)-1].id, "")
	close(x.model.pieces)
	seen = append(seen, third.rest()...)

	text, journaled := told(t, seen)
	if done := seen[len(seen)-1]; done.event != agentkernel.EventDone || !strings.Contains(done.data, `"result":"one two three "`) {
		t.Errorf("%+v", done)
	}
	// The text of the answer comes in step.completed as well; what a reader missed of the deltas when the step ended is
	// not streamed again.
	if !strings.HasPrefix("one two three ", text) || !strings.HasPrefix(text, "one two ") {
		t.Errorf("the deltas are %q", text)
	}
	whole := x.open("GET", path, "").rest()
	_, all := told(t, whole)
	if !slices.Equal(journaled, all) {
		t.Errorf("in pieces %v, whole %v", journaled, all)
	}
	for i, e := range whole { // and from everywhere
		if e.event == agentkernel.EventDone {
			continue
		}
		_, rest := told(t, x.open("GET", path, "", "Last-Event-ID", e.id).rest())
		if !slices.Equal(rest, all[i+1:]) {
			t.Errorf("after %s: %v, not %v", e.id, rest, all[i+1:])
		}
	}
}

func TestWhoHasSeenTheEndIsToldToStop(t *testing.T) {
	x := newSite(t)
	turn := as[ChatReply](t, x.chat(`{"prompt":"hello"}`), 200).Turn
	events := x.open("GET", "/api/v1/turns/"+turn+"/events", "").rest()
	last := events[len(events)-1]
	if last.event != agentkernel.EventDone {
		t.Fatalf("%+v", last)
	}
	for _, r := range []reply{
		x.do("GET", "/api/v1/turns/"+turn+"/events", "", "Last-Event-ID", last.id),
		x.do("GET", "/api/v1/turns/"+turn+"/events?after="+last.id, ""),
	} {
		if r.StatusCode != http.StatusNoContent {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	}
}

func TestAnIdThatIsNoneStartsTheStoryAgain(t *testing.T) {
	x := newSite(t)
	turn := as[ChatReply](t, x.chat(`{"prompt":"hello"}`), 200).Turn
	for _, id := range []string{"nonsense", "0.0", "1.0-1.m0"} {
		events := x.open("GET", "/api/v1/turns/"+turn+"/events", "", "Last-Event-ID", id).rest()
		if len(events) != 4 || events[0].event != agentkernel.EventReset || events[1].event != agentkernel.EventAccepted {
			t.Errorf("%s: %v", id, events)
		}
	}
}

func TestAFailureIsToldByTheStreamNotByItsStatus(t *testing.T) {
	x := newSite(t)
	events := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"refusing"}`).rest()
	last := events[len(events)-1]
	if last.event != agentkernel.EventDone || !strings.Contains(last.data, `"state":"failed"`) || !strings.Contains(last.data, `"refused"`) {
		t.Errorf("%+v", last)
	}
}

func TestAQuietStreamIsKeptOpenByComments(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.PingInterval = time.Millisecond })
	s := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held"}`)
	for comments := 0; comments < 3; {
		e, ok := s.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		if e.comment == "ping" {
			comments++
		}
	}
	x.hold <- struct{}{}
	if events := s.rest(); events[len(events)-1].event != agentkernel.EventDone {
		t.Errorf("%+v", events)
	}
}

func TestALeavingReplicaTellsStreamsToGoOnElsewhere(t *testing.T) {
	x := newSite(t)
	s := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held"}`)
	until(t, x.holding, "the turn to run")
	if e, _ := s.next(); e.event != agentkernel.EventAccepted {
		t.Errorf("%+v", e)
	}
	x.s.Leave()
	e, _ := s.next()
	if _, more := s.next(); more || !strings.Contains(e.comment, "leaving") || e.event != "" {
		t.Errorf("%+v", e)
	}
	x.hold <- struct{}{}
	x.settled(s.res.Header.Get("AK-Turn-Id"))
}

func TestAStreamThatCannotGoOnSaysWhy(t *testing.T) {
	x := newSite(t)
	s := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held","session_id":"e"}`)
	until(t, x.holding, "the turn to run")
	if r := x.do("DELETE", "/api/v1/sessions/e", ""); r.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	events := s.rest()
	var p Problem
	if last := events[len(events)-1]; last.event != "problem" || last.id != "" || json.Unmarshal([]byte(last.data), &p) != nil || p.Code != fault.Gone || p.SessionID != "e" {
		t.Errorf("%+v", last)
	}
	problem(t, x.do("GET", "/api/v1/turns/"+s.res.Header.Get("AK-Turn-Id")+"/events", ""), 410, fault.Gone)
}

// deaf is a client that takes nothing any more.
type deaf struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
	writes    int
}

func (d *deaf) Write([]byte) (int, error) {
	d.writes++
	return 0, errors.New("i/o timeout")
}

func (d *deaf) SetWriteDeadline(t time.Time) error {
	d.deadlines = append(d.deadlines, t)
	return nil
}

func TestEachPieceHasItsTimeAndASlowReaderIsDropped(t *testing.T) {
	x := newSite(t)
	turn := as[ChatReply](t, x.chat(`{"prompt":"hello"}`), 200).Turn
	client := &deaf{ResponseRecorder: httptest.NewRecorder()}
	began := time.Now()
	x.s.ServeHTTP(client, httptest.NewRequest("GET", "/api/v1/turns/"+turn+"/events", nil)) // returns
	if n := len(client.deadlines); client.writes != 1 || n == 0 || client.deadlines[n-1].Sub(began) < x.s.cfg.WriteTimeout {
		t.Errorf("%d writes, deadlines %v", client.writes, client.deadlines)
	}
}

func TestAHeadRequestDoesNotFollowATurn(t *testing.T) {
	x := newSite(t)
	p := as[Pending](t, x.chat(`{"prompt":"hello","agent":"held"}`, "Prefer", "respond-async"), 202)
	r := x.do("HEAD", "/api/v1/turns/"+p.Turn+"/events", "")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	until(t, x.holding, "the turn to run")
	x.hold <- struct{}{}
	x.settled(p.Turn)
}

func TestAStreamThroughABufferIsWhole(t *testing.T) {
	x := newSite(t)
	req := httptest.NewRequest("POST", "/api/v1/chat", strings.NewReader(`{"prompt":"hello"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	w := httptest.NewRecorder()
	x.s.ServeHTTP(struct{ http.ResponseWriter }{w}, req) // it can neither flush nor have deadlines
	b, _ := io.ReadAll(w.Result().Body)
	if !strings.Contains(string(b), "event: done\n") {
		t.Errorf("%s", b)
	}
	if i := x.settled(w.Header().Get("AK-Turn-Id")); i.State != session.Completed {
		t.Errorf("%+v", i)
	}
}
