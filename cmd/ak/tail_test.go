package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

func TestASessionIsFollowedThroughItsServersDeaths(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Last-Event-ID"))
		switch len(asked) {
		case 1:
			_, _ = fmt.Fprint(w, "id: 1.0\nevent: turn.accepted\ndata: {\"turn_id\":\"T\",\"agent\":\"a\"}\n\n")
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"code":"unavailable","detail":"it starts","status":503}`)
		case 3:
			panic(http.ErrAbortHandler)
		case 4:
			_, _ = fmt.Fprint(w, "id: 1.0-5\nevent: delta\ndata: {\"turn_id\":\"T\",\"text\":\"He\"}\n\nid: 2.0\nevent: done\ndata: {\"turn_id\":\"T\",\"state\":\"completed\",\"result\":\"Hello\\nAda\"}\n\n")
		default:
			w.WriteHeader(http.StatusGone)
			_, _ = fmt.Fprint(w, `{"code":"gone","detail":"the session was erased","status":410}`)
		}
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	f := &tail{app: &app{out: &out, err: &errs, format: asTable}, client: &client{base: s.URL, http: s.Client()}, session: "S"}
	if err := f.follow(context.Background()); fault.KindOf(err) != fault.Gone {
		t.Errorf("it ended with %v", err)
	}
	if want := "T  turn.accepted   a\nT  done            completed Hello Ada\n"; out.String() != want {
		t.Errorf("it told %q", out.String())
	}
	const path = "/api/v1/sessions/S/events "
	if want := []string{path, path + "1.0", path + "1.0", path + "1.0", path + "2.0"}; fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("it asked %q", asked)
	}
	if strings.Count(errs.String(), "waiting for the server") != 2 { // once for each time that it was away
		t.Errorf("%q", errs.String())
	}
}

func TestEventsAreToldAsJSONWithNothingLeftOut(t *testing.T) {
	var out bytes.Buffer
	f := &tail{app: &app{out: &out, err: io.Discard, format: asJSON}, client: &client{}}
	for _, e := range []event{{id: "1.0-5", typ: "delta", data: []byte(`{"text":"<a>"}`)}, {id: "2.0", typ: "done", data: []byte(`{ "state": "completed" }`)}} {
		if _, err := f.event(context.Background(), e, ""); err != nil {
			t.Fatal(err)
		}
	}
	if want := `{"id":"1.0-5","type":"delta","data":{"text":"\u003ca\u003e"}}` + "\n" + `{"id":"2.0","type":"done","data":{"state":"completed"}}` + "\n"; out.String() != want {
		t.Errorf("%s", out.String())
	}
	if _, err := f.event(context.Background(), event{typ: "done", data: []byte("{")}, ""); fault.KindOf(err) != fault.Malformed {
		t.Errorf("no JSON: %v", err)
	}
}

func TestAServerThatWasNeverThereIsNotWaitedFor(t *testing.T) {
	f := &tail{app: &app{out: io.Discard, err: io.Discard}, client: &client{base: "http://127.0.0.1:1", http: newHTTP()}, session: "S"}
	if err := f.follow(context.Background()); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}
