package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

// turnOf is the turn that an event is about.
func (e sseEvent) turn(t *testing.T) string {
	t.Helper()
	var d struct {
		Turn string `json:"turn_id"`
	}
	if err := json.Unmarshal([]byte(e.data), &d); err != nil || d.Turn == "" {
		t.Fatalf("%+v: %v", e, err)
	}
	return d.Turn
}

// ended reads to the end of a turn.
func (s *sse) ended() (events []sseEvent) {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			s.t.Fatal("the stream ended")
		}
		if e.event != "" {
			events = append(events, e)
		}
		if e.event == agentkernel.EventDone {
			return events
		}
	}
}

// begun makes a session of one turn, and gives the id of its last event.
func (x *site) begun(id string) (last string) {
	x.t.Helper()
	turn := as[ChatReply](x.t, x.chat(`{"prompt":"hello","session_id":"`+id+`"}`), 200).Turn
	events := x.open("GET", "/api/v1/turns/"+turn+"/events", "").rest()
	return events[len(events)-1].id
}

func TestASessionsStreamTellsOneTurnAfterTheOther(t *testing.T) {
	x := newSite(t)
	last := x.begun("s")
	s := x.open("GET", "/api/v1/sessions/s/events", "", "Last-Event-ID", last)
	if s.res.Header.Get("AK-Session-Id") != "s" || s.res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", s.res.Header)
	}
	var seen []sseEvent
	for range 3 {
		turn := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"s"}`), 200).Turn
		events := s.ended()
		if events[0].event != agentkernel.EventAccepted {
			t.Errorf("%+v", events)
		}
		for _, e := range events {
			if e.turn(t) != turn || e.id == "" {
				t.Errorf("%+v is not about %s", e, turn)
			}
		}
		seen = append(seen, events...)
	}
	_, all := told(t, seen)
	for _, e := range seen { // and again from everywhere
		i := 1 + slices.Index(all, e.id+" "+e.event)
		if i == 0 || i == len(all) { // a piece of text, or the end
			continue
		}
		r := x.open("GET", "/api/v1/sessions/s/events?after="+e.id, "")
		var again []string
		for len(again) < len(all)-i {
			next, ok := r.next()
			if !ok {
				t.Fatal("the stream ended")
			}
			_, journaled := told(t, []sseEvent{next})
			again = append(again, journaled...)
		}
		r.stop()
		if !slices.Equal(again, all[i:]) {
			t.Errorf("after %s: %v, not %v", e.id, again, all[i:])
		}
	}
}

func TestWhoFollowsASessionAndHasSeenNothingIsToldWhatComes(t *testing.T) {
	x := newSite(t)
	x.begun("s")
	held := as[Pending](t, x.chat(`{"prompt":"hello","agent":"held","session_id":"s"}`, "Prefer", "respond-async"), 202).Turn
	until(t, x.holding, "the turn to run")
	s := x.open("GET", "/api/v1/sessions/s/events", "")
	x.hold <- struct{}{}
	if events := s.ended(); events[len(events)-1].turn(t) != held {
		t.Errorf("%+v", events)
	}
}

func TestASessionWithoutAnythingToFollowIsAProblemNotAStream(t *testing.T) {
	x := newSite(t)
	problem(t, x.do("GET", "/api/v1/sessions/nobody/events", ""), 404, fault.NotFound)
	last := x.begun("e")
	s := x.open("GET", "/api/v1/sessions/e/events", "", "Last-Event-ID", last)
	if r := x.do("DELETE", "/api/v1/sessions/e", ""); r.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	events := s.rest()
	var p Problem
	if len(events) != 1 || events[0].event != "problem" || json.Unmarshal([]byte(events[0].data), &p) != nil || p.Code != fault.Gone || p.SessionID != "e" {
		t.Errorf("%+v", events)
	}
	problem(t, x.do("GET", "/api/v1/sessions/e/events", ""), 410, fault.Gone)
}

func TestAQuietSessionsStreamIsKeptOpenAndEndsWhenTheReplicaLeaves(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.PingInterval = time.Millisecond })
	x.begun("s")
	s := x.open("GET", "/api/v1/sessions/s/events", "")
	for pings := 0; pings < 3; pings++ {
		if e, _ := s.next(); e.comment != "ping" {
			t.Fatalf("%+v", e)
		}
	}
	x.s.Leave()
	last := sseEvent{}
	for _, e := range s.rest() {
		last = e
	}
	if !strings.Contains(last.comment, "leaving") {
		t.Errorf("%+v", last)
	}
}

func TestASlowReaderOfASessionIsDropped(t *testing.T) {
	x := newSite(t)
	x.begun("s")
	client := &deaf{ResponseRecorder: httptest.NewRecorder()}
	x.s.ServeHTTP(client, httptest.NewRequest("GET", "/api/v1/sessions/s/events", nil)) // returns
	if client.writes != 1 {
		t.Errorf("%d writes", client.writes)
	}
	if r := x.do("HEAD", "/api/v1/sessions/s/events", ""); r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

func TestAnIdThatASessionNeverHadIsRefused(t *testing.T) {
	x := newSite(t)
	x.begun("s")
	for _, id := range []string{"nonsense", "0.0", "999.0", "1.0-1.m0", "-1.0", "1", "1.x"} {
		p := problem(t, x.do("GET", "/api/v1/sessions/s/events", "", "Last-Event-ID", id), 400, fault.BadRequest)
		if p.SessionID != "s" || p.Try == "" {
			t.Errorf("%+v", p)
		}
	}
}
